/** `claude-relay install`: installs the relay as a service of this user, or uninstalls it. */
import { existsSync, rmdirSync, rmSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { loadConfig, loadConfigIfValid, processEnv, type Config, type ConfigSources } from '../config.ts';
import { installCommand, isFromNpx, relayCommand, runCommand, updateCommand, way } from '../installation.ts';
import { installLaunchd, relayAgent, uninstallLaunchd } from '../service/launchd.ts';
import { localUrl } from '../service/ready.ts';
import { relayUnit } from '../service/relay-unit.ts';
import { runProgramWith } from '../service/run-program.ts';
import {
  cacheDirectory,
  requireServiceLogin,
  setupService,
  type Say,
  type ServiceSetup,
} from '../service/setup.ts';
import { takeOverSettings } from '../service/settings-file.ts';
import { units } from '../service/state.ts';
import { installSystemd, uninstallSystemd, unitPath } from '../service/systemd.ts';
import { funnelUrl } from '../service/tailscale.ts';
import { disableLinger, hasNamespaces, userManager } from '../service/user-manager.ts';
import { databaseFiles } from '../store/copies.ts';
import { addSections } from './help.ts';
import { requireScratch } from './scratch.ts';
import { parseCount } from './text/parse.ts';
import { processTerminal, type Terminal } from './text/terminal.ts';
import { limitsOff } from './settings-warnings.ts';

/** For `install` and `expose`. */
export type InstallContext = {
  configFile(): string;
  /** The process's own by default. */
  env?: ConfigSources['env'];
  terminal?: Terminal;
};

const isMac = process.platform === 'darwin';

type Options = { uninstall?: boolean; purge?: boolean; print?: boolean; wait: number };

export function addInstallCommand(program: Command, context: InstallContext): void {
  const command = program
    .command('install')
    .description('install the relay as a service of this user, without root')
    .option('--uninstall', 'stop and remove the service and its tunnels; keys, usage and settings stay')
    .option('--purge', 'with --uninstall: also remove keys and usage')
    .option('--print', 'print the unit file (macOS: the property list) and change nothing')
    .option('--wait <seconds>', 'how long to wait until the relay is ready', parseCount(1, 3600), 180)
    .action((options: Options) => install(options, context));
  addSections(
    command,
    {
      title: 'Files',
      items: [
        ['$XDG_CONFIG_HOME/systemd/user/claude-relay.service', 'the service (systemd)'],
        ['~/Library/LaunchAgents/claude-relay.plist', 'the service (macOS)'],
        ['$XDG_CACHE_HOME/claude-relay/', 'compiled code, which makes a start faster'],
      ],
    },
    {
      title: 'Examples',
      items: [
        ['claude-relay install --print', 'show the unit first'],
        ['claude-relay install', 'install, upgrade or restart'],
        ['claude-relay install --uninstall', 'keys, usage and settings stay'],
      ],
    },
  );
}

/** One run of the command. */
type Install = {
  options: Options;
  file: string;
  env: Record<string, string>;
  terminal: Terminal;
  say: Say;
};

/** Throws CommandError, ConfigError or CliMissing. */
async function install(options: Options, context: InstallContext): Promise<void> {
  const { terminal = processTerminal(), env: shellEnv = processEnv } = context;
  const file = resolve(context.configFile());
  const { config, env } = loadConfigIfValid(file, shellEnv);
  if (options.purge === true && options.uninstall !== true) {
    throw new CommandError('--purge requires --uninstall.');
  }
  if (process.getuid?.() === 0 && (env['SUDO_USER'] ?? 'root') !== 'root') {
    throw new CommandError(
      'Run this without sudo, as the user who is logged in to Claude Code. The service belongs to that user.',
    );
  }
  if (way === 'image') {
    throw new CommandError('A container needs no service: its engine starts it with the machine.');
  }
  if (!isMac && process.platform !== 'linux') {
    throw new CommandError(
      `A service is not supported on ${process.platform}. Run the relay in the foreground with ${runCommand}. On Windows, use WSL.`,
    );
  }
  if (!isAbsolute(env['HOME'] ?? '')) {
    throw new CommandError('HOME is not set; cannot tell which user the service is for.');
  }
  const run: Install = { options, file, env, terminal, say: (line) => terminal.err(`${line}\n`) };
  if (isMac) run.say('Note: the service for macOS is tested with a fake launchd only, not on a Mac.');
  if (options.uninstall === true) {
    // Invalid settings do not block an uninstall. A purge requires valid ones: they name the files that are lost.
    const settings = options.purge === true ? loadConfig({ env: shellEnv, file }) : config;
    return uninstall(run, settings);
  }
  if (isFromNpx) {
    throw new CommandError(
      'npx keeps this package in a cache, from which no service can run. Install it first: npm install -g claude-relay',
    );
  }
  const shell = config ?? loadConfig({ env: shellEnv, file });
  return isMac ? installOnMac(run, shell) : installOnLinux(run, shell);
}

/** After the checks: an install that is refused moves no settings. */
function withMovedSettings(setup: ServiceSetup, { file, env, say }: Install): ServiceSetup {
  const copy = takeOverSettings(file, env);
  if (copy === undefined) return setup;
  say(`Copied ${file} to ${copy}. Change the settings there: the checkout is no longer used.`);
  return { ...setup, host: { ...setup.host, file: copy } };
}

async function installOnLinux(run: Install, shell: Config): Promise<void> {
  const { options, file, env, terminal, say } = run;
  const manager = await userManager(env, { linger: options.print !== true });
  const path = unitPath(env, units.relay);
  try {
    const checked = setupService(file, shell, manager.environment);
    if (options.print === true) {
      const namespaces = await hasNamespaces(manager.run);
      return terminal.out(relayUnit(checked, { ...manager, namespaces }));
    }
    await checkSetup(checked, say);
    const setup = withMovedSettings(checked, run);
    await installSystemd({ setup, waitMs: options.wait * 1000, say }, manager, path);
    say(doneText(setup, 'systemctl --user status claude-relay', 'journalctl --user -u claude-relay -f'));
  } catch (error) {
    // Nothing was installed, so no uninstall would turn lingering off.
    if (manager.lingerEnabled && !existsSync(path)) await disableLinger(manager.run);
    throw error;
  }
}

async function installOnMac(run: Install, shell: Config): Promise<void> {
  const { options, file, env, terminal, say } = run;
  const kept = Object.entries(env).filter(([name]) => ['HOME', 'USER', 'LOGNAME', 'TMPDIR'].includes(name));
  const manager = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', ...Object.fromEntries(kept) };
  const checked = setupService(file, shell, manager);
  if (options.print === true) return terminal.out(relayAgent(checked));
  await checkSetup(checked, say);
  const setup = withMovedSettings(checked, run);
  await installLaunchd({ setup, waitMs: options.wait * 1000, say }, runProgramWith(env));
  const state = 'launchctl print gui/$(id -u)/claude-relay';
  say(doneText(setup, state, 'tail -f ~/Library/Logs/claude-relay.log'));
}

async function checkSetup(setup: ServiceSetup, say: Say): Promise<void> {
  requireScratch();
  await requireServiceLogin(setup);
  for (const notice of setup.notices) say(`Note: ${notice}`);
  for (const limit of limitsOff(setup.config)) say(`Warning: ${limit} is 0: that limit is off.`);
}

function doneText({ config, host: { file } }: ServiceSetup, state: string, log: string): string {
  return `
The relay is ready on ${localUrl(config)}. It restarts after a crash and after a reboot.
  Create a key:  KEY=$(${relayCommand} key create my-app)
  Show state:    ${state}
  Follow log:    ${log}
  Change:        edit ${file}, then ${installCommand}
  Update:        ${updateCommand}
  Uninstall:     ${installCommand} --uninstall   (keys, usage and settings stay; --purge also removes keys and usage)`;
}

/** `config` is undefined when the settings are not valid. */
async function uninstall({ options, file, env, say }: Install, config: Config | undefined): Promise<void> {
  const run = runProgramWith(env);
  const found = await (isMac ? uninstallLaunchd(run, env['HOME'] ?? '', say) : uninstallSystemd(env, say));
  if (!found) say('The relay is not installed as a service.');
  rmSync(cacheDirectory(env), { recursive: true, force: true });
  if (config !== undefined && (await funnelUrl(run, localUrl(config))) !== undefined) {
    say(
      `Warning: Tailscale Funnel still forwards to port ${config.port}. To turn it off: ${relayCommand} expose tailscale --off`,
    );
  }
  if (config !== undefined && options.purge === true) return purge(config.dataDir, file, say);
  const where = config === undefined ? 'where they are' : `in ${config.dataDir}`;
  say(`Keys and usage stay ${where} (--purge removes them). The settings (${file}) and the program stay.`);
}

function purge(dataDir: string, file: string, say: Say): void {
  // By name: the directory may hold other files.
  for (const file of databaseFiles(dataDir)) rmSync(join(dataDir, file), { force: true });
  try {
    rmdirSync(dataDir);
  } catch {
    // The directory does not exist, or holds other files.
  }
  say(`Removed keys and usage from ${dataDir}. The settings (${file}) and the program stay.`);
}
