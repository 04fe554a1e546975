/** The contract: the schemas of what callers send and get. Routes, documentation and clients rest on it. */
import { z } from 'zod';
import { effortLevels, imageTypes } from './conversation.ts';
import { errorTable, limitNames, type ErrorCode } from './errors.ts';

const text = z.string().refine((value) => !value.includes('\0'), 'holds a NUL character');

const nonBlank = text.refine((value) => value.trim() !== '', 'must not be empty');

/** Base64 in one piece, as the Messages API takes it: standard alphabet, padded, no line breaks. */
export const base64 = z
  .string()
  .refine(isBase64, 'must be base64 (standard alphabet, padded, no line breaks)');

/** A scan and no backtracking: attachments have millions of characters. */
function isBase64(value: string): boolean {
  if (value === '' || value.length % 4 !== 0) return false;
  const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
  return !/[^A-Za-z0-9+/]/.test(padding === 0 ? value : value.slice(0, -padding));
}

const textBlock = z.strictObject({ type: z.literal('text'), text: nonBlank });
const imageBlock = z.strictObject({
  type: z.literal('image'),
  source: z.strictObject({ type: z.literal('base64'), media_type: z.enum(imageTypes), data: base64 }),
});
const documentBlock = z.strictObject({
  type: z.literal('document'),
  source: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('base64'), media_type: z.literal('application/pdf'), data: base64 }),
    z.strictObject({ type: z.literal('text'), media_type: z.literal('text/plain'), data: nonBlank }),
  ]),
  title: nonBlank.optional(),
});

const completeMessage = z.discriminatedUnion('role', [
  z.strictObject({
    role: z.literal('user'),
    content: z.union([
      nonBlank,
      z.array(z.discriminatedUnion('type', [textBlock, imageBlock, documentBlock])).min(1),
    ]),
  }),
  z.strictObject({ role: z.literal('assistant'), content: z.union([nonBlank, z.array(textBlock).min(1)]) }),
]);

export const completeRequest = z.strictObject({
  prompt: nonBlank.optional().describe('The prompt, sent byte for byte. Required without `messages`.'),
  messages: z
    .array(completeMessage)
    .min(1)
    .optional()
    .describe('A conversation instead of `prompt`: messages of user and assistant, the last of the user.'),
  system: text.optional().describe("The system prompt. The CLI's coding prompt is never used."),
  model: z
    .string()
    .optional()
    .describe('An alias or a full model id; that of the key, or DEFAULT_MODEL, when absent.'),
  effort: z.enum(effortLevels).optional().describe('How hard the model thinks before it answers.'),
  output_format: z
    .enum(['text', 'json'])
    .optional()
    .describe('The form of the answer: `text` by default, `json` with `schema`.'),
  schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('JSON Schema that the answer satisfies; `result` is then the value.'),
  stream: z.boolean().optional().describe('Server-sent events: start, delta, done, error.'),
  max_tokens: z.int().min(1).optional().describe('The longest answer, in tokens.'),
  temperature: z.number().min(0).max(1).optional(),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(16)])
    .optional()
    .describe('Texts at which the model stops.'),
  timeout: z.int().min(1).optional().describe('Seconds the turn may take; REQ_TIMEOUT at most.'),
  async: z.boolean().optional().describe('Return 202 at once, with a job that will have the result.'),
  webhook: z
    .string()
    .max(2048, 'must have at most 2048 characters')
    .optional()
    .describe('With `async`: the https URL that is called when the job has ended.'),
});

export type CompleteRequest = z.infer<typeof completeRequest>;

/** As the upstream reported them. */
const tokenUsage = {
  input_tokens: z.int(),
  output_tokens: z.int(),
  cache_read_input_tokens: z.int(),
  cache_creation_input_tokens: z.int(),
};

/** Present when the key's fallback answered. */
const fallbackFrom = z
  .string()
  .optional()
  .describe(
    'The plan is used up, and the fallback of the key answered: in place of this model, or of the `plan`.',
  );

export const completeTextResponse = z.strictObject({
  ok: z.literal(true),
  model: z.string().describe('The model that was requested, or the fallback that answered.'),
  fallback_from: fallbackFrom,
  duration_ms: z.int(),
  text: z.string().describe('The text of the model, exactly.'),
  stop_reason: z
    .string()
    .optional()
    .describe('Present when the model did not end its turn normally: `max_tokens`, `refusal`, ...'),
  stop_sequence: z.string().optional().describe('Which of `stop` ended it.'),
});

export const completeJsonResponse = z.strictObject({
  ok: z.literal(true),
  model: z.string().describe('The model that was requested, or the fallback that answered.'),
  fallback_from: fallbackFrom,
  resolved_model: z.string().describe('The id of the model that answered.'),
  duration_ms: z.int(),
  result: z
    .unknown()
    .describe('The text of the model, exactly; with `schema` the value, which satisfies it.'),
  stop_reason: z.string(),
  stop_sequence: z.string().optional().describe('Which of `stop` ended it.'),
  usage: z
    .strictObject({ ...tokenUsage, cost_usd: z.number().nullable() })
    .describe('`cost_usd` is the cost as Claude Code reckons it, or null where it reported none.'),
});

export type CompleteTextResponse = z.infer<typeof completeTextResponse>;
export type CompleteJsonResponse = z.infer<typeof completeJsonResponse>;

export const errorBody = z.strictObject({
  ok: z.literal(false),
  error: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]).describe('Decide by it.'),
  message: z.string().describe('A sentence for people.'),
  request_id: z.string(),
  retry_after: z.int().optional().describe('Whole seconds.'),
  limit: z.enum(limitNames).optional().describe('Which limit refused.'),
  hop: z.int().optional().describe('For a page fetch: the number of redirects before the error.'),
});

export type ErrorBody = z.infer<typeof errorBody>;

export const jobWebhook = z.strictObject({
  state: z.enum(['pending', 'delivered', 'failed']),
  attempts: z.int(),
  last_error: z.string().optional().describe('An error code, or `http_` and a status.'),
});

export type JobWebhook = z.infer<typeof jobWebhook>;

export const job = z.strictObject({
  id: z.string(),
  status: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']),
  created_at: z.iso.datetime(),
  expires_at: z.iso
    .datetime()
    .nullable()
    .describe('When the result is dropped; null until the job has ended.'),
  url: z.string(),
  webhook: jobWebhook.optional().describe('Present if the request named one.'),
  response: z
    .strictObject({ status: z.int(), body: z.record(z.string(), z.unknown()) })
    .optional()
    .describe('The answer to the request, once the job has ended.'),
});

export const jobResponse = z.strictObject({ ok: z.literal(true), job });

export type Job = z.infer<typeof job>;

export const healthResponse = z.strictObject({ ok: z.literal(true), version: z.string() });

export type HealthResponse = z.infer<typeof healthResponse>;

/** A stranger gets the names of the checks that failed, and nothing else. */
export const readyResponse = z.strictObject({
  ok: z.boolean(),
  checks: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
  spares: z.strictObject({ waiting: z.int(), warm: z.int(), rss_bytes: z.int() }).optional(),
  hot: z
    .strictObject({
      resting: z.int(),
      rss_bytes: z.int(),
      off: z.string().optional().describe('Why no process can rest.'),
    })
    .optional(),
  valve: z
    .strictObject({
      exact: z.boolean().describe('Whether an answer asks the model exactly once.'),
      detail: z.string().optional(),
    })
    .optional(),
  seal: z
    .strictObject({
      mode: z.enum(['auto', 'required', 'off']).describe('The setting SEAL.'),
      network: z.enum(['namespace', 'filter', 'none']),
      files: z.enum(['bwrap', 'landlock', 'none']),
      missing: z
        .array(z.strictObject({ problem: z.string(), fix: z.string() }))
        .describe('What would seal more.'),
    })
    .optional(),
  connections: z.strictObject({ open: z.int(), most: z.int() }).optional(),
});

export type ReadyResponse = z.infer<typeof readyResponse>;

export const modelResponse = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  type: z.literal('model'),
  display_name: z.string(),
  created: z.int(),
  created_at: z.iso.datetime(),
  owned_by: z.string(),
  lifecycle: z.literal('active'),
  line: z.null(),
  capabilities: z.null(),
  max_input_tokens: z.null(),
  max_tokens: z.null(),
  deprecated_at: z.null(),
  retires_at: z.null(),
});

export type ModelResponse = z.infer<typeof modelResponse>;

export const modelsResponse = z.strictObject({
  ok: z.literal(true),
  object: z.literal('list'),
  data: z.array(modelResponse),
  has_more: z.literal(false),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
});

export type ModelsResponse = z.infer<typeof modelsResponse>;

const limitWindow = z.strictObject({
  limit: z.int(),
  used: z.int(),
  remaining: z.int(),
  resets_at: z.iso.datetime(),
});

/** `used` can exceed `limit`, by the last request. */
const budgetState = z.strictObject({
  limit: z.number(),
  used: z.number(),
  remaining: z.number(),
  resets_at: z.iso.datetime(),
});

/** A limit that is off is absent. */
const limitsState = z.strictObject({
  key_rpm: limitWindow.optional(),
  key_daily: limitWindow.optional(),
  global_daily: limitWindow.optional(),
  key_usd: budgetState.optional().describe("The key's daily budget in dollars, as Claude Code reckons them."),
  key_tokens: budgetState.optional(),
  global_usd: budgetState.optional(),
  global_tokens: budgetState.optional(),
  concurrency: z.strictObject({ limit: z.int(), running: z.int() }),
});

const usageTotals = {
  requests: z.int(),
  errors: z.int(),
  ...tokenUsage,
  cost_usd: z.number().describe('The cost as Claude Code reckons it.'),
  answers: z.int().describe('Requests that a turn answered.'),
  hot_answers: z.int().describe('Those that a hot process answered, without a start.'),
  fallback_answers: z.int().describe('Requests that a fallback answered, because the plan was used up.'),
  fallback_usd: z.number().describe('The part of `cost_usd` that the second login was billed for.'),
};

const usagePeriod = z.strictObject({
  ...usageTotals,
  models: z.record(z.string(), z.strictObject(usageTotals)),
});

const planWindow = z
  .strictObject({ utilization: z.number().nullable(), resets_at: z.string().nullable() })
  .nullable();

export const usageResponse = z.strictObject({
  ok: z.literal(true),
  key: z.strictObject({ label: z.string(), expires_at: z.iso.datetime().nullable() }),
  limits: limitsState,
  fetch_limits: limitsState,
  today: usagePeriod,
  last_30_days: usagePeriod,
  plan: z.strictObject({ five_hour: planWindow, seven_day: planWindow }).nullable(),
  plan_closed: z.array(z.strictObject({ models: z.string(), until: z.iso.datetime() })),
});

export type UsageResponse = z.infer<typeof usageResponse>;

/** One of `html`, `text`, `markdown`, `metadata` and `body` is there. */
export const pageResponse = z.strictObject({
  ok: z.literal(true),
  status: z.int(),
  final_url: z.string(),
  truncated: z.boolean(),
  html: z.string().optional(),
  text: z.string().optional(),
  markdown: z.string().optional(),
  metadata: z.looseObject({ json_ld: z.array(z.string()).readonly() }).optional(),
  body: z.string().optional(),
  content_type: z.string(),
  charset: z.string(),
  redirects: z.array(z.strictObject({ status: z.int(), url: z.string() })).readonly(),
  bytes: z.strictObject({ wire: z.int(), decoded: z.int(), output: z.int() }),
  elapsed_ms: z.int(),
  json_ld: z.array(z.string()).readonly(),
  about: z.partialRecord(
    z.enum(['title', 'byline', 'language', 'published', 'site_name', 'excerpt']),
    z.string().optional(),
  ),
});

export type PageResponse = z.infer<typeof pageResponse>;

/** One message of JSON-RPC; the protocol of MCP describes the rest. */
export const mcpMessage = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.int(), z.null()]).optional(),
  method: z.string().optional(),
  params: z.looseObject({}).optional(),
  result: z.looseObject({}).optional(),
  error: z.looseObject({ code: z.int(), message: z.string() }).optional(),
});

/** The Messages API's message; everything else the upstream reports is there as it came. */
export const messagesResponse = z.looseObject({
  id: z.string(),
  type: z.literal('message'),
  content: z.array(z.looseObject({ type: z.string() })),
  stop_reason: z.string(),
});

export const countTokensResponse = z.strictObject({ input_tokens: z.int() });
export type CountTokensResponse = z.infer<typeof countTokensResponse>;

export const messagesError = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string() }),
  request_id: z.string(),
});

export const chatResponse = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  choices: z.array(z.looseObject({ index: z.int(), finish_reason: z.string() })),
});

/** Further fields repeat the request. */
export const responsesResponse = z.looseObject({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.int(),
  completed_at: z.int().nullable(),
  status: z.enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled']),
  model: z.string(),
  output: z.array(z.looseObject({ type: z.string(), id: z.string() })),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.strictObject({ reason: z.string() }).nullable(),
  usage: z
    .strictObject({
      input_tokens: z.int(),
      input_tokens_details: z.strictObject({ cached_tokens: z.int(), cache_write_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.strictObject({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
});

export const deletedResponse = z.strictObject({
  id: z.string(),
  object: z.literal('response'),
  deleted: z.literal(true),
});

export const chatError = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
});
