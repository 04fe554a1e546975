/** What an exchange leaves behind: the one metadata record of it. Pure. */
import type { RelayError } from '../errors.ts';
import { stopReasons, type LedgerRoute, type RequestRecord, type StopReason } from '../ledger/record.ts';
import { elapsedMs, type Exchange } from './exchange.ts';

const routeNames: Record<string, LedgerRoute> = {
  '/v1/complete': 'complete',
  '/v1/messages': 'messages',
  '/v1/messages/count_tokens': 'count_tokens',
  '/v1/chat/completions': 'chat_completions',
  '/v1/fetch': 'fetch',
  '/v1/jobs/:id': 'jobs',
  '/v1/models': 'models',
  '/v1/models/:id': 'models',
  '/v1/usage': 'usage',
};

export function recordOf(exchange: Exchange, status: number, error: RelayError | undefined): RequestRecord {
  const { key, model, stopReason } = exchange;
  return {
    at: exchange.at,
    requestId: exchange.requestId,
    route: routeNames[exchange.route] ?? 'other',
    status: exchange.clientGone ? 0 : status,
    ...exchange.usage,
    costUsd: exchange.costUsd,
    queueMs: Math.round(exchange.queueMs),
    spawnMs: Math.round(exchange.spawnMs),
    upstreamMs: Math.round(exchange.upstreamMs),
    totalMs: elapsedMs(exchange),
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
    clientGone: exchange.clientGone,
    ...(key === undefined ? {} : { keyId: key.id, keyLabel: key.label }),
    ...(model === undefined ? {} : { model }),
    ...(exchange.targetHost === undefined ? {} : { targetHost: exchange.targetHost }),
    ...(error === undefined ? {} : { error: error.code }),
    ...(error?.details.limit === undefined ? {} : { limit: error.details.limit }),
    ...(stopReason === undefined ? {} : { stopReason: knownStop(stopReason) }),
  };
}

function knownStop(reason: string): StopReason {
  return stopReasons.find((known) => known === reason) ?? 'other';
}
