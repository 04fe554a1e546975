/** What the relay will find when a service manager starts it, which is less than what the owner's shell has. */
import { dirname, isAbsolute, join } from 'node:path';
import { findCli, loginStatus, notLoggedIn } from '../claude/cli.ts';
import { passedEnv, type HostEnv } from '../claude/lock.ts';
import { CommandError } from '../command-error.ts';
import { loadConfig, loginVariables, type Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { settings } from '../settings.ts';
import type { Host } from './relay-unit.ts';

export type ServiceSetup = {
  /** The settings as the service will read them. */
  config: Config;
  host: Host;
  claudeBin: string;
  /** What the owner should know before it runs, one sentence each. */
  notices: string[];
};

export type SetupOptions = {
  /** The checkout. */
  root: string;
  /** config.env. */
  file: string;
  /** The settings as this shell has them. */
  shell: Config;
  /** What the service manager gives to a service by itself. */
  manager: HostEnv;
  /** Where caches of programs go on this system, below the home directory. */
  cacheName: string;
};

/** Of the shell, these decide where the relay finds what it had before: the service gets them, too. */
const carried = ['CLAUDE_CONFIG_DIR', 'XDG_DATA_HOME'] as const;
/** Every login and every program has these; they say nothing about the relay. */
const everywhere = new Set(['HOME', 'PATH', 'LANG', 'TZ', 'USER', 'LOGNAME', 'XDG_CONFIG_HOME', ...carried]);

/** Throws ConfigError, CliMissing or CommandError. */
export function setupService({ root, file, shell, manager, cacheName }: SetupOptions): ServiceSetup {
  const home = shell.hostEnv['HOME'] ?? '';
  if (!isAbsolute(home)) throw new CommandError('HOME is not set: the service would not know whose it is.');
  const claudeBin = findCli(shell.claudeBin, shell.hostEnv);
  const cacheDir = join(manager['XDG_CACHE_HOME'] ?? join(home, cacheName), 'claude-relay');
  const environment: Record<string, string> = {
    PATH: pathOf(claudeBin, shell.hostEnv['PATH'], manager['PATH']),
    NODE_COMPILE_CACHE: cacheDir,
  };
  for (const name of carried) {
    const value = shell.hostEnv[name];
    if (value !== undefined && value !== manager[name]) environment[name] = value;
  }
  const config = loadConfig({ env: { HOME: home, ...manager, ...environment }, file });
  if (config.port === 0) {
    throw new CommandError(
      'PORT is 0, which picks another port at each start. Give the service a fixed one in config.env.',
    );
  }
  const claudeConfigDir = config.hostEnv['CLAUDE_CONFIG_DIR'] ?? join(home, '.claude');
  return {
    config,
    host: { root, file, home, environment, claudeConfigDir, cacheDir },
    claudeBin: findCli(config.claudeBin, config.hostEnv),
    notices: onlyInShell(shell, config).map(
      (name) => `${name} is set in this shell only. The service does not see it; ${placeFor(name)}`,
    ),
  };
}

function pathOf(claudeBin: string, shellPath: string | undefined, managerPath = ''): string {
  // A CLI that was installed with npm is a script, and so may be the relay's own Node.
  const node = findProgram('node', shellPath);
  const directories = [
    dirname(claudeBin),
    ...(node === undefined ? [] : [dirname(node)]),
    ...managerPath.split(':'),
    '/usr/local/bin',
    '/usr/bin',
    '/bin',
  ];
  return [...new Set(directories.filter((directory) => isAbsolute(directory)))].join(':');
}

/** Settings and variables of the CLI that this shell has and the service will not. */
function onlyInShell(shell: Config, service: Config): string[] {
  const names = [...settings.keys(), ...passedEnv].filter((name) => !everywhere.has(name));
  return names.filter(
    (name) => (shell.hostEnv[name] ?? '') !== '' && shell.hostEnv[name] !== service.hostEnv[name],
  );
}

function placeFor(name: string): string {
  return settings.has(name) || loginVariables.has(name)
    ? 'put it into config.env if it shall count.'
    : 'docs/operations.md says where it can stand.';
}

/** Throws CommandError unless the CLI is logged in, or cannot tell, in the environment that the service will have. */
export async function requireServiceLogin(
  { config, claudeBin, notices }: ServiceSetup,
  shell: Config,
): Promise<void> {
  const { loggedIn } = await loginStatus(claudeBin, config.hostEnv);
  if (loggedIn !== false) return;
  const here = await loginStatus(claudeBin, shell.hostEnv);
  if (here.loggedIn !== true) throw notLoggedIn(claudeBin);
  const what = 'Claude Code is logged in by a variable of this shell, which the service will not have.';
  throw new CommandError([what, ...notices].join('\n'));
}
