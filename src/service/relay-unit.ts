/** The relay's systemd unit, from its settings. */
import { dirname, join } from 'node:path';
import { configDirectory } from '../claude/proof/canary-home.ts';
import type { Config } from '../config.ts';
import { units } from './state.ts';
import { commandWord, fillTemplate, readCommandWord, unitWord } from './template.ts';
import type { UserManager } from './user-manager.ts';

/** What an installed service runs. */
export type InstalledProgram = { root: string; settings: string };

/** What a unit needs in addition to the settings. */
export type Host = {
  /** The checkout or the package. */
  root: string;
  /** config.env. */
  file: string;
  home: string;
  /** The service's variables. */
  environment: Readonly<Record<string, string>>;
  cacheDir: string;
};

export type SystemdFacts = Pick<UserManager, 'version' | 'environment'> & {
  /** Whether this user's services can have namespaces. */
  namespaces: boolean;
  /** Whether the install turned lingering on, so that an uninstall turns it off. */
  lingerEnabled: boolean;
};

/** Seconds after the drain for processes that ignore SIGTERM, the database, and a busy machine. */
const stopMarginSeconds = 30;

/** A CLI process takes 150 to 250 MiB and about 10 threads (measured on 2.1.330); the rest is reserve. */
const perProcess = { mib: 500, tasks: 32 };
/** The relay itself with its page workers; the proof and the question for usage windows each have a process. */
const relayItself = { mib: 1024, tasks: 128, processes: 2 };

const privateFiles = [
  '.ssh',
  '.gnupg',
  '.password-store',
  '.local/share/keyrings',
  '.mozilla',
  '.config/google-chrome',
];

/** Paths that no service of the relay can see. The `-` allows a path to be missing. */
export function hiddenPaths(home: string): string[] {
  return privateFiles.map((name) => `-${join(home, name)}`);
}

/** Seconds in which the relay must exit. */
export function stopSeconds({ drainTimeoutMs }: Pick<Config, 'drainTimeoutMs'>): number {
  return Math.ceil(drainTimeoutMs / 1000) + stopMarginSeconds;
}

/** Throws CommandError when a unit file cannot hold a path. */
export function relayUnit({ config, host }: { config: Config; host: Host }, systemd: SystemdFacts): string {
  const processes =
    (config.limits.lanes.complete.concurrency || 64) +
    config.pool.spares +
    config.pool.hot +
    relayItself.processes;
  // From 253 on the manager passes its connected socket, and a message needs no process. This directive accepts no specifier (%t).
  const runtimeDir = systemd.environment['XDG_RUNTIME_DIR'] ?? '';
  const handsOver = systemd.version >= 253 && /^\/[\w./-]+$/.test(runtimeDir);
  const words = (paths: readonly string[]): string => paths.map(unitWord).join(' ');
  const directories = [config.dataDir, host.cacheDir];
  return fillTemplate(
    units.relay,
    {
      notify_access: handsOver ? 'main' : 'all',
      notify_file: handsOver ? `${runtimeDir}/systemd/notify:notify` : undefined,
      directories: directories.map(commandWord).join(' '),
      relay: commandWord(join(host.root, 'bin/claude-relay')),
      config: commandWord(host.file),
      stop_seconds: String(stopSeconds(config)),
      environment: words(Object.entries(host.environment).map(([name, value]) => `${name}=${value}`)),
      memory_mib: String(relayItself.mib + processes * perProcess.mib),
      tasks: String(relayItself.tasks + processes * perProcess.tasks),
      // The CLI renews its login.
      writable: words([...directories, `-${configDirectory(config.hostEnv)}`]),
      hidden: words(hiddenPaths(host.home)),
      ...sealValues(config.seal !== 'off' && systemd.namespaces),
      linger: systemd.lingerEnabled ? 'enabled-by-install' : 'as-it-was',
    },
    systemd,
  );
}

/** What unshare, nsenter and bwrap need, which get their rights from a new user namespace. */
function sealValues(seals: boolean): Record<string, string | undefined> {
  return {
    seal_namespaces: seals ? 'user net mnt pid ipc uts cgroup' : undefined,
    seal_calls: seals ? 'capset mount umount2 pivot_root' : undefined,
    proc_mounts: seals ? undefined : 'yes',
    suid_filter: seals ? undefined : 'yes',
  };
}

/** Whether the install of this unit turned lingering on. */
export function enabledLinger(unit: string): boolean {
  return /^Linger=enabled-by-install$/m.test(unit);
}

/** What the service of this unit runs. Undefined for a unit of another kind. */
export function programOfUnit(unit: string): InstalledProgram | undefined {
  const words = /^ExecStart=\/bin\/sh ("(?:[^"\\]|\\.)*") --config ("(?:[^"\\]|\\.)*") serve\b/m.exec(unit);
  if (words?.[1] === undefined || words[2] === undefined) return undefined;
  const relay = readCommandWord(words[1]);
  return { root: dirname(dirname(relay)), settings: readCommandWord(words[2]) };
}
