/**
 * A network for one test file: two namespaces with a cable between them.
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

import type { PageConfig, PageResult } from '../../src/pages/fetch.ts';
import type { PageCaps } from '../../src/pages/caps.ts';
import { makeCertificates } from './certificates.ts';
import { neighbour6, silentAddress, unreachableAddress } from './zone.ts';

/** Every field that a page can come back in. */
export type AnyPage = PageResult & {
  html?: string;
  body?: string;
  text?: string;
  markdown?: string;
  metadata?: Record<string, unknown>;
};

export type Fetched =
  | { ok: true; result: AnyPage }
  | { ok: false; code: string; message: string; hop?: number };

export type Network = {
  fetch(request: Record<string, unknown>, abortAfterMs?: number): Promise<Fetched>;
  /** Connections to anything that is not public, on this host or beyond. */
  strays(): Promise<string[]>;
  /** Connects to an address as nothing but a test does. */
  touch(address: string): Promise<void>;
  app(): Promise<{ worstLag: number; peakRss: number; rss: number }>;
  internet(name?: string): Promise<{
    bodiesRead: number;
    open: number;
    mostOpen: number;
    offeredProtocols: string[];
    queries: number;
  }>;
  close(): Promise<void>;
};

export const testConfig: PageConfig = {
  ports: [80, 443, 8080, 8443],
  denyCidrs: ['45.60.251.0/24'],
  selfNames: ['relay.site.com'],
  ipv6: true,
  userAgent: 'claude-relay-test/1',
};

/** Why no network can be made here, or false. */
export function networkMissing(): string | false {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `crt-probe-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'exec', name, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' });
    return false;
  } catch (error) {
    return `"ip netns" does not work here: ${error instanceof Error ? error.message.split('\n')[0] : ''}`;
  } finally {
    try {
      execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' });
    } catch {
      // It was never made.
    }
  }
}

export type NetworkOptions = {
  readonly caps?: Partial<PageCaps>;
  readonly environment?: Record<string, string>;
  readonly proxyPort?: number;
};

export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const name = `crt-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), 'relay-pages-'));
  const app = `${name}-app`;
  const net = `${name}-net`;
  const resolvConf = `/etc/netns/${app}`;
  const children: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(children.map(end));
    for (const namespace of [app, net]) quietly('ip', 'netns', 'del', namespace);
    rmSync(resolvConf, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    wire(app, net, resolvConf);
    const certificates = makeCertificates(
      folder,
      'DNS:site.com,DNS:*.site.com,DNS:example.com,IP:93.184.216.34,IP:93.184.217.2',
    );
    const internet = start(net, 'internet.ts', { INTERNET: JSON.stringify({ certificates }) });
    const relay = start(app, 'app.ts', {
      NODE_EXTRA_CA_CERTS: certificates.authority,
      APP: JSON.stringify({ config: { ...testConfig, caps: options.caps }, proxyPort: options.proxyPort }),
      ...options.environment,
    });
    children.push(internet, relay);
    await Promise.all([ready(internet), ready(relay)]);
    const askInternet = asker(internet);
    const askRelay = asker(relay);
    return {
      fetch: (request, abortAfterMs) =>
        askRelay({ type: 'fetch', request, abortAfterMs }) as Promise<Fetched>,
      strays: async () => {
        const seen = (await Promise.all([
          askInternet({ type: 'observe' }),
          askRelay({ type: 'observe' }),
        ])) as { strays: string[] }[];
        return seen.flatMap(({ strays }) => strays);
      },
      touch: (address) => askRelay({ type: 'touch', address }) as Promise<void>,
      app: () => askRelay({ type: 'observe' }) as ReturnType<Network['app']>,
      internet: (name) => askInternet({ type: 'observe', name }) as ReturnType<Network['internet']>,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function wire(app: string, net: string, resolvConf: string): void {
  const ip = (...args: string[]): void => {
    execFileSync('ip', args, { stdio: 'pipe' });
  };
  mkdirSync(resolvConf, { recursive: true });
  writeFileSync(join(resolvConf, 'resolv.conf'), 'nameserver 10.77.0.1\n');
  ip('netns', 'add', app);
  ip('netns', 'add', net);
  ip('link', 'add', 'cable', 'netns', app, 'type', 'veth', 'peer', 'name', 'cable', 'netns', net);
  for (const [namespace, host] of [
    [app, '2'],
    [net, '1'],
  ] as const) {
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    ip('-n', namespace, 'address', 'add', `10.77.0.${host}/24`, 'dev', 'cable');
    ip('-n', namespace, 'address', 'add', `fd77::${host}/64`, 'dev', 'cable', 'nodad');
    ip('-n', namespace, 'address', 'add', neighbour6.replace(/1$/, `${host}/64`), 'dev', 'cable', 'nodad');
    ip('-n', namespace, 'link', 'set', 'cable', 'up');
  }
  ip('-n', app, 'route', 'add', 'default', 'via', '10.77.0.1');
  ip('-n', app, '-6', 'route', 'add', 'default', 'via', 'fd77::1');
  // One address is silent and one is known to be unreachable; all others are here.
  ip('netns', 'exec', net, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  ip('-n', net, 'route', 'add', 'blackhole', silentAddress);
  ip('-n', net, 'route', 'add', 'unreachable', unreachableAddress);
  ip('-n', net, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', 'main');
  ip('-n', net, '-6', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', 'main');
}

function start(namespace: string, file: string, environment: Record<string, string>): ChildProcess {
  const { PATH = '' } = process.env;
  return spawn('ip', ['netns', 'exec', namespace, process.execPath, join(import.meta.dirname, file)], {
    env: { PATH, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function ready(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`a process of the test network ended with ${code}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.disconnect();
  await ended;
}

function asker(child: ChildProcess): (message: object) => Promise<unknown> {
  const waiting = new Map<number, (value: unknown) => void>();
  let next = 1;
  child.on('message', ({ id, value }: { id: number; value: unknown }) => {
    waiting.get(id)?.(value);
    waiting.delete(id);
  });
  return (message) =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, resolve);
      child.send({ id, ...message }, (error) => {
        if (error !== null) reject(error);
      });
    });
}

function quietly(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'pipe' });
  } catch {
    // There was nothing to remove.
  }
}
