/** Whether a public URL is the relay's, and whether it asks for a key. */
import { setTimeout as delay } from 'node:timers/promises';
import { probe, type Probed } from './call.ts';

export type Exposure =
  /** `showsDetails`: the relay takes strangers there for programs of its own machine, and `/ready` tells them more. */
  | { state: 'safe'; showsDetails: boolean }
  /** The relay is not reached (yet): the tunnel is not up, the name not known, or something else answers there. */
  | { state: 'unreachable'; reason: string }
  /** Something answers a stranger with other than 401: nobody may leave it like that. */
  | { state: 'open'; reason: string };

/** Asks until the URL answers as the relay does, or `waitMs` are over. */
export async function checkExposure(publicUrl: string, waitMs: number): Promise<Exposure> {
  const until = Date.now() + waitMs;
  for (;;) {
    const exposure = await checkOnce(publicUrl);
    if (exposure.state !== 'unreachable' || Date.now() > until) return exposure;
    await delay(1000);
  }
}

async function checkOnce(publicUrl: string): Promise<Exposure> {
  const at = (path: string): string => new URL(path, publicUrl).href;
  const timeoutMs = 10_000;
  const health = await probe(at('/health'), { timeoutMs });
  if (!isHealthy(health)) return { state: 'unreachable', reason: `/health: ${told(health)}` };
  for (const headers of [{}, { authorization: 'Bearer not-a-key' }]) {
    const stranger = await probe(at('/v1/models'), { timeoutMs, headers });
    if (stranger.ok && stranger.status < 400) {
      return { state: 'open', reason: `/v1/models answers ${stranger.status} to a stranger` };
    }
    if (!stranger.ok || stranger.status !== 401 || errorOf(stranger) !== 'unauthorized') {
      return {
        state: 'unreachable',
        reason: `/v1/models with a wrong key: ${told(stranger)}, where 401 is due`,
      };
    }
  }
  const ready = await probe(at('/ready'), { timeoutMs });
  return { state: 'safe', showsDetails: ready.ok && field(ready.body, 'spares') !== undefined };
}

function isHealthy(answer: Probed): boolean {
  return answer.ok && answer.status === 200 && field(answer.body, 'ok') === true;
}

function errorOf(answer: Probed): unknown {
  return answer.ok ? field(answer.body, 'error') : undefined;
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
}

function told(answer: Probed): string {
  return answer.ok ? `status ${answer.status}` : answer.reason;
}
