/**
 * Two connected network namespaces, and programs in them.
 *
 *   <name>-app  the relay's host, 10.77.0.2; its name server comes from /etc/netns/<name>-app/resolv.conf
 *   <name>-net  the internet, 10.77.0.1: a router behind which every address is this machine (Linux "AnyIP")
 *
 * The public addresses are behind the router and not on the cable, because what is on the host's own network is denied.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { neighbour6, silentAddress, unreachableAddress } from './zone.ts';

export type Namespaces = {
  /** For files; deleted at the end. */
  readonly folder: string;
  /** Starts a program in a namespace. The program sends a message when it is ready, and exits when it is disconnected. */
  start(
    side: 'app' | 'net',
    file: string,
    environment: Record<string, string>,
    nodeFlags?: readonly string[],
  ): ChildProcess;
  readonly close: () => Promise<void>;
};

/** Requires root and `ip`. Throws and leaves nothing behind on failure. One pair per process. */
export function makeNamespaces(): Namespaces {
  const name = `crt-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), 'relay-pages-'));
  const sides = { app: `${name}-app`, net: `${name}-net` };
  const resolvConf = `/etc/netns/${sides.app}`;
  const children: ChildProcess[] = [];
  const remove = (): void => {
    for (const namespace of Object.values(sides)) quietly('ip', 'netns', 'del', namespace);
    rmSync(resolvConf, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    wire(sides.app, sides.net, resolvConf);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder,
    start: (side, file, environment, nodeFlags = []) => {
      const { PATH = '' } = process.env;
      const program = [process.execPath, ...nodeFlags, file];
      const child = spawn('ip', ['netns', 'exec', sides[side], ...program], {
        env: { PATH, ...environment },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      children.push(child);
      return child;
    },
    close: async () => {
      await Promise.all(children.map(end));
      remove();
    },
  };
}

/** Resolves at the first message of the program. */
export async function ready(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`a process of the test network ended with ${code}`)));
  });
}

function wire(app: string, net: string, resolvConf: string): void {
  const ip = (...args: string[]): void => {
    execFileSync('ip', args, { stdio: 'pipe' });
  };
  mkdirSync(resolvConf, { recursive: true });
  writeFileSync(join(resolvConf, 'resolv.conf'), 'nameserver 10.77.0.1\n');
  ip('netns', 'add', app);
  ip('netns', 'add', net);
  const ends = [
    { namespace: app, host: '2', other: '1' },
    { namespace: net, host: '1', other: '2' },
  ] as const;
  const mac = (host: string): string => `02:00:00:00:00:0${host}`;
  ip(
    ...['link', 'add', 'cable', 'address', mac('2'), 'netns', app, 'type', 'veth'],
    ...['peer', 'name', 'cable', 'address', mac('1'), 'netns', net],
  );
  for (const { namespace, host } of ends) {
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    ip('-n', namespace, 'address', 'add', `10.77.0.${host}/24`, 'dev', 'cable');
    ip('-n', namespace, 'address', 'add', `fd77::${host}/64`, 'dev', 'cable', 'nodad');
    ip('-n', namespace, 'address', 'add', neighbour6.replace(/1$/, `${host}/64`), 'dev', 'cable', 'nodad');
    ip('-n', namespace, 'link', 'set', 'cable', 'up');
  }
  // Each end knows the other's addresses: IPv6 cannot ask for them in the first seconds of a link.
  for (const { namespace, other } of ends) {
    for (const address of [`10.77.0.${other}`, `fd77::${other}`, neighbour6.replace(/1$/, other)]) {
      ip(
        '-n',
        namespace,
        'neigh',
        'replace',
        address,
        'lladdr',
        mac(other),
        'dev',
        'cable',
        'nud',
        'permanent',
      );
    }
  }
  ip('-n', app, 'route', 'add', 'default', 'via', '10.77.0.1');
  ip('-n', app, '-6', 'route', 'add', 'default', 'via', 'fd77::1');
  // One address is silent and one unreachable; all others are this machine.
  ip('netns', 'exec', net, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  ip('-n', net, 'route', 'add', 'blackhole', silentAddress);
  ip('-n', net, 'route', 'add', 'unreachable', unreachableAddress);
  ip('-n', net, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', 'main');
  ip('-n', net, '-6', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', 'main');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.disconnect();
  await ended;
}

function quietly(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'pipe' });
  } catch {
    // There was nothing to remove.
  }
}
