/** Whether a public URL leads to the relay, whether the relay requires a key there, and whether the owner's page stays private. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { pageHeaders } from '../owner/guard.ts';
import { ownerPaths } from '../owner/paths.ts';
import { probe, type Probed } from './call.ts';

export type Exposure =
  /** `showsDetails`: the relay mistakes strangers for programs of its machine, and `/ready` shows them details. */
  | { state: 'safe'; showsDetails: boolean }
  /** `unreachable`: the tunnel is down, the name is unknown, or another server answers. `open`: a stranger gets an answer, or reaches the owner's listener. */
  | { state: 'unreachable' | 'open'; reason: string };

/** Asks until the URL answers as the relay does, or until `waitMs` have passed. */
export async function checkExposure(publicUrl: string, waitMs: number): Promise<Exposure> {
  const until = Date.now() + waitMs;
  for (;;) {
    const exposure = await checkOnce(publicUrl);
    if (exposure.state !== 'unreachable' || Date.now() > until) return exposure;
    await delay(1000);
  }
}

const healthy = z.object({ ok: z.literal(true) });
const unauthorized = z.object({ error: z.literal('unauthorized') });
/** Only programs of the relay's machine get this. */
const detailed = z.object({ spares: z.looseObject({}) });

async function checkOnce(publicUrl: string): Promise<Exposure> {
  const get = (path: string, headers = {}): Promise<Probed> =>
    probe(new URL(path, publicUrl).href, { timeoutMs: 10_000, headers });
  const health = await get('/health');
  if (isOwners(health))
    return { state: 'open', reason: "it leads to the owner's page: give the tunnel PORT, not ADMIN_PORT" };
  if (!answers(health, 200, healthy)) return { state: 'unreachable', reason: `/health: ${health.result}` };
  for (const headers of [{}, { authorization: 'Bearer not-a-key' }]) {
    const stranger = await get('/v1/models', headers);
    if (stranger.status > 0 && stranger.status < 400) {
      return { state: 'open', reason: `/v1/models answers ${stranger.status} to a stranger` };
    }
    if (!answers(stranger, 401, unauthorized)) {
      const reason = `/v1/models with a wrong key: ${stranger.result} instead of 401`;
      return { state: 'unreachable', reason };
    }
  }
  for (const path of ownerPaths) {
    const { status, result } = await get(path);
    if (status !== 404)
      return { state: 'open', reason: `${path} of the owner's page: ${result} instead of 404` };
  }
  const ready = await get('/ready');
  return { state: 'safe', showsDetails: detailed.safeParse(ready.body).success };
}

/** The owner's listener refuses a foreign name and whatever a tunnel forwards, with the headers of its page. */
function isOwners({ headers }: Probed): boolean {
  return headers['content-security-policy'] === pageHeaders['content-security-policy'];
}

function answers(answer: Probed, status: number, body: z.ZodType): boolean {
  return answer.status === status && body.safeParse(answer.body).success;
}
