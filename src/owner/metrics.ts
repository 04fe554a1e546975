/** GET /metrics: what Prometheus reads, with a key that was created for it. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { RelayError } from '../errors.ts';
import { unauthorized, validKey, type KeyCheckParts } from '../http/identify.ts';
import { mayUse } from '../keys/key.ts';
import type { Keys } from '../keys/store.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { openState, type StateParts } from '../metrics/state.ts';

export type MetricsParts = KeyCheckParts &
  StateParts & {
    metrics: Pick<Metrics, 'registry' | 'foldRevoked'>;
    keys: Pick<Keys, 'list'>;
    now: () => number;
  };

/** For so long the series of a revoked key stay: its last requests are read. */
const revokedForMs = 86_400_000;

export function openMetricsRoute(parts: MetricsParts) {
  const { metrics, keys, now } = parts;
  const { registry } = metrics;
  const readState = openState(registry, parts);

  const read = async (): Promise<string> => {
    const recent = keys
      .list({ revoked: true })
      .filter(({ revokedAt }) => revokedAt === undefined || now() - revokedAt < revokedForMs);
    await metrics.foldRevoked(new Set(recent.map(({ label }) => label)));
    readState();
    return registry.metrics();
  };

  return async (c: Context<{ Bindings: HttpBindings }>): Promise<Response> => {
    try {
      const { incoming, outgoing } = c.env;
      const peer = { outgoing, remoteAddress: incoming.socket.remoteAddress };
      const key = validKey(c.req.raw, peer, parts);
      if (key === undefined) throw unauthorized();
      if (!mayUse(key, 'metrics')) throw new RelayError('forbidden', lacksScope);
      return c.body(await read(), 200, { 'content-type': registry.contentType });
    } catch (error) {
      if (!(error instanceof RelayError)) throw error;
      const { headers, retryAfter } = error.details;
      if (retryAfter !== undefined) c.header('retry-after', String(retryAfter));
      return c.text(`${error.message}\n`, error.status as ContentfulStatusCode, headers);
    }
  };
}

const lacksScope =
  'This key may not read the metrics. Create one that may: claude-relay key create prometheus --routes metrics';
