/**
 * The failing model: an API that answers like the model, fails like the API or breaks like a network, and that records every byte that
 * reached it. It extends the stand-in of the proof.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  answerEvents,
  estimateTokens,
  isMessagesRequest,
  readRequest,
  sendError,
  serialiseEvent,
  serve,
  startEventStream,
  textBlock,
  toolUseBlock,
  type AnswerBlock as StreamedBlock,
  type ApiEvent,
  type SeenRequest as StandInRequest,
  type StandIn,
  type StreamedAnswer,
} from '../../src/claude/proof/stand-in.ts';
import type { TokenUsage } from '../../src/conversation.ts';

export { blocksOf, lastUserTexts, textOf, type ApiEvent } from '../../src/claude/proof/stand-in.ts';

/** A block of the model's answer. Several texts are several deltas. */
export type AnswerBlock =
  | { type: 'text'; text: string | readonly string[] }
  | { type: 'thinking'; thinking: string; signature?: string }
  | { type: 'tool_use'; name: string; input: unknown; id?: string };

type AnswerOptions = {
  stopReason?: string;
  /** Replaces parts of the estimated usage. */
  usage?: Partial<TokenUsage>;
  /** The model id that the answer names; the request's own by default. */
  model?: string;
  /** Milliseconds before each delta except the first. */
  deltaDelayMs?: number;
  /** Awaited before each delta; `index` counts them from 0. */
  beforeDelta?: (index: number) => Promise<void> | void;
};

export type Reply =
  /** Several texts are several deltas. */
  | ({ kind: 'text'; text: string | readonly string[] } & AnswerOptions)
  | ({ kind: 'tool_use'; name: string; input: unknown; id?: string; text?: string } & AnswerOptions)
  | ({ kind: 'blocks'; blocks: readonly AnswerBlock[] } & AnswerOptions)
  /** A recorded stream, event by event. Then the connection ends, or is cut in the middle of the body. */
  | { kind: 'events'; events: readonly ApiEvent[]; eventDelayMs?: number; cut?: true }
  /** An HTTP error in the API's shape. */
  | { kind: 'error'; status: number; type: string; message: string; headers?: Record<string, string> }
  /** An `error` event in a stream that began well. */
  | { kind: 'stream_error'; type: string; message: string; afterText?: string }
  /** Nothing more comes; the connection stays. */
  | { kind: 'hang'; after: 'accept' | 'headers' | 'text'; text?: string }
  /** The connection is cut. */
  | { kind: 'drop'; after: 'accept' | 'headers' | 'text'; text?: string }
  | { kind: 'raw'; status: number; headers: Record<string, string>; body: string | Uint8Array };

export type SeenRequest = StandInRequest & {
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Resolves when the exchange is over: answered in full, or the client's connection gone. */
  readonly closed: Promise<void>;
};

export type ReplyFunction = (request: SeenRequest, index: number) => Reply | Promise<Reply>;

export type FailingModel = StandIn & {
  /** The last requests for a message (`POST /v1/messages`), oldest first. Live. */
  readonly requests: readonly SeenRequest[];
  /** The last other requests, such as `HEAD /` (2.1.197 begins with it). Live. */
  readonly otherRequests: readonly string[];
  setReply(reply: ReplyFunction): void;
};

export type FailingModelOptions = {
  /** `index` counts the requests for a message from 0. */
  reply: ReplyFunction;
  /** Milliseconds before each reply. */
  delayMs?: number;
  /** How many requests are kept. */
  keep?: number;
};

const models = ['claude-opus-5-5', 'claude-sonnet-5', 'claude-haiku-4-5'] as const;

export async function startFailingModel(options: FailingModelOptions): Promise<FailingModel> {
  const keep = options.keep ?? 64;
  const requests: SeenRequest[] = [];
  const otherRequests: string[] = [];
  let { reply } = options;
  let count = 0;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    const closed = new Promise<void>((resolve) => {
      response.once('close', () => {
        gone.abort();
        resolve();
      });
    });
    response.setHeader('request-id', `req_standin_${count}`);
    const read = await readRequest(request);
    if (!isMessagesRequest(request)) {
      const { pathname } = new URL(request.url ?? '/', 'http://model');
      pushBounded(otherRequests, `${request.method} ${pathname}`, keep);
      return answerOther(response, `${request.method} ${pathname}`, read.body);
    }
    const index = count++;
    const seen: SeenRequest = { ...read, receivedAt: Date.now(), closed };
    pushBounded(requests, seen, keep);
    const chosen = await reply(seen, index);
    if (options.delayMs !== undefined) await sleep(options.delayMs, undefined, { signal: gone.signal });
    await answerMessage(response, seen, chosen, index, gone.signal);
  };

  const server = await serve(handle);
  return {
    ...server,
    requests,
    otherRequests,
    setReply: (next) => {
      reply = next;
    },
  };
}

function pushBounded<T>(list: T[], item: T, keep: number): void {
  list.push(item);
  if (list.length > keep) list.shift();
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
    startEventStream(response);
    for (const event of reply.events) {
      if (reply.eventDelayMs !== undefined) await sleep(reply.eventDelayMs, undefined, { signal });
      await sendEvents(response, [event], {}, signal);
    }
    if (reply.cut === true) response.socket?.destroySoon();
    else response.end();
    return;
  }
  const answer = answerOf(reply, `msg_standin_${index}`, request);

  if (request.json.stream !== true) {
    if (reply.kind === 'stream_error') return sendError(response, 500, reply.type, reply.message);
    if (cut === undefined) return sendJson(response, answerDocument(reply, answer));
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    return end(response, cut);
  }

  startEventStream(response);
  if (cut?.after === 'headers') return end(response, cut);
  const events = answerEvents(answer);
  const options = 'deltaDelayMs' in reply || 'beforeDelta' in reply ? reply : {};
  // An answer that is cut short ends inside its last block.
  const whole = cut === undefined && reply.kind !== 'stream_error';
  await sendEvents(response, whole ? events : events.slice(0, -3), options, signal);
  if (cut !== undefined) return end(response, cut);
  if (reply.kind === 'stream_error') {
    const { type, message } = reply;
    await sendEvents(response, [{ type: 'error', error: { type, message } }], {}, signal);
  }
  response.end();
}

/** Cuts the connection, or leaves it as it is until `close`. */
function end(response: ServerResponse, cut: Extract<Reply, { after: string }>): void {
  if (cut.kind === 'hang') return;
  // Waits until the written bytes are sent: otherwise the client would never see them.
  response.socket?.destroySoon();
}

/** Waits for a client that reads slowly. */
async function sendEvents(
  response: ServerResponse,
  events: readonly ApiEvent[],
  { deltaDelayMs = 0, beforeDelta }: AnswerOptions,
  signal: AbortSignal,
): Promise<void> {
  let deltas = 0;
  for (const event of events) {
    if (event.type === 'content_block_delta') {
      if (deltas > 0 && deltaDelayMs > 0) await sleep(deltaDelayMs, undefined, { signal });
      await beforeDelta?.(deltas);
      deltas += 1;
    }
    if (signal.aborted) return;
    if (!response.write(serialiseEvent(event))) await once(response, 'drain', { signal });
  }
}

/** The blocks that a reply sends before it ends, hangs, drops or fails. */
function blocksOfReply(reply: Reply): readonly AnswerBlock[] {
  switch (reply.kind) {
    case 'text':
      return [{ type: 'text', text: reply.text }];
    case 'tool_use': {
      const { name, input, id, text } = reply;
      const use: AnswerBlock = { type: 'tool_use', name, input, ...(id === undefined ? {} : { id }) };
      return text === undefined ? [use] : [{ type: 'text', text }, use];
    }
    case 'blocks':
      return reply.blocks;
    case 'stream_error':
      return [{ type: 'text', text: reply.afterText ?? '' }];
    case 'hang':
    case 'drop':
      return [{ type: 'text', text: reply.text ?? 'The answer begins and' }];
    case 'events':
    case 'error':
    case 'raw':
  }
  return [];
}

export function answerOf(reply: Reply, id: string, request: SeenRequest): StreamedAnswer {
  const blocks = blocksOfReply(reply);
  const options: AnswerOptions =
    reply.kind === 'text' || reply.kind === 'tool_use' || reply.kind === 'blocks' ? reply : {};
  const usesTool = blocks.some((block) => block.type === 'tool_use');
  return {
    id,
    model: options.model ?? request.json?.model ?? '',
    blocks: blocks.map((block, index) => streamed(block, id, index)),
    stopReason: options.stopReason ?? (usesTool ? 'tool_use' : 'end_turn'),
    usage: {
      input_tokens: estimateTokens(request.body.length),
      output_tokens: estimateTokens(JSON.stringify(blocks).length),
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      ...options.usage,
    },
  };
}

const anySignature = 'c3RhbmQtaW4=';

function streamed(block: AnswerBlock, messageId: string, index: number): StreamedBlock {
  if (block.type === 'text') return textBlock(typeof block.text === 'string' ? [block.text] : block.text);
  if (block.type === 'tool_use')
    return toolUseBlock(toolId(block, messageId, index), block.name, block.input);
  return {
    opening: { type: 'thinking', thinking: '', signature: '' },
    deltas: [
      { type: 'thinking_delta', thinking: block.thinking },
      { type: 'signature_delta', signature: block.signature ?? anySignature },
    ],
  };
}

function toolId(block: { id?: string }, messageId: string, index: number): string {
  return block.id ?? `${messageId.replace('msg_', 'toolu_')}_${index}`;
}

/** The answer to a request without `stream: true`. */
function answerDocument(reply: Reply, { id, model, stopReason, usage }: StreamedAnswer): object {
  const content = blocksOfReply(reply).map((block, index) => {
    if (block.type === 'text') return { type: 'text', text: [block.text].flat().join('') };
    const added = block.type === 'thinking' ? { signature: anySignature } : { id: toolId(block, id, index) };
    return Object.assign(added, block);
  });
  const message = { id, type: 'message', role: 'assistant', model, content };
  return { ...message, stop_reason: stopReason, stop_sequence: null, usage };
}

function answerOther(response: ServerResponse, asked: string, body: string): void {
  if (asked === 'GET /v1/models') {
    const data = models.map((id) => ({
      type: 'model',
      id,
      display_name: id,
      created_at: '2026-01-01T00:00:00Z',
    }));
    sendJson(response, { data, has_more: false, first_id: models[0], last_id: models.at(-1) });
  } else if (asked === 'POST /v1/messages/count_tokens') {
    sendJson(response, { input_tokens: estimateTokens(body.length) });
  } else {
    sendError(response, 404, 'not_found_error', 'Not found.');
  }
}

function sendJson(response: ServerResponse, document: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
}
