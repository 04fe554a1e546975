/** What of the plan the running relay knows to be used up. */
import { z } from 'zod';
import { callRelay, textOf } from './loopback.ts';

const idleMs = 2000;

const readiness = z.object({
  checks: z.array(z.object({ name: z.string(), detail: z.string().optional() })),
});

/** A sentence of `GET /ready`; undefined where nothing is used up, and where no relay answers. */
export async function planClosed(url: string | undefined): Promise<string | undefined> {
  if (url === undefined) return undefined;
  try {
    const answer = await callRelay(`${url}/ready`, { idleMs });
    const { checks } = readiness.parse(JSON.parse(await textOf(answer)));
    return checks.find(({ name }) => name === 'plan')?.detail;
  } catch {
    return undefined;
  }
}
