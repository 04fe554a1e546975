/**
 * The bodies of POST /api/chat and /api/generate, as Ollama's own clients type them (ollama-js 0.6, ollama-python 0.6). Unknown fields are
 * accepted: these clients send settings of a model's runner, which has no counterpart here.
 */
import { z } from 'zod';
import { effortLevels } from '../../conversation.ts';

const text = z.string().nullish();

const toolCall = z.object({
  id: text,
  type: z.unknown().optional(),
  function: z.object({
    index: z.unknown().optional(),
    name: z.string().min(1),
    arguments: z.record(z.string(), z.unknown()).nullish(),
  }),
});

/** Base64; ollama-js and ollama-python encode files themselves. */
const images = z.array(z.string()).nullish();

const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: text,
  images,
  tool_calls: z.array(toolCall).nullish(),
  tool_name: text,
  tool_call_id: text,
});

const tool = z.object({
  type: z.unknown().optional(),
  function: z.object({
    name: z.string().regex(/^[\w-]{1,128}$/, 'must be 1 to 128 of a-z, A-Z, 0-9, _ and -'),
    description: text,
    parameters: z.record(z.string(), z.unknown()).nullish(),
  }),
});

const stop = z.string().refine((value) => value.trim() !== '', {
  error: 'must not be blank: the model does not stop at a blank text',
});

const options = z.object({
  /** Not above 0: no limit. */
  num_predict: z.int().nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  /** 0: not limited. */
  top_k: z.int().min(0).nullish(),
  stop: z.union([stop, z.array(stop).max(16)]).nullish(),
});

const noProbabilities = 'is not supported: the model returns no probabilities';

const common = {
  model: text,
  stream: z.boolean().nullish(),
  format: z
    .union([
      z.enum(['', 'json'], { error: 'must be json or a JSON Schema' }),
      z.record(z.string(), z.unknown()),
    ])
    .nullish(),
  think: z.union([z.boolean(), z.enum(effortLevels)]).nullish(),
  options: options.nullish(),
  logprobs: z.literal(false, { error: noProbabilities }).nullish(),
  top_logprobs: z.literal(0, { error: noProbabilities }).nullish(),
};

export const chatRequest = z.object({
  ...common,
  messages: z.array(message).nullish(),
  tools: z.array(tool).nullish(),
});

export const generateRequest = z.object({
  ...common,
  prompt: text,
  system: text,
  images,
  suffix: z
    .literal('', { error: 'is not supported: the model continues a text, but fills no gap' })
    .nullish(),
});

export type CommonRequest = z.infer<z.ZodObject<typeof common>>;
export type OllamaMessage = z.infer<typeof message>;
export type OllamaTool = z.infer<typeof tool>;

/** Clients write the defaults of fields that their user left alone. */
export function asksNothing(value: unknown): boolean {
  return value === null || value === false || value === '' || (Array.isArray(value) && value.length === 0);
}
