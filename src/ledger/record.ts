/**
 * The record of a request: metadata in a closed schema, never content. Pure.
 *
 * `storable` is the last gate before the disk: a value that does not have the shape of its column becomes `other`, is cut to its
 * range or is omitted, so that a mistake elsewhere cannot write a caller's text.
 */
import type { TokenUsage } from '../conversation.ts';
import { errorTable, limitNames, type ErrorCode, type LimitName } from '../errors.ts';

export const ledgerRoutes = [
  'complete',
  'fetch',
  'models',
  'usage',
  'messages',
  'chat_completions',
  'count_tokens',
  'jobs',
  'other',
] as const;
export type LedgerRoute = (typeof ledgerRoutes)[number];

/** The Messages API's stop reasons. */
export const stopReasons = [
  'end_turn',
  'max_tokens',
  'stop_sequence',
  'tool_use',
  'pause_turn',
  'refusal',
  'model_context_window_exceeded',
  'other',
] as const;
export type StopReason = (typeof stopReasons)[number];

export type RequestRecord = TokenUsage & {
  /** When the request arrived, in milliseconds since 1970. */
  at: number;
  requestId: string;
  /** Absent: no key was accepted. The label is for the log line only; the database has it with the key. */
  keyId?: string;
  keyLabel?: string;
  route: LedgerRoute;
  /** The host of a fetched page; for the log line only, not for the database. */
  targetHost?: string;
  /** A model that the relay offers: never a name that only the caller knows. */
  model?: string;
  /** The HTTP status; 0 when the client was gone before there was one. */
  status: number;
  error?: ErrorCode;
  limit?: LimitName;
  stopReason?: StopReason;
  costUsd: number;
  /** Milliseconds; absent for a phase that was not reached. */
  queueMs?: number;
  spawnMs?: number;
  upstreamMs?: number;
  totalMs: number;
  bytesIn: number;
  bytesOut: number;
  clientGone: boolean;
};

const requestIdShape = /^[0-9A-Za-z_-]{1,64}$/;
const keyIdShape = /^[0-9A-Za-z]{1,32}$/;
const modelShape = /^[0-9A-Za-z][0-9A-Za-z._:@/[\]-]{0,127}$/;

/** A row of the `requests` table, by column. */
export type LedgerRow = ReturnType<typeof storable>;

export function storable(record: RequestRecord) {
  return {
    at: whole(record.at),
    request_id: requestIdShape.test(record.requestId) ? record.requestId : 'other',
    key_id: record.keyId !== undefined && keyIdShape.test(record.keyId) ? record.keyId : null,
    route: oneOf(ledgerRoutes, record.route),
    model: optional(record.model, (model) => (modelShape.test(model) ? model : 'other')),
    status: Math.min(whole(record.status), 599),
    error: optional(record.error, (error) => (Object.hasOwn(errorTable, error) ? error : 'other')),
    limit_hit: optional(record.limit, (limit) => oneOf(limitNames, limit)),
    stop_reason: optional(record.stopReason, (reason) => oneOf(stopReasons, reason)),
    tokens_in: whole(record.input_tokens),
    tokens_out: whole(record.output_tokens),
    cache_read: whole(record.cache_read_input_tokens),
    cache_write: whole(record.cache_creation_input_tokens),
    cost_usd: record.costUsd > 0 && Number.isFinite(record.costUsd) ? record.costUsd : 0,
    queue_ms: optional(record.queueMs, whole),
    spawn_ms: optional(record.spawnMs, whole),
    upstream_ms: optional(record.upstreamMs, whole),
    total_ms: whole(record.totalMs),
    bytes_in: whole(record.bytesIn),
    bytes_out: whole(record.bytesOut),
    client_gone: record.clientGone ? 1 : 0,
  };
}

/** So large that no true count reaches it, so small that no sum of a year leaves the exact integers. */
const largest = 10_000_000_000_000;

function whole(value: number): number {
  return value > 0 ? Math.min(Math.round(value), largest) : 0;
}

function optional<T, R>(value: T | undefined, convert: (value: T) => R): R | null {
  return value === undefined ? null : convert(value);
}

function oneOf(known: readonly string[], value: string): string {
  return known.includes(value) ? value : 'other';
}
