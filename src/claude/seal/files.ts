/** The files that a sealed process can see: the program, what its loader needs, its configuration, and its own directory. Pure but for links. */
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { configDirectory, namesIn } from '../proof/canary-home.ts';
import type { HostEnv } from '../lock.ts';

export type Places = {
  read: readonly string[];
  write: readonly string[];
  /** Inside of them, and empty for the process. */
  hidden: readonly string[];
};

/** `/etc` holds secrets and names of the host, so each file is named. */
const system = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib64',
  '/nix/store',
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/alternatives',
  '/etc/ssl',
  '/etc/pki',
  '/etc/ca-certificates',
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/nsswitch.conf',
  '/etc/passwd',
  '/etc/group',
  '/etc/localtime',
  '/etc/timezone',
  // What an administrator prescribes stays in force.
  '/etc/claude-code',
];

/** What the CLI would obey in the owner's next session. */
const obeyed = [
  'settings.json',
  'settings.local.json',
  'CLAUDE.md',
  'AGENTS.md',
  'hooks',
  'commands',
  'agents',
  'skills',
  'rules',
  'output-styles',
  'local',
];

/** What the owner has asked and been answered in other sessions. */
const conversations = [
  'projects',
  'history.jsonl',
  'file-history',
  'paste-cache',
  'shell-snapshots',
  'todos',
  'debug',
];

/** A stored login is renewed in the configuration directory; without one, nothing there needs to be written. */
export function hasStoredLogin(hostEnv: HostEnv): boolean {
  const others = ['CLAUDE_CODE_OAUTH_TOKEN', 'ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'];
  return others.every((name) => (hostEnv[name] ?? '') === '');
}

/**
 * Whether a process could create a file there that the owner's next session obeys. A bind needs a file or a directory under the name:
 * one that does not exist, or is a link, stays open while the directory can be written.
 */
export function canAddSettings(hostEnv: HostEnv): boolean {
  const config = configDirectory(hostEnv);
  return (
    hasStoredLogin(hostEnv) &&
    obeyed.some((name) => !existsSync(join(config, name)) || isLink(join(config, name)))
  );
}

/**
 * Those that exist. No link in the configuration directory is followed: where a process can write there, it could leave one to a file
 * of the owner for the next process. Only a login may be elsewhere, under its name.
 */
export function placesOf(claudeBin: string, hostEnv: HostEnv): Places {
  const home = hostEnv['HOME'] ?? homedir();
  const config = configDirectory(hostEnv);
  const stored = hasStoredLogin(hostEnv);
  const named = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR'].map((name) => hostEnv[name] ?? '');
  const real = (paths: readonly string[]): string[] => paths.filter((path) => existsSync(path));
  const plain = (names: readonly string[]): string[] =>
    real(names.map((name) => join(config, name))).filter((path) => !isLink(path));
  // Elsewhere only, where no process can put another link in its place while the next one starts.
  const login = linkTargets(config).filter(
    (path) => basename(path) === credentials && !path.startsWith(`${realpathSync(config)}/`),
  );
  return {
    read: real([
      ...system,
      ...programFiles(claudeBin),
      ...named.filter((path) => path.startsWith('/')),
      ...(hostEnv['CLAUDE_CONFIG_DIR'] === undefined ? [join(home, '.claude.json')] : []),
      ...(stored ? plain(obeyed) : [config]),
    ]),
    write: real(stored ? [config, ...login] : []),
    hidden: plain(conversations),
  };
}

const credentials = '.credentials.json';

/** Where the links in a directory lead, without those that lead nowhere. */
export function linkTargets(directory: string): string[] {
  return namesIn(directory)
    .map((name) => join(directory, name))
    .filter((path) => isLink(path) && existsSync(path))
    .map((path) => realpathSync(path));
}

/** The program's package, or the file alone. */
function programFiles(claudeBin: string): string[] {
  const file = realpathSync(claudeBin);
  const [packageDirectory] = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? [];
  return [packageDirectory ?? file, claudeBin];
}

/** Arguments of bwrap. `own` is the process's directory. What is written elsewhere is gone with the process. */
export function bwrapArgs({ read, write, hidden }: Places, own: string): string[] {
  const bind = (flag: string, path: string): string[] => {
    // Such as /lib. /etc/localtime must stay a link, too: its target names the time zone, which a program would search for.
    if (isLink(path) && isOfSystem(path)) {
      const target = readlinkSync(path);
      if (resolve(dirname(path), target).startsWith('/usr/')) return ['--symlink', target, path];
    }
    return [flag, path, path];
  };
  return [
    ...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--die-with-parent', '--cap-drop', 'ALL', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
    ...write.flatMap((path) => bind('--bind', path)),
    ...read.flatMap((path) => bind('--ro-bind', path)),
    ...hidden.flatMap((path) =>
      lstatSync(realpathSync(path)).isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path],
    ),
    ...['--bind', own, own, '--chdir', join(own, 'work')],
  ];
}

function isOfSystem(path: string): boolean {
  return ['/', '/etc'].includes(dirname(path));
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

const readRights = 'execute,read-file,read-dir';
/** Everything under a directory of the process. */
const allRights =
  'execute,read-file,read-dir,write-file,remove-dir,remove-file,make-dir,make-reg,make-sock,make-fifo,make-sym,refer,truncate';

/** In the kernel's file systems: the process itself, and the measures of the machine. */
const devices = [
  '/dev/urandom',
  '/dev/random',
  '/proc/self',
  '/proc/cpuinfo',
  '/proc/meminfo',
  '/proc/stat',
  '/proc/sys',
  '/proc/uptime',
  '/proc/version',
  '/sys/devices/system/cpu',
  '/sys/fs/cgroup',
];

/** Arguments of setpriv, which reads the `filter` under them. They cannot hide a part of what can be read. */
export function landlockArgs({ read, write }: Places, own: string, filter: string): string[] {
  const rule = (rights: string, path: string): string[] => [
    '--landlock-rule',
    `path-beneath:${lstatSync(realpathSync(path)).isDirectory() ? rights : fileRights(rights)}:${path}`,
  ];
  return [
    ...['--no-new-privs', '--landlock-access', 'fs'],
    // With the rights of root it could read the environment of every process.
    ...(process.getuid?.() === 0 ? ['--bounding-set=-all', '--inh-caps=-all'] : []),
    ...[...read, filter, ...devices]
      .filter((path) => existsSync(path))
      .flatMap((path) => rule(readRights, path)),
    ...[...write, own].flatMap((path) => rule(allRights, path)),
    ...['/dev/null', '/dev/zero']
      .filter((path) => existsSync(path))
      .flatMap((path) => rule('read-file,write-file', path)),
  ];
}

/** Those of them that a file can have. */
function fileRights(rights: string): string {
  return rights
    .split(',')
    .filter((right) => ['execute', 'read-file', 'write-file', 'truncate'].includes(right))
    .join(',');
}
