/** `claude-relay login`: `claude setup-token`, and its token into config.env, where a service finds it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { text as textOfStream } from 'node:stream/consumers';
import type { Command } from 'commander';
import { findCli } from '../claude/cli.ts';
import { lockedEnv } from '../claude/lock.ts';
import type { Config } from '../config.ts';
import { CommandError } from '../command-error.ts';
import { withExamples } from './text/parse.ts';
import { hiddenInput, processTerminal, type Terminal } from './text/terminal.ts';
import { relayState, startCommand } from '../service/state.ts';
import { runOnBus } from '../service/user-manager.ts';
import { setVariable } from './settings-edit.ts';
import { makeScratch } from './scratch.ts';

const variable = 'CLAUDE_CODE_OAUTH_TOKEN';

export type LoginContext = { config(): Config; configFile(): string };

export function addLoginCommand(program: Command, context: LoginContext): void {
  const command = program
    .command('login')
    .description('make a long-lived token with claude setup-token and keep it in config.env')
    .option('--paste', 'ask for a token that is there already, instead of running claude setup-token')
    .action((options: { paste?: boolean }) => login(context, options.paste === true, processTerminal()));
  withExamples(
    command,
    [
      ['claude-relay login', 'runs claude setup-token here, then asks for the token it showed'],
      ['claude-relay login --paste', 'for a token that was made on another machine'],
      ['claude-relay login < token.txt', 'where there is no terminal: the token on stdin'],
    ],
    'The token is never shown, and never an argument. config.env is readable by you alone afterwards.\nExit status: 0 when it was kept, 1 when not.',
  );
}

async function login(context: LoginContext, paste: boolean, terminal: Terminal): Promise<void> {
  const config = context.config();
  const file = context.configFile();
  const token = checkedToken(await readToken(config, paste, terminal));
  setVariable(file, variable, token);
  terminal.err(`Kept as ${variable} in ${file} (mode 600).\n`);
  for (const name of ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN']) {
    if ((config.hostEnv[name] ?? '') === '') continue;
    terminal.err(
      `Warning: ${name} is set, too, and versions of Claude Code differ in which one counts. Keep one.\n`,
    );
  }
  const service = await relayState(runOnBus(config.hostEnv));
  terminal.err(
    `It counts from the next start on: ${startCommand(service, { again: true })}. Then: bin/claude-relay doctor\n`,
  );
}

async function readToken(config: Config, paste: boolean, terminal: Terminal): Promise<string> {
  // No terminal to guide anybody on: a script or a pipe brings the token.
  if (!process.stdin.isTTY) return textOfStream(process.stdin);
  if (!paste) {
    terminal.err(
      'claude setup-token opens a page where you log in, and then shows a token: copy it. (Ctrl-C ends this.)\n\n',
    );
    await setupToken(config);
  }
  const pasted = await hiddenInput(process.stdin, () =>
    terminal.err('\nPaste the token, then Enter. It is not shown: '),
  );
  terminal.err('\n');
  if (pasted === undefined) throw new CommandError('Nothing was changed.');
  return pasted;
}

/** On this terminal, as the owner would: it needs one. */
async function setupToken(config: Config): Promise<void> {
  const claudeBin = findCli(config.claudeBin, config.hostEnv);
  const scratch = makeScratch('relay-login-');
  try {
    const env = lockedEnv(config.hostEnv, scratch);
    // It is to make a new login, whatever is there; and it needs to know the terminal.
    for (const name of [variable, 'ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN']) delete env[name];
    for (const name of terminalVariables) {
      if (config.hostEnv[name] !== undefined) env[name] = config.hostEnv[name];
    }
    const child = spawn(claudeBin, ['setup-token'], { env, cwd: scratch, stdio: 'inherit' });
    // The terminal sends Ctrl-C to both: what becomes of it is the child's to say.
    const ignore = (): void => {};
    process.on('SIGINT', ignore);
    const [code] = (await once(child, 'exit')) as [number | null];
    process.off('SIGINT', ignore);
    if (code !== 0) {
      throw new CommandError('claude setup-token ended without a token. Nothing was changed.');
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What a page in a browser and a terminal of any kind take. */
const terminalVariables = [
  'TERM',
  'COLORTERM',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'BROWSER',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
  'SSH_CONNECTION',
  'SSH_TTY',
] as const;

/** Without the line ends that a terminal puts into a long one. Throws a CommandError that does not repeat it. */
export function checkedToken(text: string): string {
  const token = text
    .replaceAll(/\s/g, '')
    .replace(new RegExp(`^(?:export)?${variable}=`), '')
    .replaceAll(/^["']|["']$/g, '');
  if (token === '') throw new CommandError('There was no token on stdin. Nothing was changed.');
  if (/^sk-ant-oat\d{2}-[\w-]{32,}$/.test(token) && token.length <= 1000) return token;
  const what = token.startsWith('sk-ant-api')
    ? 'That is an API key: write it into config.env as ANTHROPIC_API_KEY yourself.'
    : token.startsWith('sk-ant-oat')
      ? 'That is only a part of a token, or more than one: copy all of it.'
      : token.startsWith('crk_')
        ? "That is a key of the relay's own."
        : 'That is no token of claude setup-token, which begins with sk-ant-oat.';
  throw new CommandError(`${what} Nothing was changed.`);
}
