/** `claude-relay install`: the relay as a service of this user; `--uninstall` takes it away again. The work of install.sh. */
import { existsSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { loadConfig, type Config, loadConfigIfValid } from '../config.ts';
import { installLaunchd, relayAgent, uninstallLaunchd } from '../service/launchd.ts';
import { localUrl } from '../service/probe.ts';
import { relayUnit } from '../service/relay-unit.ts';
import { runner, ServiceError } from '../service/run.ts';
import { planService, requireServiceLogin, type ServicePlan } from '../service/service-environment.ts';
import { funnelUrl } from '../service/tailscale.ts';
import { installSystemd, uninstallSystemd, unitPath, relayService } from '../service/systemd.ts';
import { userManager, hasNamespaces } from '../service/user-manager.ts';
import { withExamples, parseCount } from './text/parse.ts';
import { limitsOff } from './settings-warnings.ts';
import { processTerminal, type Terminal } from './text/terminal.ts';
import { requireScratch } from './scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export type InstallContext = {
  /** config.env. */
  file: () => string;
  terminal?: Terminal;
  platform?: NodeJS.Platform;
};

type Options = { uninstall?: boolean; purge?: boolean; print?: boolean; wait: number };

export function addInstallCommand(program: Command, context: InstallContext): void {
  const command = program
    .command('install')
    .description('run the relay as a service of this user, without root (install.sh does this)')
    .option('--uninstall', 'stop the service and remove what an install made; keys, usage and settings stay')
    .option('--purge', 'with --uninstall: remove keys and usage, too')
    .option('--print', 'only print the unit file (macOS: the property list) that would be written')
    .option('--wait <seconds>', 'how long to wait until the relay is ready', parseCount(1, 3600), 180)
    .action((options: Options) => install(options, context));
  withExamples(command, [
    ['claude-relay install', 'install, or upgrade in place (as ./install.sh does)'],
    ['claude-relay install --uninstall', 'take it away again; keys, usage and settings stay'],
    ['claude-relay install --uninstall --purge', 'and remove keys and usage'],
    ['claude-relay install --print', 'see the unit file first'],
  ]);
}

/** Throws ServiceError, ConfigError or CliMissing. */
export async function install(options: Options, context: InstallContext): Promise<void> {
  const { terminal = processTerminal(), platform = process.platform } = context;
  const file = resolve(context.file());
  const say = (line: string): void => terminal.err(`${line}\n`);
  const { uid, username: name } = userInfo();
  const user = { uid, name };
  const { config, env } = loadConfigIfValid(file);
  // Wrong ones are in the way of everything but taking the service away; what is removed for good, only right ones name.
  const shell =
    config ?? (options.uninstall === true && options.purge !== true ? undefined : loadConfig({ file }));
  if (options.purge === true && options.uninstall !== true)
    throw new ServiceError('--purge goes with --uninstall.');
  if (uid === 0 && (env['SUDO_USER'] ?? 'root') !== 'root') {
    throw new ServiceError(
      'Run this without sudo, as the user who is logged in to Claude Code: the service is that user’s own.',
    );
  }
  const isMac = platform === 'darwin';
  if (!isMac && platform !== 'linux') {
    throw new ServiceError(
      `There is no service for ${platform}. Run the relay in the foreground with ./run.sh; on Windows, in WSL.`,
    );
  }
  const cacheName = isMac ? 'Library/Caches' : '.cache';

  if (options.uninstall === true || shell === undefined) {
    const home = env['HOME'] ?? '';
    if (!isAbsolute(home)) throw new ServiceError('HOME is not set: nobody knows whose service it is.');
    const found = isMac
      ? await uninstallLaunchd(runner(env), uid, home, say)
      : await uninstallSystemd({ env, user, say });
    if (!found) say('There is no service of the relay here.');
    rmSync(join(env['XDG_CACHE_HOME'] ?? join(home, cacheName), 'claude-relay'), {
      recursive: true,
      force: true,
    });
    if (shell !== undefined && (await funnelUrl(runner(env), localUrl(shell))) !== undefined) {
      say(
        `Warning: Tailscale Funnel still leads to port ${shell.port} of this machine: bin/claude-relay expose tailscale --off`,
      );
    }
    tellData(shell?.dataDir, options.purge === true, say);
    return;
  }

  const planFor = (manager: Record<string, string>): ServicePlan =>
    planService({ root, file, shell, manager, cacheName });

  if (isMac) {
    const run = runner(env);
    const launchdEnv = {
      PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
      ...only(env, ['HOME', 'USER', 'LOGNAME', 'TMPDIR']),
    };
    const plan = planFor(launchdEnv);
    if (options.print === true) return terminal.out(relayAgent(plan));
    await checkLogin(plan, shell);
    await installLaunchd({ plan, run, uid, waitMs: options.wait * 1000, say });
    return tellDone(plan);
  }

  const manager = await userManager(env, user, { linger: options.print !== true });
  const template = readFileSync(join(root, 'systemd', relayService), 'utf8');
  const unit = unitPath(env, relayService);
  try {
    const plan = planFor(manager.environment);
    if (options.print === true) {
      const facts = { ...manager, namespaces: await hasNamespaces(manager.run) };
      return terminal.out(relayUnit(template, plan.config, plan.host, facts));
    }
    await checkLogin(plan, shell);
    await installSystemd({ plan, manager, template, unit, waitMs: options.wait * 1000, say });
    tellDone(plan);
  } catch (error) {
    // An uninstall would turn it off again, but nothing was installed.
    if (manager.lingerEnabled && !existsSync(unit)) await manager.run('loginctl', ['disable-linger', name]);
    throw error;
  }

  async function checkLogin(plan: ServicePlan, shell: Config): Promise<void> {
    requireScratch();
    await requireServiceLogin(plan, shell);
    for (const notice of plan.notices) say(`Note: ${notice}`);
    for (const limit of limitsOff(plan.config)) say(`Warning: ${limit} is 0: that limit is off.`);
  }

  function tellDone({ config }: ServicePlan): void {
    say(`
The relay is ready on ${localUrl(config)}, and comes back after a crash and a reboot.
  Make a key:  KEY=$(bin/genkey my-app)
  State:       ${isMac ? 'launchctl print gui/$(id -u)/claude-relay' : 'systemctl --user status claude-relay'}
  Log:         ${isMac ? 'tail -f ~/Library/Logs/claude-relay.log' : 'journalctl --user -u claude-relay -f'}
  Upgrade:     git pull && ./install.sh   (also after a change of config.env)
  Undo:        ./install.sh --uninstall   (keys, usage and settings stay; add --purge to remove keys and usage)`);
  }
}

/** `dataDir` is undefined where the settings are wrong. */
function tellData(dataDir: string | undefined, purge: boolean, say: (line: string) => void): void {
  if (!purge || dataDir === undefined) {
    const where = dataDir === undefined ? 'where they are' : `in ${dataDir}`;
    say(`Keys and usage stay ${where} (--purge removes them). config.env and this folder stay, too.`);
    return;
  }
  // By name: the directory may be one that holds more than the relay's.
  for (const file of ['relay.db', 'relay.db-wal', 'relay.db-shm'])
    rmSync(join(dataDir, file), { force: true });
  try {
    rmdirSync(dataDir);
  } catch {
    // Not there, or not only the relay's.
  }
  say(`Removed keys and usage from ${dataDir}. config.env and this folder stay.`);
}

function only(env: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => names.includes(name)));
}
