/**
 * The stand-in: a small server on loopback that plays the Messages API.
 *
 * The proof runs the installed CLI against it, `run.sh --demo` answers from it, and the tests see in it every byte that
 * would have reached the model.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  answerDocument,
  answerEnd,
  answerStart,
  estimateTokens,
  parseMessagesRequest,
  serialiseEvent,
  type ApiEvent,
  type MessagesRequest,
} from './stand-in-messages.ts';
import { answerOf, statusOf, type Reply } from './stand-in-reply.ts';

/** A request to the Messages API, as it came. */
export type SeenRequest = {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Undefined when the body is no Messages request. */
  readonly json: MessagesRequest | undefined;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Resolves when the exchange is over: answered in full, or the client's connection gone. */
  readonly closed: Promise<void>;
};

export type ReplyFunction = (request: SeenRequest, index: number) => Reply | Promise<Reply>;

export type StandIn = {
  /** `http://127.0.0.1:<port>`, for `ANTHROPIC_BASE_URL`. */
  readonly url: string;
  /** The last requests for a message (`POST /v1/messages`), oldest first. Live. */
  readonly requests: readonly SeenRequest[];
  /** What else was asked for, such as `HEAD /` (2.1.197 begins with it); the last of them. Live. */
  readonly otherRequests: readonly string[];
  setReply(reply: ReplyFunction): void;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
};

export type StandInOptions = {
  /** `index` counts the requests for a message from 0. */
  reply: ReplyFunction;
  /** Milliseconds before each reply: the upstream's own time. */
  delayMs?: number;
  /** How many requests are kept. */
  keep?: number;
};

const maxBodyBytes = 64 * 1024 * 1024;
const models = ['claude-opus-5-5', 'claude-sonnet-5', 'claude-haiku-4-5'] as const;

export async function startStandIn(options: StandInOptions): Promise<StandIn> {
  const keep = options.keep ?? 64;
  const requests: SeenRequest[] = [];
  const otherRequests: string[] = [];
  let reply = options.reply;
  let count = 0;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    const closed = new Promise<void>((resolve) => {
      response.on('close', () => {
        gone.abort();
        resolve();
      });
    });
    const { method = '' } = request;
    const path = new URL(request.url ?? '/', 'http://stand-in').pathname;
    const body = await readBody(request);
    if (body === undefined) return sendError(response, 413, 'request_too_large', 'Request is too large.');
    if (method !== 'POST' || path !== '/v1/messages') {
      pushBounded(otherRequests, `${method} ${path}`, keep);
      return answerOther(response, method, path, body);
    }
    const index = count++;
    const seen: SeenRequest = {
      method,
      path,
      headers: request.headers,
      body,
      json: parseMessagesRequest(body),
      receivedAt: Date.now(),
      closed,
    };
    pushBounded(requests, seen, keep);
    const chosen = await reply(seen, index);
    if (options.delayMs !== undefined) await sleep(options.delayMs, undefined, { signal: gone.signal });
    await answerMessage(response, seen, chosen, index, gone.signal);
  };

  const server = createServer((request, response) => {
    request.on('error', () => {});
    response.on('error', () => {});
    response.setHeader('request-id', `req_standin_${count}`);
    // What fails here is a reply function, or a client that went away in the middle.
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    otherRequests,
    setReply: (next) => {
      reply = next;
    },
    close: async () => {
      if (!server.listening) return;
      const ended = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await ended;
    },
  };
}

function pushBounded<T>(list: T[], item: T, keep: number): void {
  list.push(item);
  if (list.length > keep) list.shift();
}

/** Undefined when the body is longer than the API itself would read. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBodyBytes) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes <= maxBodyBytes ? Buffer.concat(chunks).toString('utf8') : undefined;
}

async function answerMessage(
  response: ServerResponse,
  request: SeenRequest,
  reply: Reply,
  index: number,
  signal: AbortSignal,
): Promise<void> {
  if (reply.kind === 'error')
    return sendError(response, reply.status, reply.type, reply.message, reply.headers);
  if (reply.kind === 'raw') {
    response.writeHead(reply.status, reply.headers).end(reply.body);
    return;
  }
  const cut = reply.kind === 'hang' || reply.kind === 'drop' ? reply : undefined;
  if (cut?.after === 'accept') return end(response, cut);
  if (request.json === undefined) {
    return sendError(response, 400, 'invalid_request_error', 'The body is not a Messages request.');
  }
  if (reply.kind === 'events') {
    if (request.json.stream !== true)
      return sendError(response, 400, 'invalid_request_error', 'This reply is a stream.');
    startStream(response);
    for (const event of reply.events) {
      if (reply.eventDelayMs !== undefined) await sleep(reply.eventDelayMs, undefined, { signal });
      await sendEvents(response, [event], 0, signal);
    }
    if (reply.cut === true) response.socket?.destroySoon();
    else response.end();
    return;
  }
  const answer = answerOf(reply, `msg_standin_${index}`, request.json.model, request.body.length);

  if (request.json.stream !== true) {
    if (reply.kind === 'stream_error')
      return sendError(response, statusOf(reply.type), reply.type, reply.message);
    if (cut === undefined) return sendJson(response, 200, answerDocument(answer));
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    return end(response, cut);
  }

  startStream(response);
  if (cut?.after === 'headers') return end(response, cut);
  const delayMs = 'deltaDelayMs' in reply ? (reply.deltaDelayMs ?? 0) : 0;
  const start = answerStart(answer);
  // What is cut short ends inside its last block.
  const events = cut === undefined && reply.kind !== 'stream_error' ? start : start.slice(0, -1);
  await sendEvents(response, events, delayMs, signal, 'beforeDelta' in reply ? reply.beforeDelta : undefined);
  if (cut !== undefined) return end(response, cut);
  if (reply.kind === 'stream_error') {
    const { type, message } = reply;
    await sendEvents(response, [{ type: 'error', error: { type, message } }], 0, signal);
  } else {
    await sendEvents(response, answerEnd(answer), 0, signal);
  }
  response.end();
}

function startStream(response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  response.flushHeaders();
}

/** Cuts the connection, or leaves it as it is for ever (until `close`). */
function end(response: ServerResponse, cut: Extract<Reply, { after: string }>): void {
  if (cut.kind === 'hang') return;
  // What was written has to leave first, or the client would never see it.
  response.socket?.destroySoon();
}

/** Delays every delta but the first; waits for a client that reads slowly. */
async function sendEvents(
  response: ServerResponse,
  events: readonly ApiEvent[],
  delayMs: number,
  signal: AbortSignal,
  beforeDelta?: (index: number) => Promise<void> | void,
): Promise<void> {
  let deltas = 0;
  for (const event of events) {
    if (event.type === 'content_block_delta') {
      if (deltas > 0 && delayMs > 0) await sleep(delayMs, undefined, { signal });
      await beforeDelta?.(deltas);
      deltas += 1;
    }
    if (signal.aborted) return;
    if (!response.write(serialiseEvent(event))) await once(response, 'drain', { signal });
  }
}

function answerOther(response: ServerResponse, method: string, path: string, body: string): void {
  if (method === 'GET' && path === '/v1/models') {
    const data = models.map((id) => ({
      type: 'model',
      id,
      display_name: id,
      created_at: '2026-01-01T00:00:00Z',
    }));
    sendJson(response, 200, { data, has_more: false, first_id: models[0], last_id: models.at(-1) });
  } else if (method === 'POST' && path === '/v1/messages/count_tokens') {
    sendJson(response, 200, { input_tokens: estimateTokens(body.length) });
  } else {
    sendError(response, 404, 'not_found_error', 'Not found.');
  }
}

function sendJson(
  response: ServerResponse,
  status: number,
  document: object,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(document));
}

function sendError(
  response: ServerResponse,
  status: number,
  type: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  sendJson(response, status, { type: 'error', error: { type, message } }, headers);
}
