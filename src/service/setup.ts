/** What the relay finds when a service manager starts it, which is less than in the owner's shell. */
import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { findCli, loginStatus, notLoggedIn } from '../claude/cli.ts';
import { passedEnv, type HostEnv } from '../claude/lock.ts';
import { CommandError } from '../command-error.ts';
import { loadConfig, type Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { documentAt, root, way } from '../installation.ts';
import { settings } from '../settings.ts';
import { xdgDirectory } from '../xdg.ts';
import type { Host } from './relay-unit.ts';

export type ServiceSetup = {
  /** The settings that the service will read. */
  config: Config;
  host: Host;
  /** Notes for the owner, one sentence each. */
  notices: string[];
};

/** Reports a step to the user. */
export type Say = (line: string) => void;

/** One install of the service. */
export type ServiceInstall = {
  setup: ServiceSetup;
  /** Milliseconds in which the relay must be ready. */
  waitMs: number;
  say: Say;
};

/** These decide where the relay finds its login and its data, so the service gets the shell's values. */
const carried = ['CLAUDE_CONFIG_DIR', 'XDG_DATA_HOME'] as const;
/** Every program has these, and the relay needs no note about them. */
const everywhere = new Set(['HOME', 'PATH', 'LANG', 'TZ', 'USER', 'LOGNAME', 'XDG_CONFIG_HOME', ...carried]);

/** For Node's compiled code: the service cannot write to the checkout. */
export function cacheDirectory(env: HostEnv): string {
  const caches = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
  return join(xdgDirectory(env, 'XDG_CACHE_HOME', caches), 'claude-relay');
}

/**
 * `file` is config.env, `shell` has the settings in this shell, and `manager` the variables that every service gets. Throws
 * ConfigError, CliMissing or CommandError.
 */
export function setupService(file: string, shell: Config, manager: HostEnv): ServiceSetup {
  const home = shell.hostEnv['HOME'] ?? '';
  const claudeBin = findCli(shell.claudeBin, shell.hostEnv);
  const cacheDir = cacheDirectory({ HOME: home, ...manager });
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
      'PORT is 0, which picks another port at each start. Set a fixed PORT in config.env.',
    );
  }
  return {
    config,
    host: { root, file, home, environment, cacheDir },
    notices: onlyInShell(shell, config).map(
      (name) =>
        `${name} is set in this shell only, and the service will not have it. Set it in config.env, or see ${documentAt('docs/operations.md')} for a variable that is not a setting.`,
    ),
  };
}

/** Of the Node on PATH, which a CLI installed with npm needs, and by its name there: an upgrade of Node keeps that name. */
function nodeDirectory(path: string | undefined): string {
  const node = findProgram('node', path);
  const isOther = way !== 'checkout' && node !== undefined && realpathSync(node) !== process.execPath;
  return dirname(node === undefined || isOther ? process.execPath : node);
}

/** fnm gives each shell a link to a directory, and the link is gone after a restart of the machine. */
function lasting(directory: string): string {
  return directory.includes('/fnm_multishells/') ? realpathSync(directory) : directory;
}

function pathOf(claudeBin: string, shellPath: string | undefined, managerPath = ''): string {
  const cli = lasting(dirname(claudeBin));
  const node = lasting(nodeDirectory(shellPath));
  const directories = [
    // A package runs with the Node on PATH, and another one can be next to the CLI. A checkout has its own.
    ...(way === 'checkout' ? [cli, node] : [node, cli]),
    ...managerPath.split(':'),
    '/usr/local/bin',
    '/usr/bin',
    '/bin',
  ];
  return [...new Set(directories.filter((directory) => isAbsolute(directory)))].join(':');
}

/** The settings and the CLI's variables that this shell has and the service will not. */
function onlyInShell(shell: Config, service: Config): string[] {
  const names = [...settings.keys(), ...passedEnv].filter((name) => !everywhere.has(name));
  return names.filter(
    (name) => (shell.hostEnv[name] ?? '') !== '' && shell.hostEnv[name] !== service.hostEnv[name],
  );
}

/** Throws when the service would find no CLI, or one that reports that it is not logged in. */
export async function requireServiceLogin({ config, notices }: ServiceSetup): Promise<void> {
  const claudeBin = findCli(config.claudeBin, config.hostEnv);
  const { loggedIn } = await loginStatus(claudeBin, config.hostEnv);
  if (loggedIn === false) throw new CommandError([notLoggedIn(claudeBin).message, ...notices].join('\n'));
}
