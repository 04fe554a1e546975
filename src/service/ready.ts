/** Where the relay of this machine answers, and whether it is ready. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { probe } from './call.ts';

/** Maps a wildcard listen address to one you can connect to. */
export function localUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

const readyAnswer = z.object({
  ok: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
  // Absent from an older relay that still runs after an update.
  spares: z.object({ waiting: z.int(), rss_bytes: z.int() }).optional(),
  hot: z.object({ resting: z.int(), rss_bytes: z.int(), off: z.string().optional() }).optional(),
  valve: z.object({ exact: z.boolean(), detail: z.string().optional() }).optional(),
  seal: z
    .object({
      network: z.string(),
      files: z.string(),
      missing: z.array(z.object({ problem: z.string(), fix: z.string() })),
    })
    .optional(),
});
export type ReadyAnswer = z.infer<typeof readyAnswer>;

/** The answer to GET /ready; undefined when no relay answers. */
export async function askReady(url: string, timeoutMs = 5000): Promise<ReadyAnswer | undefined> {
  const answer = await probe(new URL('/ready', url).href, {
    // A relay that listens on every address shows details only to a caller that names this machine.
    headers: { host: 'localhost' },
    timeoutMs,
  });
  return readyAnswer.safeParse(answer.body).data;
}

/** The checks that failed, in one line. */
export function whyNotReady({ checks }: ReadyAnswer): string {
  return checks
    .filter(({ ok }) => !ok)
    .map(({ name, detail }) => (detail === undefined ? name : `${name}: ${detail}`))
    .join('; ');
}

/** When the plan limit ends; undefined when the plan is not used up, or no relay answers. */
export async function planClosed(url: string): Promise<string | undefined> {
  const answer = await askReady(url, 2000);
  return answer?.checks.find(({ name }) => name === 'plan')?.detail;
}

/**
 * Resolves to undefined when the service runs and is ready, and otherwise to what is wrong: it failed, or `waitMs` have passed.
 * Asks the service manager too: a relay in a terminal may answer at the same port.
 */
export async function awaitReady(
  url: string,
  service: () => Promise<'starting' | 'running' | 'failed'>,
  waitMs: number,
): Promise<string | undefined> {
  const until = Date.now() + waitMs;
  let why = 'no relay answers';
  for (;;) {
    const state = await service();
    if (state === 'failed') return 'The service did not start.';
    const answer = state === 'running' ? await askReady(url) : undefined;
    if (answer?.ok === true) return undefined;
    if (answer !== undefined) why = whyNotReady(answer);
    if (Date.now() > until) {
      return `The service is installed but not ready after ${Math.round(waitMs / 1000)} s: ${why}.`;
    }
    await delay(300);
  }
}
