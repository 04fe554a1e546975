/**
 * One HTTP exchange: its id, what is known of it so far, and how it is answered. Every answer, good or bad, leaves through
 * `respond` or `respondError`, so that its headers and its one shape of error cannot be forgotten.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { noTokens, type TokenUsage } from '../conversation.ts';
import type { ErrorFormat } from '../dialects/dialect.ts';
import { native } from '../dialects/native.ts';
import { RelayError } from '../errors.ts';
import type { Key } from '../keys/key.ts';

export type Exchange = {
  readonly requestId: string;
  /** `performance.now()` at arrival. */
  readonly startedAt: number;
  /** Wall clock at arrival, ms since the epoch. */
  readonly at: number;
  readonly method: string;
  /** The route's pattern; what was asked for instead of a known one is never recorded. */
  readonly route: string;
  /** The socket's other end. */
  readonly remoteAddress: string | undefined;
  /** The connection's answer, for what does not leave in one piece; absent where there is no connection. */
  readonly outgoing: ServerResponse | undefined;
  /** In whose words errors are told. */
  readonly dialect: ErrorFormat;
  key: Key | undefined;
  model: string | undefined;
  bytesIn: number;
  bytesOut: number;
  queueMs: number;
  spawnMs: number;
  /** Whether the process was a spare. */
  warm: boolean;
  upstreamMs: number;
  /** From arrival to the model's first text; absent while there is none. */
  firstTextMs: number | undefined;
  stopReason: string | undefined;
  usage: TokenUsage;
  costUsd: number;
  clientGone: boolean;
  /** The turn may have cost tokens. */
  spent: boolean;
  /** What went wrong after the status had been sent. */
  failure: RelayError | undefined;
  /** What the request comes to when it goes on after its answer (a job); its record waits for it. */
  later: Promise<{ status: number; error: RelayError | undefined }> | undefined;
  /** Called when it is over, after everything that goes on after its answer. */
  onEnd: (() => void) | undefined;
  /** The host of the page that was asked for. */
  targetHost: string | undefined;
  /** Headers of the answer, whatever it will be; names in lower case. A plain object costs a tenth of `Headers`. */
  readonly headers: Record<string, string>;
  /** The headers of the key's limits as they are when the answer leaves; set once there is a key. */
  limitHeaders: (() => Record<string, string>) | undefined;
};

export type Arrival = {
  method: string;
  route: string;
  dialect?: ErrorFormat;
  remoteAddress?: string | undefined;
  outgoing?: ServerResponse;
};

export function openExchange({
  method,
  route,
  dialect = native,
  remoteAddress,
  outgoing,
}: Arrival): Exchange {
  return {
    requestId: `req_${randomUUID().replaceAll('-', '')}`,
    startedAt: performance.now(),
    at: Date.now(),
    method,
    route,
    remoteAddress,
    outgoing,
    dialect,
    key: undefined,
    model: undefined,
    bytesIn: 0,
    bytesOut: 0,
    queueMs: 0,
    spawnMs: 0,
    warm: false,
    upstreamMs: 0,
    firstTextMs: undefined,
    stopReason: undefined,
    usage: noTokens,
    costUsd: 0,
    clientGone: false,
    spent: false,
    failure: undefined,
    later: undefined,
    onEnd: undefined,
    targetHost: undefined,
    headers: {},
    limitHeaders: undefined,
  };
}

export function elapsedMs(exchange: Exchange): number {
  return Math.round(performance.now() - exchange.startedAt);
}

export function respond(exchange: Exchange, status: number, body: object): Response {
  return respondText(exchange, status, JSON.stringify(body));
}

/** `text` is JSON. */
export function respondText(exchange: Exchange, status: number, text: string): Response {
  const headers = headersOf(exchange, 'application/json; charset=utf-8');
  exchange.bytesOut = Buffer.byteLength(text);
  return new Response(text, { status, headers });
}

/** The headers of every answer. */
export function headersOf(exchange: Exchange, contentType: string): Record<string, string> {
  return {
    ...exchange.headers,
    'content-type': contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'request-id': exchange.requestId,
    'x-request-id': exchange.requestId,
    'server-timing': serverTiming(exchange),
    ...exchange.limitHeaders?.(),
  };
}

export function respondError(exchange: Exchange, error: RelayError): Response {
  const { retryAfter, shouldRetry, headers } = error.details;
  if (retryAfter !== undefined) exchange.headers['retry-after'] = String(retryAfter);
  if (shouldRetry === false) exchange.headers['x-should-retry'] = 'false';
  Object.assign(exchange.headers, headers);
  return respond(
    exchange,
    statusOf(exchange.dialect, error),
    exchange.dialect.errorBody(error, exchange.requestId),
  );
}

export function statusOf(dialect: ErrorFormat, error: RelayError): number {
  return dialect.errorStatus?.(error) ?? error.status;
}

/** Whatever was thrown -> an error that a caller may see. What is no RelayError is a defect: told as `internal`. */
export function asRelayError(thrown: unknown): RelayError {
  if (thrown instanceof RelayError) return thrown;
  return new RelayError('internal', 'Something went wrong inside the relay.', { cause: thrown });
}

/**
 * Where the time went, in milliseconds: waiting for a slot, getting a process, the upstream, and the rest; and, beside that sum, the
 * time from arrival to the model's first text.
 */
function serverTiming(exchange: Exchange): string {
  const total = performance.now() - exchange.startedAt;
  const { queueMs, spawnMs, upstreamMs, firstTextMs, warm } = exchange;
  const relayMs = Math.max(0, total - queueMs - spawnMs - upstreamMs);
  return [
    ['queue', queueMs] as const,
    [warm ? 'claim' : 'spawn', spawnMs] as const,
    ['upstream', upstreamMs] as const,
    ['relay', relayMs] as const,
    ...(firstTextMs === undefined ? [] : [['first_text', firstTextMs] as const]),
  ]
    .map(([name, ms]) => `${name};dur=${ms.toFixed(1)}`)
    .join(', ');
}
