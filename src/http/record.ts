/** What an exchange leaves behind: one metadata record, in the ledger and as the audit line. */
import type { Logger } from 'pino';
import type { RelayError } from '../errors.ts';
import { auditLine } from '../ledger/audit.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RequestRecord } from '../ledger/record.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { logCause } from '../log.ts';
import { elapsedMs, type Exchange } from './exchange.ts';

export type RecordParts = {
  ledger: Pick<Ledger, 'record'>;
  metrics: Pick<Metrics, 'request'>;
  log: Logger;
};

/** Called once for each exchange, when all of it is over. */
export function recordExchange(
  exchange: Exchange,
  status: number,
  error: RelayError | undefined,
  { ledger, metrics, log }: RecordParts,
): void {
  const record = recordOf(exchange, status, error);
  if (record.key_id !== undefined) ledger.record(record);
  metrics.request(record);
  log[record.route === 'other' && status === 200 ? 'debug' : 'info'](auditLine(record), 'request');
  if (error !== undefined) logCause(log, exchange.requestId, error);
}

function recordOf(exchange: Exchange, status: number, error: RelayError | undefined): RequestRecord {
  const { key, usage, clientGone } = exchange;
  const { ledger, scope } = exchange.route;
  return {
    at: exchange.at,
    request_id: exchange.requestId,
    key_id: key?.id,
    key_label: key?.label,
    route: ledger ?? scope ?? 'other',
    host: exchange.targetHost,
    model: exchange.model,
    fallback_from: exchange.fallbackFrom,
    status: clientGone ? 0 : status,
    error: error?.code,
    limit_hit: error?.details.limit,
    stop_reason: exchange.stopReason,
    tokens_in: usage.input_tokens,
    tokens_out: usage.output_tokens,
    cache_read: usage.cache_read_input_tokens,
    cache_write: usage.cache_creation_input_tokens,
    cost_usd: exchange.costUsd,
    start: exchange.start,
    queue_ms: exchange.queueMs,
    spawn_ms: exchange.spawnMs,
    upstream_ms: exchange.upstreamMs,
    first_text_ms: exchange.firstTextMs,
    total_ms: elapsedMs(exchange),
    bytes_in: exchange.bytesIn,
    bytes_out: exchange.bytesOut,
    client_gone: clientGone,
  };
}
