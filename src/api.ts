/**
 * The contract: the schemas of what callers send and get. Routes, documentation and clients rest on it.
 */
import { z } from 'zod';

/** The levels that the CLI passes on to the model (2.1.197, 2.1.330); it ignores any other without a word. */
const effortLevels = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

export type Effort = (typeof effortLevels)[number];

/** Text that can be sent as UTF-8 without loss. A lone surrogate cannot; NUL cannot travel in every part of the way. */
const text = z
  .string()
  .refine((value) => value.isWellFormed(), 'holds a lone surrogate, which is not valid Unicode text')
  .refine((value) => !value.includes('\0'), 'holds a NUL character');

export const completeRequest = z.strictObject({
  /** What the model is asked; reaches it byte for byte. */
  prompt: text.refine((value) => value.trim() !== '', 'must not be empty'),
  /** The system prompt; without one, none of the CLI's own coding prompt is used either. */
  system: text.optional(),
  /** An alias or a full model id that ALLOWED_MODELS names. */
  model: z.string().optional(),
  /** How hard the model thinks before it answers; the model's own default when absent. */
  effort: z.enum(effortLevels).optional(),
  output_format: z.enum(['text', 'json']).default('text'),
});

/** Token counts as the upstream reported them; `cost_usd` as the CLI reported it, null where it told none. */
export type CompleteUsage = {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
  cost_usd: number | null;
};

export type CompleteTextResponse = {
  ok: true;
  /** What was asked for. */
  model: string;
  duration_ms: number;
  text: string;
  /** Present only when the model did not end by itself: `max_tokens`, `refusal`, ... */
  stop_reason?: string;
};

export type CompleteJsonResponse = {
  ok: true;
  model: string;
  /** The id of the model that answered. */
  resolved_model: string;
  duration_ms: number;
  /** The model's text, exactly. */
  result: string;
  stop_reason: string;
  usage: CompleteUsage;
};

/** Every error, on every native route. */
export type ErrorBody = {
  ok: false;
  error: string;
  message: string;
  request_id: string;
  retry_after?: number;
  limit?: string;
  /** Of a page fetch: after how many redirects it happened. */
  hop?: number;
};

/** The first problem of a rejected body as one sentence that names the field. */
export function explain(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'The request body is not valid.';
  if (issue.code === 'unrecognized_keys') {
    return `Unknown field${issue.keys.length > 1 ? 's' : ''} ${issue.keys.map((key) => `"${shorten(key)}"`).join(', ')}.`;
  }
  const field = issue.path.map(String).join('.');
  if (field === '') return 'The request body must be a JSON object.';
  if (issue.code === 'invalid_type') {
    return `Field "${field}" must be ${article(issue.expected)}${issue.input === undefined ? ' and is required' : ''}.`;
  }
  if (issue.code === 'invalid_value') return `Field "${field}" must be one of ${issue.values.join(', ')}.`;
  if (issue.code === 'too_small') return `Field "${field}" must be at least ${issue.minimum}.`;
  if (issue.code === 'too_big') return `Field "${field}" must be at most ${issue.maximum}.`;
  return `Field "${field}" ${issue.message}.`;
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}

function shorten(key: string): string {
  return key.length > 60 ? `${key.slice(0, 60)}…` : key;
}
