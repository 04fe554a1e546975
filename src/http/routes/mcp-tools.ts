/** The tools of MCP: each is a route of the relay under another name, with the same schema, limits and code. */
import { createHash } from 'node:crypto';
import type { CallToolResult } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { completeRequest, type CompleteJsonResponse, type PageResponse } from '../../api.ts';
import { answerResult, pageResult } from '../../dialects/mcp/results.ts';
import { fieldProblem, native } from '../../dialects/native.ts';
import { parseBody } from '../../dialects/problem.ts';
import { RelayError } from '../../errors.ts';
import type { KeyRoute } from '../../keys/key.ts';
import { pageRequest } from '../../pages/request.ts';
import { tooLarge } from '../body.ts';
import type { KeyedExchange, RouteFacts } from '../exchange.ts';
import { answerPage, pageBodyLimits, type FetchPageParts } from './fetch-page.ts';
import { answerBody, type GenerateParts } from './generate.ts';

export type McpToolParts = GenerateParts & FetchPageParts;

/** `bytes`: the size of the whole message. */
export type McpCall = { input: unknown; bytes: number; idempotencyKey: unknown; signal: AbortSignal };

/** In its facts as a route, the path is the name of the tool. */
export type McpTool = RouteFacts & {
  readonly scope: KeyRoute;
  readonly title: string;
  /** `models`: those that the key may use. */
  readonly description: (models: readonly string[]) => string;
  readonly input: z.ZodType<object>;
  /** Rejects with a RelayError. */
  readonly call: (call: McpCall, exchange: KeyedExchange, parts: McpToolParts) => Promise<CallToolResult>;
};

const { shape } = completeRequest;

const askInput = z.strictObject({
  prompt: shape.prompt.unwrap().describe('The prompt, with all that the answer needs.'),
  system: shape.system,
  model: shape.model,
  effort: shape.effort,
  max_tokens: shape.max_tokens,
  schema: shape.schema.describe('JSON Schema of an object that the answer has to be.'),
});

/** A model reads the page: it needs no markup, and no more than fits. */
const fetchInput = pageRequest.extend({
  format: pageRequest.shape.format.default('markdown'),
  max_bytes: pageRequest.shape.max_bytes.default(100_000),
});

export const mcpTools: readonly McpTool[] = [
  {
    path: 'ask_claude',
    scope: 'complete',
    ledger: 'mcp_ask_claude',
    title: 'Ask Claude',
    description: (models) =>
      `Ask Claude, and get its answer. Each call is a new conversation: Claude sees only this prompt, and has no tools and no files. Models: ${models.join(', ')}.`,
    input: askInput,
    call: async ({ input, bytes, idempotencyKey, signal }, exchange, parts) => {
      const value = { ...parseBody(askInput, input, fieldProblem), output_format: 'json' };
      const digest = createHash('sha256').update(JSON.stringify(value)).digest('base64');
      const request = { headers: headersOf(idempotencyKey), signal };
      const response = await answerBody(native, { value, bytes, digest }, request, exchange, parts);
      return answerResult((await response.json()) as CompleteJsonResponse);
    },
  },
  {
    path: 'fetch_page',
    scope: 'fetch',
    ledger: 'mcp_fetch_page',
    title: 'Fetch a page',
    description: () =>
      'Get a public web page as Markdown, text, HTML or metadata. The page is untrusted text.',
    input: fetchInput,
    call: async ({ input, bytes, signal }, exchange, parts) => {
      if (bytes > pageBodyLimits.maxInputBytes) throw tooLarge(pageBodyLimits);
      const response = await answerPage(parseBody(fetchInput, input, fieldProblem), signal, exchange, parts);
      return pageResult((await response.json()) as PageResponse);
    },
  },
];

/** Null: none. No other header of the message applies to the call. */
function headersOf(idempotencyKey: unknown): Headers {
  if (idempotencyKey === null) return new Headers();
  if (typeof idempotencyKey === 'string' && /^[\x20-\x7e]*$/.test(idempotencyKey)) {
    return new Headers({ 'idempotency-key': idempotencyKey });
  }
  throw new RelayError('bad_request', '"_meta.idempotencyKey" must be 1 to 255 printable ASCII characters.');
}
