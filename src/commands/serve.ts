/** `claude-relay serve`: runs the relay in the foreground until SIGTERM, SIGINT or SIGHUP. */
import { findCli, loginStatus, notLoggedIn } from '../claude/cli.ts';
import { sealSentence } from '../claude/seal/report.ts';
import { CommandError } from '../command-error.ts';
import { isLoopback, type Config } from '../config.ts';
import { commandBeforeStart, relayCommand } from '../installation.ts';
import { createLog } from '../log.ts';
import { startRelay, type Relay, type RelayOptions } from '../relay.ts';
import { localUrl } from '../service/ready.ts';
import { reportHealth } from '../service/report-health.ts';
import { withRecords, type SettingsContext } from './context.ts';
import { doctorLines } from './doctor/doctor.ts';
import { requireScratch } from './scratch.ts';
import { cannotListen } from './loopback.ts';
import { aborted, listenForStop, type StopSignals } from './stop-signals.ts';
import { limitsOff, unfairLimits } from './settings-warnings.ts';
import { keyState } from './text/key-text.ts';

/** Milliseconds. The doctor runs in the relay's thread: a locked database blocks every request for so long. */
const lockWaitMs = 250;

/** Resolves when the relay has stopped. Throws CommandError or CliMissing when the relay cannot start. */
export async function serve(context: SettingsContext): Promise<void> {
  const config = context.config();
  const claudeBin = findCli(config.claudeBin, config.hostEnv);
  requireScratch();
  await requireKey(config);
  using stop = listenForStop();
  const { loggedIn } = await loginStatus(claudeBin, config.hostEnv, stop.signal);
  if (loggedIn === false) throw notLoggedIn(claudeBin);
  if (!stop.signal.aborted) await serveUntil(stop, config, claudeBin, context);
  say('claude-relay has stopped.');
}

/** Throws CommandError where other machines reach a relay that would answer nobody. */
async function requireKey({ host, dataDir }: Config): Promise<void> {
  if (isLoopback(host)) return;
  const hasKey = await withRecords({ dataDir: () => dataDir }, ({ keys, now }) =>
    keys.list().some((key) => keyState(key, now()) === 'live'),
  );
  if (hasKey) return;
  throw new CommandError(
    `HOST is ${host}, which other machines reach, and there is no valid key. Create one first: ${commandBeforeStart} key create my-app`,
  );
}

async function serveUntil(
  stop: StopSignals,
  config: Config,
  claudeBin: string,
  context: SettingsContext,
): Promise<void> {
  const relay = await startLogged(config, claudeBin, (signal) =>
    doctorLines(context, { waitMs: lockWaitMs, signal }),
  );
  const report = reportHealth(relay, config.hostEnv);
  say(`claude-relay listens on ${relay.url}`);
  say(sealSentence(relay.seal));
  for (const name of limitsOff(config)) say(`Warning: ${name} is 0: that limit is off.`);
  for (const sentence of unfairLimits(config)) say(`Warning: ${sentence}`);
  say(`  Create a key:  KEY=$(${relayCommand} key create my-app)`);
  say(
    `  Call it:       curl ${callUrl(relay)}/v1/complete -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '{"prompt":"Say hello."}'`,
  );
  say('  The relay proves the lock and then serves requests; /ready reports when. Stop with Ctrl-C.');
  await aborted(stop.signal);
  stop.onAgain = () => relay.hurry();
  report.stopping();
  await relay.close();
  await report.close();
}

/** Where this machine calls the relay: no program connects to a wildcard address. */
export function callUrl(relay: Pick<Relay, 'url'>): string {
  const { hostname, port } = new URL(relay.url);
  return localUrl({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80) });
}

/** Starts a relay that logs to stdout. */
export async function startLogged(
  config: Config,
  claudeBin: string,
  doctor?: RelayOptions['doctor'],
): Promise<Relay> {
  try {
    return await startRelay({
      config,
      claudeBin,
      log: createLog(config.logLevel),
      ...(doctor && { doctor }),
    });
  } catch (error) {
    const sentence = cannotListen((error as NodeJS.ErrnoException).code, config);
    throw sentence === undefined ? error : new CommandError(sentence);
  }
}

/** Messages go to stderr. stdout is for the log, one JSON object a line. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
