/**
 * The stand-in: a small server on loopback that plays the Messages API, as far as a locked CLI uses it.
 *
 * The proof runs the installed CLI against it, and `serve --demo` answers from it. Source of the shapes: the public API reference
 * (Messages, streaming, errors), compared with what the CLI accepts.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { noTokens, type TokenUsage } from '../../conversation.ts';

const requestBlock = z.looseObject({ type: z.string() });
const messagesRequest = z.looseObject({
  model: z.string(),
  max_tokens: z.number(),
  stream: z.boolean().optional(),
  system: z.union([z.string(), z.array(requestBlock)]).optional(),
  messages: z.array(
    z.looseObject({ role: z.string(), content: z.union([z.string(), z.array(requestBlock)]) }),
  ),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
});

export type RequestBlock = z.infer<typeof requestBlock>;

/** A request for a message, as it came. */
export type SeenRequest = {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Undefined when the body is not a Messages request. */
  readonly json: z.infer<typeof messagesRequest> | undefined;
};

/** A block of an answer: as the stream opens it, and the deltas that fill it. */
export type AnswerBlock = { opening: object; deltas: readonly object[] };

/** `overloaded`: the model is, and does not answer. */
export type Reply = {
  overloaded?: boolean;
  blocks: readonly AnswerBlock[];
  /** By default `tool_use` after a tool call, `end_turn` otherwise. */
  stopReason?: string;
  /** Milliseconds before each delta except the first. */
  deltaDelayMs?: number;
};

export type StandIn = {
  /** `http://127.0.0.1:<port>`, for `ANTHROPIC_BASE_URL`. */
  readonly url: string;
  /** The number of requests so far, of any kind. */
  received(): number;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
};

/** `reply` is called once for each request for a message, in order. Anything else gets 404. */
export async function startStandIn(
  reply: (request: SeenRequest) => Reply | Promise<Reply>,
): Promise<StandIn> {
  let count = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const seen = await readRequest(request);
    if (!isMessagesRequest(request)) return sendError(response, 404, 'not_found_error', 'Not found.');
    const { overloaded, blocks, stopReason: asked, deltaDelayMs = 0 } = await reply(seen);
    if (overloaded === true) return sendError(response, 529, 'overloaded_error', 'Overloaded');
    if (seen.json === undefined) return sendError(response, 400, 'invalid_request_error', 'Not a message.');
    const usage = {
      ...noTokens,
      input_tokens: estimateTokens(seen.body.length),
      output_tokens: estimateTokens(JSON.stringify(blocks.flatMap(({ deltas }) => deltas)).length),
    };
    const usesTool = blocks.some(({ opening }) => 'input' in opening);
    const stopReason = asked ?? (usesTool ? 'tool_use' : 'end_turn');
    const id = `msg_standin_${count++}`;
    startEventStream(response);
    let deltas = 0;
    for (const event of answerEvents({ id, model: seen.json.model, blocks, stopReason, usage })) {
      if (event.type === 'content_block_delta' && deltas++ > 0) await sleep(deltaDelayMs);
      response.write(serialiseEvent(event));
    }
    response.end();
  };
  return serve(handle);
}

/** A server on a free loopback port. What `handle` throws ends the connection. */
export async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<StandIn> {
  let received = 0;
  const server = createServer((request, response) => {
    received += 1;
    request.on('error', () => {});
    response.on('error', () => {});
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: () => received,
    close: async () => {
      if (!server.listening) return;
      const ended = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await ended;
    },
  };
}

/** Without the query. 2.1.197 also asks for `HEAD /`. */
export function isMessagesRequest({ method, url = '/' }: IncomingMessage): boolean {
  return method === 'POST' && url.split('?')[0] === '/v1/messages';
}

/** More than the API itself reads. */
const maxBodyBytes = 64 * 1024 * 1024;

/** Throws for a body that is too large. */
export async function readRequest(request: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString('utf8');
  return { headers: request.headers, body, json: parseMessagesRequest(body) };
}

export function parseMessagesRequest(body: string): SeenRequest['json'] {
  try {
    return messagesRequest.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

/** Content as blocks, in the one form that the API itself reduces both forms to. */
export function blocksOf(content: string | readonly RequestBlock[] | undefined): readonly RequestBlock[] {
  if (content === undefined) return [];
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}

/** The text of a text block; undefined for other blocks. */
export function textOf(block: RequestBlock): string | undefined {
  return block.type === 'text' && typeof block['text'] === 'string' ? block['text'] : undefined;
}

/** The texts of the last user message, in order. */
export function lastUserTexts({ messages }: NonNullable<SeenRequest['json']>): string[] {
  const last = messages.findLast(({ role }) => role === 'user');
  return blocksOf(last?.content).flatMap((block) => textOf(block) ?? []);
}

/** Each text is a delta. */
export function textBlock(texts: readonly string[]): AnswerBlock {
  return { opening: { type: 'text', text: '' }, deltas: texts.map((text) => ({ type: 'text_delta', text })) };
}

export function toolUseBlock(id: string, name: string, input: unknown): AnswerBlock {
  const pieces = ['', JSON.stringify(input)];
  return {
    opening: { type: 'tool_use', id, name, input: {} },
    deltas: pieces.map((partial_json) => ({ type: 'input_json_delta', partial_json })),
  };
}

/** About four characters a token: a number that grows with the text, and no more. */
export function estimateTokens(characters: number): number {
  return Math.max(1, Math.ceil(characters / 4));
}

/** One server-sent event; its name is its `type`. */
export type ApiEvent = { type: string } & Record<string, unknown>;

export type StreamedAnswer = {
  id: string;
  model: string;
  blocks: readonly AnswerBlock[];
  stopReason: string;
  usage: TokenUsage;
};

/** In the API's own order; the last two are `message_delta` and `message_stop`. */
export function answerEvents({ id, model, blocks, stopReason, usage }: StreamedAnswer): ApiEvent[] {
  const message = { id, type: 'message', role: 'assistant', model, content: [] };
  const start = { stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } };
  return [
    { type: 'message_start', message: { ...message, ...start } },
    ...blocks.flatMap(({ opening, deltas }, index) => [
      { type: 'content_block_start', index, content_block: opening },
      ...(index === 0 ? [{ type: 'ping' }] : []),
      ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: stopReason, stop_sequence: null }, usage },
    { type: 'message_stop' },
  ];
}

export function startEventStream(response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  response.flushHeaders();
}

export function serialiseEvent(event: ApiEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

export function sendError(
  response: ServerResponse,
  status: number,
  type: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify({ type: 'error', error: { type, message } }));
}
