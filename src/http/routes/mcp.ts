/**
 * POST /mcp: the Model Context Protocol over streamable HTTP, without sessions. Each message is served alone, in the protocol's form of
 * 2026 or of 2025. A call of a tool takes the same way as a request to the route that the tool stands for.
 */
import { randomUUID } from 'node:crypto';
import type { CallToolResult, ServerContext, Tool } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import { errorResult } from '../../dialects/mcp/results.ts';
import { fieldProblem } from '../../dialects/native.ts';
import { requireSendable, shorten } from '../../dialects/problem.ts';
import { RelayError } from '../../errors.ts';
import { version } from '../../installation.ts';
import { readJson } from '../body.ts';
import { answerWithEvents } from '../event-stream.ts';
import { asRelayError, respondText, type KeyedExchange } from '../exchange.ts';
import { mayUse } from '../../keys/key.ts';
import { withKey, type IdentifyParts } from '../identify.ts';
import type { McpCalls } from './mcp-calls.ts';
import { mcpTools, type McpCall, type McpTool, type McpToolParts } from './mcp-tools.ts';
import { modelsOf } from './models.ts';

export type McpParts = McpToolParts &
  IdentifyParts & { config: Pick<Config, 'allowedModels' | 'corsOrigins'>; mcpCalls: McpCalls };

export async function mcp(request: Request, exchange: KeyedExchange, parts: McpParts): Promise<Response> {
  requireKnownOrigin(request.headers, parts.config);
  const { value, bytes } = await readJson(request, { ...parts.config, maxAttachmentBytes: 0 });
  exchange.bytesIn = bytes;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RelayError('bad_request', 'The request body must be one JSON-RPC message, not a batch.');
  }
  const { method, params } = value as { method?: unknown; params?: { requestId?: unknown } | null };
  const { id: keyId } = exchange.key;
  const session = request.headers.get('mcp-session-id');
  // Nothing is kept for it. It says whose call a later notification cancels: each client numbers its calls by itself.
  if (method === 'initialize') exchange.headers['mcp-session-id'] = randomUUID();
  if (method === 'notifications/cancelled') parts.mcpCalls.cancel(keyId, session, params?.requestId);

  // Loaded with the first message: most relays need none of it.
  const { createMcpHandler, Server } = await import('@modelcontextprotocol/server');
  let call: Promise<CallToolResult> | undefined;
  let reported: unknown;
  const serve = (): InstanceType<typeof Server> => {
    const info = { name: 'claude-relay', version };
    const server = new Server(info, { capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', () => ({ tools: listTools(exchange, parts) }));
    server.setRequestHandler(
      'tools/call',
      async ({ params: { name, arguments: input = {} } }, { mcpReq }) => {
        const endCall = parts.mcpCalls.begin(keyId, session, mcpReq.id, () => void server.close());
        const stopProgress = reportProgress(mcpReq, parts.times.pingAfterMs);
        const idempotencyKey = mcpReq._meta?.['idempotencyKey'] ?? request.headers.get('idempotency-key');
        call = callTool(
          name,
          { input, bytes, idempotencyKey, signal: mcpReq.signal },
          exchange,
          parts,
        ).finally(() => {
          endCall();
          stopProgress();
        });
        return server.projectCallToolResult(await call, undefined);
      },
    );
    return server;
  };
  const handler = createMcpHandler(serve, {
    responseMode: 'sse',
    keepAliveMs: 0,
    onerror: (error) => (reported = error),
  });
  const answer = await handler.fetch(request, { parsedBody: value });
  if (answer.status >= 500) throw asRelayError(reported);
  if (answer.body === null || answer.headers.get('content-type') !== 'text/event-stream') {
    return respondText(exchange, answer.status, await answer.text());
  }
  const { body } = answer;
  return answerWithEvents(exchange, parts.times, async ({ send }) => {
    let text = '';
    for await (text of body.pipeThrough(new TextDecoderStream())) send(text);
    // The record needs to know what the call used, also when nobody waits for its result.
    await call;
    if (text === '') send(': cancelled\n\n');
  });
}

/** A key keeps strangers out. The protocol also asks for this, against pages that reach this machine by another name. */
function requireKnownOrigin(headers: Headers, { corsOrigins }: Pick<Config, 'corsOrigins'>): void {
  const origin = headers.get('origin');
  if (origin === null || corsOrigins.includes(origin)) return;
  throw new RelayError('forbidden', 'This path is for programs. For a page in a browser, set CORS_ORIGINS.');
}

function usable({ key }: KeyedExchange): readonly McpTool[] {
  return mcpTools.filter(({ scope }) => mayUse(key, scope));
}

function listTools(exchange: KeyedExchange, { config }: McpParts): Tool[] {
  const models = modelsOf(exchange.key, config.allowedModels);
  return usable(exchange).map(({ path, title, description, input }) => {
    const { $schema: _dialect, ...schema } = z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' });
    return {
      name: path,
      title,
      description: description(models),
      inputSchema: schema as Tool['inputSchema'],
      annotations: { readOnlyHint: true, openWorldHint: true },
    };
  });
}

/** Never rejects: the model that called the tool reads what went wrong. */
async function callTool(
  name: string,
  call: McpCall,
  exchange: KeyedExchange,
  parts: McpParts,
): Promise<CallToolResult> {
  try {
    const tool = mcpTools.find(({ path }) => path === name);
    if (tool === undefined) {
      const names = usable(exchange).map(({ path }) => path);
      throw new RelayError('not_found', `There is no tool ${shorten(name)}. Call ${names.join(' or ')}.`);
    }
    exchange.route = tool;
    requireSendable(call.input, [], fieldProblem);
    return await tool.call(call, withKey(exchange.key, exchange, tool.scope, parts), parts);
  } catch (thrown) {
    exchange.failure = asRelayError(thrown);
    return errorResult(exchange.failure, exchange.requestId);
  } finally {
    // Those of the stream count, not those of the body that is in it.
    exchange.bytesOut = 0;
  }
}

type CallContext = ServerContext['mcpReq'];

/** Clients wait for a minute, unless they are told that it takes longer. */
function reportProgress({ _meta, notify }: CallContext, everyMs: number): () => void {
  const progressToken = _meta?.progressToken;
  if (progressToken === undefined) return () => {};
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const progress = Math.round(performance.now() - startedAt) / 1000;
    const message = `${Math.floor(progress)} s`;
    void notify({ method: 'notifications/progress', params: { progressToken, progress, message } }).catch(
      () => {},
    );
  }, everyMs);
  return () => clearInterval(timer);
}
