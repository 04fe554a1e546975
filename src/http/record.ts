/** What an exchange leaves behind: one metadata record, in the ledger and as the audit line. */
import type { Logger } from 'pino';
import type { RelayError } from '../errors.ts';
import { auditLine } from '../ledger/audit.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { stopReasons, type RequestRecord, type StopReason } from '../ledger/record.ts';
import { logCause } from '../log.ts';
import { elapsedMs, type Exchange } from './exchange.ts';

export type RecordParts = { ledger: Pick<Ledger, 'record'>; log: Logger };

/** Called once for each exchange, when all of it is over. */
export function recordExchange(
  exchange: Exchange,
  status: number,
  error: RelayError | undefined,
  { ledger, log }: RecordParts,
): void {
  const record = recordOf(exchange, status, error);
  if (record.keyId !== undefined) ledger.record(record);
  log[record.route === 'other' && status === 200 ? 'debug' : 'info'](auditLine(record), 'request');
  if (error !== undefined) logCause(log, exchange.requestId, error);
}

function recordOf(exchange: Exchange, status: number, error: RelayError | undefined): RequestRecord {
  const { key, model, stopReason, targetHost, clientGone } = exchange;
  return {
    at: exchange.at,
    requestId: exchange.requestId,
    route: exchange.route.ledger,
    status: clientGone ? 0 : status,
    ...exchange.usage,
    costUsd: exchange.costUsd,
    queueMs: Math.round(exchange.queueMs),
    spawnMs: Math.round(exchange.spawnMs),
    upstreamMs: Math.round(exchange.upstreamMs),
    totalMs: elapsedMs(exchange),
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
    clientGone,
    ...(key === undefined ? {} : { keyId: key.id, keyLabel: key.label }),
    ...(model === undefined ? {} : { model }),
    ...(targetHost === undefined ? {} : { targetHost }),
    ...(error === undefined ? {} : { error: error.code }),
    ...(error?.details.limit === undefined ? {} : { limit: error.details.limit }),
    ...(stopReason === undefined ? {} : { stopReason: knownStop(stopReason) }),
  };
}

function knownStop(reason: string): StopReason {
  return stopReasons.find((known) => known === reason) ?? 'other';
}
