/** The relay's systemd unit, from its settings. Pure. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { commandWord, fillTemplate, unitWord } from './template.ts';

/** What a unit is made of besides the settings. */
export type Host = {
  /** The checkout. */
  root: string;
  /** config.env. */
  file: string;
  home: string;
  /** The service's variables: PATH, where Node keeps what it compiled, and what the shell knows that the service manager does not. */
  environment: Readonly<Record<string, string>>;
  /** Where the CLI keeps its login: it must be able to renew it. */
  claudeConfigDir: string;
  /** A directory for what may be thrown away: the checkout itself is read-only to the service. */
  cacheDir: string;
};

export type SystemdFacts = {
  /** Major version of systemd. */
  version: number;
  /** The manager's own. Its XDG_RUNTIME_DIR is where its sockets are. */
  environment: Readonly<Record<string, string>>;
  /** Whether this user's services can have namespaces. */
  namespaces: boolean;
  /** Whether the install turned lingering on, so that an uninstall turns it off. */
  lingerEnabled: boolean;
};

/** Seconds that a stop may take beyond the drain: processes that ignore SIGTERM, the database, a busy machine. */
const stopMarginSeconds = 30;

/** Measured on 2.1.330: 150 to 250 MiB and some 10 threads for each CLI process; the rest is room. */
const perProcess = { mib: 500, tasks: 32 };
/** The relay itself, with workers that read pages, and the proof and the plan's question, which have a process each. */
const relayItself = { mib: 1024, tasks: 128, processes: 2 };

const privateFiles = [
  '.ssh',
  '.gnupg',
  '.password-store',
  '.local/share/keyrings',
  '.mozilla',
  '.config/google-chrome',
];

/** What no service of the relay may see; the `-` lets a path be missing. */
export function hiddenPaths(home: string): string[] {
  return privateFiles.map((name) => `-${join(home, name)}`);
}

/** Seconds that the relay may take to end. */
export function stopSeconds({ drainTimeoutMs }: Pick<Config, 'drainTimeoutMs'>): number {
  return Math.ceil(drainTimeoutMs / 1000) + stopMarginSeconds;
}

/** Throws CommandError when a path cannot be in a unit file. */
export function relayUnit(
  template: string,
  { config, host }: { config: Config; host: Host },
  systemd: SystemdFacts,
): string {
  const processes =
    (config.limits.lanes.complete.concurrency || 64) + config.warmSpares + relayItself.processes;
  // From 253 on the manager hands over its socket connected, so that no process is needed for a message. It takes no specifier (%t) there.
  const runtimeDir = systemd.environment['XDG_RUNTIME_DIR'] ?? '';
  const handsOver = systemd.version >= 253 && /^\/[\w./-]+$/.test(runtimeDir);
  const words = (paths: readonly string[]): string => paths.map(unitWord).join(' ');
  return fillTemplate(
    template,
    {
      notify_access: handsOver ? 'main' : 'all',
      notify_file: handsOver ? `${runtimeDir}/systemd/notify:notify` : undefined,
      relay: commandWord(join(host.root, 'bin/claude-relay')),
      config: commandWord(host.file),
      stop_seconds: String(stopSeconds(config)),
      environment: words(Object.entries(host.environment).map(([name, value]) => `${name}=${value}`)),
      memory_mib: String(relayItself.mib + processes * perProcess.mib),
      tasks: String(relayItself.tasks + processes * perProcess.tasks),
      writable: words([config.dataDir, host.cacheDir, `-${host.claudeConfigDir}`]),
      hidden: words(hiddenPaths(host.home)),
      linger: systemd.lingerEnabled ? 'enabled-by-install' : 'as-it-was',
    },
    systemd,
  );
}

/** Whether an installed unit says that the install turned lingering on. */
export function enabledLinger(unit: string): boolean {
  return /^Linger=enabled-by-install$/m.test(unit);
}
