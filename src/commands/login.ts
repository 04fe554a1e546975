/** `claude-relay login`: runs `claude setup-token` and saves its token to config.env, where a service finds it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text as textOfStream } from 'node:stream/consumers';
import type { Command } from 'commander';
import { findCli } from '../claude/cli.ts';
import { lockedEnv } from '../claude/lock.ts';
import type { Config } from '../config.ts';
import { CommandError } from '../command-error.ts';
import { relayCommand } from '../installation.ts';
import type { SettingsContext } from './context.ts';
import { hiddenInput, processTerminal, type Terminal } from './text/terminal.ts';
import { relayState, startCommand } from '../service/state.ts';
import { runOnBus } from '../service/user-manager.ts';
import { setVariable } from './settings-edit.ts';
import { makeScratch } from './scratch.ts';

const variable = 'CLAUDE_CODE_OAUTH_TOKEN';
const otherLogins = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'];

export function addLoginCommand(program: Command, context: SettingsContext): void {
  program
    .command('login')
    .description('create a long-lived token with claude setup-token and save it to config.env')
    .option('--paste', 'ask for an existing token instead of running claude setup-token')
    .action((options: { paste?: boolean }) => login(context, options.paste === true, processTerminal()));
}

async function login(context: SettingsContext, paste: boolean, terminal: Terminal): Promise<void> {
  const config = context.config();
  const file = context.configFile();
  const token = checkedToken(await readToken(config, paste, terminal));
  setVariable(file, variable, token);
  terminal.err(`Saved ${variable} to ${file} (mode 600).\n`);
  for (const name of otherLogins) {
    if ((config.hostEnv[name] ?? '') === '') continue;
    terminal.err(
      `Warning: ${name} is also set, and versions of Claude Code differ in which one they use. Keep one.\n`,
    );
  }
  const service = await relayState(runOnBus(config.hostEnv));
  terminal.err(
    `Restart the relay to use it: ${startCommand(service, { again: true })}. Then run ${relayCommand} doctor\n`,
  );
}

async function readToken(config: Config, paste: boolean, terminal: Terminal): Promise<string> {
  // Without a terminal, the token comes from a script or a pipe.
  if (!process.stdin.isTTY) return textOfStream(process.stdin);
  if (!paste) {
    terminal.err(
      'claude setup-token opens a page where you log in, and then shows a token. Copy the token. (Ctrl-C cancels.)\n\n',
    );
    await setupToken(config);
  }
  const pasted = await hiddenInput(process.stdin, () =>
    terminal.err('\nPaste the token, then press Enter. It is not shown: '),
  );
  terminal.err('\n');
  if (pasted === undefined) throw new CommandError('Nothing was changed.');
  return pasted;
}

/** Runs on this terminal, as the owner would run it: it requires one. */
async function setupToken(config: Config): Promise<void> {
  const claudeBin = findCli(config.claudeBin, config.hostEnv);
  using scratch = makeScratch('relay-login-');
  const env = lockedEnv(config.hostEnv, scratch.path);
  // It creates a new login, so it must not see an old one; and it needs the terminal's variables.
  for (const name of [variable, ...otherLogins]) delete env[name];
  for (const name of terminalVariables) {
    if (config.hostEnv[name] !== undefined) env[name] = config.hostEnv[name];
  }
  // The terminal sends Ctrl-C to both processes, and the child decides what to do: from its first moment on.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  const child = spawn(claudeBin, ['setup-token'], { env, cwd: scratch.path, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.off('SIGINT', ignore);
  if (code !== 0) throw new CommandError('claude setup-token failed. Nothing was changed.');
}

/** What a browser and a terminal need. */
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

/** Removes the line ends that a terminal adds to a long token. Throws a CommandError that does not repeat the token. */
export function checkedToken(text: string): string {
  const token = text
    .replaceAll(/\s/g, '')
    .replace(new RegExp(`^(?:export)?${variable}=`), '')
    .replaceAll(/^["']|["']$/g, '');
  if (token === '') throw new CommandError('stdin contained no token. Nothing was changed.');
  if (/^sk-ant-oat\d{2}-[\w-]{32,}$/.test(token) && token.length <= 1000) return token;
  const hint = token.startsWith('sk-ant-api') ? ' An API key goes into config.env as ANTHROPIC_API_KEY.' : '';
  throw new CommandError(
    `This is not one complete token of claude setup-token, which begins with sk-ant-oat.${hint} Nothing was changed.`,
  );
}
