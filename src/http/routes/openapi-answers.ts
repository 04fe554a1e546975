/** What the routes answer with, for the description in OpenAPI. */
import { z } from 'zod';

/** Of the three families of limits: absent while it is off. */
const limitWindow = z.strictObject({
  limit: z.int(),
  used: z.int(),
  remaining: z.int(),
  resets_at: z.iso.datetime(),
});

const limits = z.strictObject({
  key_rpm: limitWindow.optional(),
  key_daily: limitWindow.optional(),
  global_daily: limitWindow.optional(),
  concurrency: z.strictObject({ limit: z.int(), running: z.int() }),
});

const totals = {
  requests: z.int(),
  errors: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  cache_read_input_tokens: z.int(),
  cache_creation_input_tokens: z.int(),
  cost_usd: z.number(),
};
const period = z.strictObject({ ...totals, models: z.record(z.string(), z.strictObject(totals)) });
const planWindow = z.strictObject({ utilization: z.number(), resets_at: z.string().nullable() }).nullable();

export const usageAnswer = z.strictObject({
  ok: z.literal(true),
  key: z.strictObject({ label: z.string(), expires_at: z.iso.datetime().nullable() }),
  limits,
  fetch_limits: limits,
  today: period,
  last_30_days: period,
  plan: z.strictObject({ five_hour: planWindow, seven_day: planWindow }).nullable(),
  plan_closed: z.array(z.strictObject({ models: z.string(), until: z.iso.datetime() })),
});

export const modelAnswer = z.strictObject({
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

export const modelsAnswer = z.strictObject({
  ok: z.literal(true),
  object: z.literal('list'),
  data: z.array(modelAnswer),
  has_more: z.literal(false),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
});

export const healthAnswer = z.strictObject({ ok: z.literal(true) });

/** A stranger gets the names of the checks that failed, and nothing else. */
export const readyAnswer = z.strictObject({
  ok: z.boolean(),
  checks: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
  spares: z.strictObject({ waiting: z.int(), rss_bytes: z.int() }).optional(),
  connections: z.strictObject({ open: z.int(), most: z.int() }).optional(),
});

/** One of `html`, `text`, `markdown`, `metadata` and `body` is there. */
export const pageAnswer = z.strictObject({
  ok: z.literal(true),
  status: z.int(),
  final_url: z.string(),
  truncated: z.boolean(),
  html: z.string().optional(),
  text: z.string().optional(),
  markdown: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  body: z.string().optional(),
  content_type: z.string(),
  charset: z.string(),
  redirects: z.array(z.strictObject({ status: z.int(), url: z.string() })),
  bytes: z.strictObject({ wire: z.int(), decoded: z.int(), output: z.int() }),
  elapsed_ms: z.int(),
  json_ld: z.array(z.string()),
  about: z.strictObject({
    title: z.string().optional(),
    byline: z.string().optional(),
    language: z.string().optional(),
    published: z.string().optional(),
    site_name: z.string().optional(),
    excerpt: z.string().optional(),
  }),
});

/** The Messages API's message; whatever else the upstream tells is there as it came. */
export const messagesAnswer = z.looseObject({
  id: z.string(),
  type: z.literal('message'),
  role: z.literal('assistant'),
  model: z.string(),
  content: z.array(z.looseObject({ type: z.string() })),
  stop_reason: z.string(),
  stop_sequence: z.string().nullable(),
  usage: z.looseObject({ input_tokens: z.int(), output_tokens: z.int() }),
});

export const messagesError = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string() }),
  request_id: z.string(),
});

export const chatAnswer = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.looseObject({
      index: z.int(),
      message: z.looseObject({ role: z.literal('assistant'), content: z.string().nullable() }),
      finish_reason: z.string(),
    }),
  ),
  usage: z.looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() }),
});

export const chatError = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
});
