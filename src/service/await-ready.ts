/** Waits until a service answers /ready with yes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { askReady } from './probe.ts';

/** What the service manager says of the relay's service. */
export type ServiceState = 'starting' | 'running' | 'failed';

export type Awaited = { state: 'ready' } | { state: 'failed' } | { state: 'not-ready'; wrong: string[] };

/** The relay's own address, for programs of this machine. */
export function localUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/**
 * Resolves when the service runs and is ready, when it failed, or after `waitMs`. Both are asked: a relay in some terminal
 * may answer at the same port, and is not the service.
 */
export async function awaitReady(
  url: string,
  service: () => Promise<ServiceState>,
  waitMs: number,
): Promise<Awaited> {
  const until = Date.now() + waitMs;
  let wrong = ['nothing answers there'];
  for (;;) {
    const state = await service();
    if (state === 'failed') return { state: 'failed' };
    const answer = state === 'running' ? await askReady(url) : undefined;
    if (answer?.ok === true) return { state: 'ready' };
    if (answer !== undefined) wrong = answer.wrong;
    if (Date.now() > until) return { state: 'not-ready', wrong };
    await delay(300);
  }
}
