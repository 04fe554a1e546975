/** `claude-relay serve`: the relay in the foreground, until SIGTERM or SIGINT. */
import { findCli, loginStatus } from '../claude/cli.ts';
import type { Config } from '../config.ts';
import { createLog } from '../log.ts';
import { startRelay, type Relay } from '../relay.ts';
import { reportHealth } from '../service/report-health.ts';
import { CommandError } from './command-error.ts';
import { limitsOff, unfairLimits } from './settings-warnings.ts';
import { requireScratch } from './scratch.ts';
import { aborted, listenForStop, type StopSignals } from './stop-signals.ts';

/** Resolves when the relay has stopped. Throws CommandError when it cannot start. */
export async function serve(config: Config): Promise<void> {
  const claudeBin = findCli(config.claudeBin, config.hostEnv);
  requireScratch();
  const stop = listenForStop();
  try {
    await requireLogin(claudeBin, config, stop.signal);
    if (!stop.signal.aborted) await serveUntil(stop, config, claudeBin);
    say('claude-relay has stopped.');
  } finally {
    stop.close();
  }
}

async function serveUntil(stop: StopSignals, config: Config, claudeBin: string): Promise<void> {
  const relay = await startLogged(config, claudeBin);
  const report = reportHealth({ relay, env: config.hostEnv });
  say(`claude-relay listens on ${relay.url}`);
  for (const name of limitsOff(config)) say(`Warning: ${name} is 0: that limit is off.`);
  for (const sentence of unfairLimits(config)) say(`Warning: ${sentence}`);
  say(`  Mint a key:  KEY=$(bin/genkey my-app)`);
  say(
    `  Call it:     curl ${relay.url}/v1/complete -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '{"prompt":"Say hello."}'`,
  );
  say('  The lock is being proved; /ready tells when requests are served. Stop with Ctrl-C.');
  await aborted(stop.signal);
  stop.onAgain = () => relay.hurry();
  report.stopping();
  await relay.close();
  await report.close();
}

async function requireLogin(claudeBin: string, config: Config, signal: AbortSignal): Promise<void> {
  const { loggedIn } = await loginStatus(claudeBin, config.hostEnv, signal);
  if (loggedIn === false) {
    throw new CommandError(
      `Claude Code (${claudeBin}) is installed but not logged in. Run \`claude\` once and log in, or put CLAUDE_CODE_OAUTH_TOKEN (from \`claude setup-token\`) or ANTHROPIC_API_KEY into config.env.`,
    );
  }
}

/** A running relay whose log goes to stdout. */
export async function startLogged(config: Config, claudeBin: string): Promise<Relay> {
  const log = createLog(config.logLevel);
  try {
    return await startRelay({ config, claudeBin, log });
  } catch (error) {
    const sentence = cannotListen((error as NodeJS.ErrnoException).code, config);
    throw sentence === undefined ? error : new CommandError(sentence);
  }
}

function cannotListen(code: string | undefined, { host, port }: Config): string | undefined {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use. Stop what listens there, or set PORT.`,
    EADDRNOTAVAIL: `HOST is ${host}, and this machine has no such address.`,
    EACCES: `This user may not listen on port ${port}. Set PORT to 1024 or more.`,
  };
  return sentences[code ?? ''];
}

/** Words for people go to stderr; stdout holds the log, one JSON object a line. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
