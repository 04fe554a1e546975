/**
 * One HTTP request and its answer: the id, what is known so far, and how it is answered. Every answer, good or bad, leaves through
 * `respond` or `respondError`, so that its headers and its one shape of error cannot be forgotten.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { noTokens, type TurnStart } from '../conversation.ts';
import type { ErrorFormat } from '../dialects/dialect.ts';
import { RelayError } from '../errors.ts';
import type { Key, RouteScope } from '../keys/key.ts';
import type { LedgerRoute } from '../ledger/record.ts';

/** What an exchange knows of its route. */
export type RouteFacts = {
  /** The pattern. The path of the request itself is never recorded. */
  readonly path: string;
  /** Its name in the ledger; absent: that of its scope, or `other`. */
  readonly ledger?: LedgerRoute;
  /** What a key must be allowed to use; absent where no key is needed. */
  readonly scope?: RouteScope;
  /** A key that is allowed this instead may use the route, too. */
  readonly otherScope?: RouteScope;
};

/** What is known when a request arrives. */
export type Arrival = {
  /** A call of a tool changes it to that of the tool. */
  route: RouteFacts;
  /** The `:id` of the path, decoded. */
  readonly pathId?: string | undefined;
  readonly errorFormat: ErrorFormat;
  /** The socket's other end. */
  readonly remoteAddress?: string | undefined;
  /** The connection's answer, for an answer in several pieces; absent where there is no connection. */
  readonly outgoing?: ServerResponse;
};

export type Exchange = Arrival &
  ReturnType<typeof stateAtArrival> & {
    key?: Key;
    /** An entry of ALLOWED_MODELS. */
    model?: string;
    /** A fallback answers: in place of this entry of ALLOWED_MODELS, or of the `plan`. */
    fallbackFrom?: string | undefined;
    targetHost?: string;
    /** How the turn came by its process; absent without a turn. */
    start?: TurnStart;
    /** From arrival to the model's first text. */
    firstTextMs?: number;
    stopReason?: string;
    /** What went wrong, perhaps after the status had been sent. */
    failure?: RelayError;
    /** The end of a request that goes on after its answer (a job); its record waits for it. */
    settled?: Promise<{ status: number; error: RelayError | undefined }>;
    /** Called when all is over, including what goes on after the answer. */
    onEnd?: () => void;
    /** The headers of the key's limits as they are when the answer leaves. */
    limitHeaders?: () => Record<string, string>;
  };

/** An exchange whose key is valid and may use the route. */
export type KeyedExchange = Exchange & { key: Key };

export function openExchange(arrival: Arrival): Exchange {
  return { ...arrival, ...stateAtArrival() };
}

function stateAtArrival() {
  const headers: Record<string, string> = {};
  return {
    requestId: `req_${randomUUID().replaceAll('-', '')}`,
    /** `performance.now()` */
    startedAt: performance.now(),
    /** Unix milliseconds. */
    at: Date.now(),
    bytesIn: 0,
    bytesOut: 0,
    queueMs: 0,
    spawnMs: 0,
    upstreamMs: 0,
    usage: noTokens,
    costUsd: 0,
    /** The turn may have cost tokens. */
    spent: false,
    clientGone: false,
    /** Headers of every answer to this request; names in lower case. A plain object costs a tenth of `Headers`. */
    headers,
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

/** The key, its rights and the path are the same at the next try. Claude Code tries 11 times unless it is told. */
const finalStatuses: ReadonlySet<number> = new Set([401, 403, 404]);

export function respondError(exchange: Exchange, error: RelayError): Response {
  const { retryAfter, shouldRetry, headers } = error.details;
  const { errorFormat, requestId } = exchange;
  const status = statusOf(errorFormat, error);
  if (retryAfter !== undefined) exchange.headers['retry-after'] = String(retryAfter);
  if (shouldRetry === false || finalStatuses.has(status)) exchange.headers['x-should-retry'] = 'false';
  Object.assign(exchange.headers, headers);
  return respond(exchange, status, errorFormat.errorBody(error, requestId));
}

export function statusOf(format: ErrorFormat, error: RelayError): number {
  return format.errorStatus?.(error) ?? error.status;
}

/** Anything thrown -> an error that a caller may see. Anything but a RelayError is a defect and becomes `internal`. */
export function asRelayError(thrown: unknown): RelayError {
  if (thrown instanceof RelayError) return thrown;
  return new RelayError('internal', 'Something went wrong inside the relay.', { cause: thrown });
}

/** Where the time went, in milliseconds, in parts that add up; and, not part of that sum, the time to the model's first text. */
function serverTiming(exchange: Exchange): string {
  const total = performance.now() - exchange.startedAt;
  const { queueMs, spawnMs, upstreamMs, firstTextMs, start } = exchange;
  const relayMs = Math.max(0, total - queueMs - spawnMs - upstreamMs);
  const phases = {
    queue: queueMs,
    ...(start !== undefined && { [start]: spawnMs }),
    upstream: upstreamMs,
    relay: relayMs,
    ...(firstTextMs !== undefined && { first_text: firstTextMs }),
  };
  return Object.entries(phases)
    .map(([name, ms]) => `${name};dur=${ms.toFixed(1)}`)
    .join(', ');
}
