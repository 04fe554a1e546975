/**
 * The record of a request: metadata in a closed schema, never content. Pure. `storable` is the last gate before the disk: what does
 * not have the shape of its column becomes `other`, is cut to its range or is omitted, so that no mistake writes a caller's text.
 */
import { turnStarts, type TurnStart } from '../conversation.ts';
import { errorTable, limitNames, type ErrorCode, type LimitName } from '../errors.ts';

export const ledgerRoutes = [
  'complete',
  'fetch',
  'models',
  'usage',
  'messages',
  'chat_completions',
  'responses',
  'count_tokens',
  'ollama_chat',
  'ollama_generate',
  'mcp',
  'mcp_ask_claude',
  'mcp_fetch_page',
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

const modelShape = /^[0-9A-Za-z][0-9A-Za-z._:@/[\]-]{0,127}$/;

/** The columns of the `requests` table, each with the gate that its value passes. */
const gates = {
  /** When the request arrived, in milliseconds since 1970. */
  at: whole,
  request_id: (id: string) => (/^[0-9A-Za-z_-]{1,64}$/.test(id) ? id : 'other'),
  /** Absent: no key was accepted. */
  key_id: optional((id: string) => (/^[0-9A-Za-z]{1,32}$/.test(id) ? id : null)),
  route: (route: LedgerRoute) => oneOf(ledgerRoutes, route),
  /** A model that the relay offers: never a name that only the caller knows. */
  model: optional((model: string) => (modelShape.test(model) ? model : 'other')),
  /** A fallback took the request: in place of this model that the relay offers, or of the `plan`. */
  fallback_from: optional((model: string) => (modelShape.test(model) ? model : 'other')),
  /** The HTTP status; 0 when the client was gone before there was one. */
  status: (status: number) => Math.min(whole(status), 599),
  error: optional((error: ErrorCode) => oneOf(Object.keys(errorTable), error)),
  limit_hit: optional((limit: LimitName) => oneOf(limitNames, limit)),
  stop_reason: optional((reason: string) => oneOf(stopReasons, reason)),
  tokens_in: whole,
  tokens_out: whole,
  cache_read: whole,
  cache_write: whole,
  cost_usd: (cost: number) => (cost > 0 && Number.isFinite(cost) ? cost : 0),
  /** Absent: there was no turn. */
  start: optional((start: TurnStart) => (turnStarts.includes(start) ? start : null)),
  queue_ms: whole,
  spawn_ms: whole,
  upstream_ms: whole,
  /** From the arrival to the model's first text. Absent: there was none. */
  first_text_ms: optional(whole),
  total_ms: whole,
  bytes_in: whole,
  bytes_out: whole,
  client_gone: (gone: boolean) => (gone ? 1 : 0),
};

type Gates = typeof gates;

export type RequestRecord = { [Column in keyof Gates]: Parameters<Gates[Column]>[0] } & {
  /** These two are for the log line only; the database has the label with the key. */
  key_label: string | undefined;
  /** The host of a fetched page. */
  host: string | undefined;
};

export type LedgerRow = { [Column in keyof Gates]: ReturnType<Gates[Column]> };

export const ledgerColumns = Object.keys(gates);

export function storable(record: RequestRecord): LedgerRow {
  const values: Record<string, unknown> = record;
  const entries = Object.entries<(value: never) => unknown>(gates);
  return Object.fromEntries(
    entries.map(([column, gate]) => [column, gate(values[column] as never)]),
  ) as LedgerRow;
}

/** So large that no true count reaches it, so small that no sum of a year leaves the exact integers. */
const largest = 10_000_000_000_000;

function whole(value: number): number {
  return value > 0 ? Math.min(Math.round(value), largest) : 0;
}

function optional<T, R>(gate: (value: T) => R): (value: T | undefined) => R | null {
  return (value) => (value === undefined ? null : gate(value));
}

function oneOf(known: readonly string[], value: string): string {
  return known.includes(value) ? value : 'other';
}
