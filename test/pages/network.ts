/** The network of one test file: the relay's fetcher in one namespace, an internet of many hosts in the other. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { join } from 'node:path';

import type { PageConfig, PageResult } from '../../src/pages/fetch.ts';
import { defaultCaps, type PageCaps } from '../../src/pages/caps.ts';
import { needs } from '../support/needs.ts';
import { makeCertificates } from './certificates.ts';
import { makeNamespaces, ready } from './namespaces.ts';

export type Fetched =
  | { ok: true; result: PageResult }
  | { ok: false; code: string; message: string; hop?: number };

export type Network = {
  fetch(request: Record<string, unknown>, abortAfterMs?: number): Promise<Fetched>;
  /** Connections to addresses that are not public, on this host or elsewhere. */
  strays(): Promise<string[]>;
  /** Connects to an address directly, for a test. */
  touch(address: string): Promise<void>;
  app(): Promise<{ peakRss: number; rss: number }>;
  internet(name?: string): Promise<{
    bodiesRead: number;
    open: number;
    mostAtOnce: number;
    offeredProtocols: string[];
    queries: number;
  }>;
  close(): Promise<void>;
};

/** Ten times the relay's: a slow machine must not end a fetch in a test that is not about these times. */
const patientCaps: Partial<PageCaps> = {
  dnsMs: defaultCaps.dnsMs * 10,
  connectMs: defaultCaps.connectMs * 10,
  silenceMs: defaultCaps.silenceMs * 10,
  tailMs: defaultCaps.tailMs * 10,
  articleMs: defaultCaps.articleMs * 10,
};

export const testConfig: PageConfig = {
  ports: [80, 443, 8080, 8443],
  denyCidrs: ['45.60.251.0/24'],
  selfNames: ['relay.site.com'],
  ipv6: true,
  userAgent: 'claude-relay-test/1',
};

/** Why no test network can be made on this machine, for `skip`; false if it can. */
export function networkMissing(): string | false {
  const missing = needs('root', 'ip', 'openssl');
  if (missing !== false) return missing;
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
      // It was not made.
    }
  }
}

export type NetworkOptions = {
  readonly caps?: Partial<PageCaps>;
  readonly environment?: Record<string, string>;
  readonly proxyPort?: number;
};

export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const namespaces = makeNamespaces();
  const { close } = namespaces;
  try {
    const certificates = makeCertificates(
      namespaces.folder,
      'DNS:site.com,DNS:*.site.com,DNS:example.com,IP:93.184.216.34,IP:93.184.217.2',
    );
    const file = (name: string): string => join(import.meta.dirname, name);
    const internet = namespaces.start('net', file('internet.ts'), {
      INTERNET: JSON.stringify({ certificates }),
    });
    const relay = namespaces.start('app', file('app.ts'), {
      NODE_EXTRA_CA_CERTS: certificates.authority,
      APP: JSON.stringify({
        config: { ...testConfig, caps: { ...patientCaps, ...options.caps } },
        proxyPort: options.proxyPort,
      }),
      ...options.environment,
    });
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

/** Returns a function that sends a message and resolves with its answer. */
export function asker(child: ChildProcess): (message: object) => Promise<unknown> {
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
