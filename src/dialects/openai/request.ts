/**
 * The body of POST /v1/chat/completions, as the official SDKs type it (openai 7.57). Other fields are left out, and named to the caller.
 */
import { z } from 'zod';
import { cacheControl } from '../cache-mark.ts';
import type { Given } from '../given.ts';

/** Of the Messages API, as gateways take it: on a part, a message or a tool. */
const cached = { cache_control: cacheControl.nullish() };

const textPart = z.object({ type: z.literal('text'), text: z.string(), ...cached });

const imagePart = z.object({
  type: z.literal('image_url'),
  image_url: z.object({
    /** A data URL: the relay fetches nothing. */
    url: z.string(),
    detail: z.string().nullish(),
  }),
  ...cached,
});

const filePart = z.object({
  type: z.literal('file'),
  file: z.object({
    /** A data URL of a PDF or of plain text, or a PDF in base64. */
    file_data: z.string().nullish(),
    filename: z.string().nullish(),
    file_id: z.string().nullish(),
  }),
  ...cached,
});

const refusalPart = z.object({ type: z.literal('refusal'), refusal: z.string(), ...cached });

const toolCall = z.object({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.object({
    name: z.string().min(1),
    /** A JSON object, as text. */
    arguments: z.string(),
    parsed_arguments: z.unknown().optional(),
  }),
  index: z.number().optional(),
});

/** Of the old function calling: a call has no id, and there is one at a time. */
const functionCall = toolCall.shape.function;

const message = z.discriminatedUnion('role', [
  z.object({
    role: z.enum(['system', 'developer']),
    content: z.union([z.string(), z.array(textPart)]),
    ...cached,
  }),
  z.object({
    role: z.literal('user'),
    content: z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, imagePart, filePart]))]),
    ...cached,
  }),
  z.object({
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, refusalPart]))]).nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(toolCall).nullish(),
    function_call: functionCall.nullish(),
    audio: z.null({ error: 'names audio that the relay does not keep' }).optional(),
    // An SDK adds them to the message object that is sent back; they repeat its content.
    annotations: z.unknown().optional(),
    parsed: z.unknown().optional(),
    ...cached,
  }),
  z.object({
    role: z.literal('tool'),
    content: z.union([z.string(), z.array(textPart)]),
    tool_call_id: z.string(),
    /** The call has it, too. */
    name: z.unknown().optional(),
    ...cached,
  }),
  z.object({
    role: z.literal('function'),
    content: z.string().nullish(),
    name: z.unknown().optional(),
    ...cached,
  }),
]);

const functionOf = z.object({
  name: z.string().regex(/^[\w-]{1,64}$/, 'must be 1 to 64 of a-z, A-Z, 0-9, _ and -'),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
  ...cached,
});

const functionTool = z.object({ type: z.literal('function'), function: functionOf, ...cached });

/** The server runs it, at those that have it: `web_search`, `openrouter:web_search`. A custom tool is the caller's own. */
const hostedTool = z.looseObject({
  type: z.string().refine((type) => !['function', 'custom'].includes(type), { abort: true }),
});

const namedTool = z.object({
  type: z.literal('function'),
  function: z.object({ name: z.string() }),
});

const allowedTools = z.object({
  type: z.literal('allowed_tools'),
  allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: z.array(namedTool).min(1) }),
});

const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({
    type: z.literal('json_object'),
    /** As other compatible servers take it. */
    schema: z.record(z.string(), z.unknown()).nullish(),
  }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string(),
      description: z.string().nullish(),
      schema: z.record(z.string(), z.unknown()).nullish(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

const stopSequence = z.string().refine((value) => value.trim() !== '', {
  error: 'must not be blank: the model does not stop at a blank text',
});

export const effortLevel = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']);
const effort = effortLevel.nullish();

/** That of the Messages API, which several compatible servers take; some of them know no budget. */
const thinking = z.discriminatedUnion('type', [
  z.object({ type: z.literal('enabled'), budget_tokens: z.int().min(1024).nullish() }),
  z.object({ type: z.enum(['adaptive', 'between_tools', 'disabled']) }),
]);

/** Also of the Responses API, where `stop`, `thinking` and `top_k` are not the API's, but the model knows them. */
export const samplingParameters = {
  stop: z.union([stopSequence, z.array(stopSequence).max(4)]).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  thinking: thinking.nullish(),
  /** 0 and -1 switch it off at other servers. */
  top_k: z.int().min(-1).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
};

/** Accepted without effect, and listed in `x-relay-ignored-params` unless the value is the API's default. */
export const parametersWithoutEffect = {
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  prediction: z.looseObject({ type: z.literal('content') }).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  prompt_cache_key: z.string().nullish(),
  prompt_cache_options: z.record(z.string(), z.unknown()).nullish(),
  prompt_cache_retention: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  seed: z.int().nullish(),
  service_tier: z.string().nullish(),
  store: z.boolean().nullish(),
  user: z.string().nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
};

/** Values that ask for what happens anyway. */
const asksNothing: Readonly<Record<string, readonly unknown[]>> = {
  frequency_penalty: [0],
  presence_penalty: [0],
  service_tier: ['auto', 'default'],
  store: [false],
  verbosity: ['medium'],
};

/** Refused, because they would change the answer. Only the value that is the API's default is accepted. */
export const refusedParameters = {
  audio: z.null({ error: 'is not supported: the model returns text only' }).optional(),
  logit_bias: z
    .record(z.string(), z.number())
    .refine((bias) => Object.keys(bias).length === 0, 'is not supported: the model accepts no token bias')
    .nullish(),
  logprobs: z.literal(false, { error: 'is not supported: the model returns no probabilities' }).nullish(),
  modalities: z
    .array(z.literal('text', { error: 'is not supported: the model returns text only' }))
    .nullish(),
  moderation: z.null({ error: 'is not supported: the relay does not moderate' }).optional(),
  n: z.literal(1, { error: 'must be 1: a request has one answer' }).nullish(),
  top_logprobs: z.literal(0, { error: 'is not supported: the model returns no probabilities' }).nullish(),
  web_search_options: z.null({ error: 'is not supported: the model does not search the web' }).optional(),
};

export const chatCompletionRequest = z.object({
  messages: z.array(message).min(1),
  cache_control: cacheControl.nullish(),
  model: z.string().nullish(),
  /** The old function calling. */
  function_call: z.union([z.enum(['none', 'auto']), z.object({ name: z.string() })]).nullish(),
  functions: z.array(functionOf).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  /** As the Responses API and OpenRouter write the effort. */
  reasoning: z.object({ effort }).nullish(),
  reasoning_effort: effort,
  response_format: responseFormat.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .nullish(),
  tool_choice: z
    .union([z.enum(['none', 'auto', 'required']), z.discriminatedUnion('type', [namedTool, allowedTools])])
    .nullish(),
  tools: z.array(z.union([functionTool, hostedTool])).nullish(),
  ...samplingParameters,
  ...parametersWithoutEffect,
  ...refusedParameters,
});

/** The parameters that have a value. */
export type ChatRequest = Given<Omit<z.infer<typeof chatCompletionRequest>, 'messages'>>;
export type FunctionTool = z.infer<typeof functionTool>;
export type ChatFunction = z.infer<typeof functionOf>;
export type ChatMessage = z.infer<typeof message>;
export type UserPart = z.infer<typeof textPart> | z.infer<typeof imagePart> | z.infer<typeof filePart>;
export type RefusalPart = z.infer<typeof refusalPart>;
export type AssistantMessage = Extract<ChatMessage, { role: 'assistant' }>;

/** The parameters without effect that this request uses. */
export function ignoredParameters(request: ChatRequest): string[] {
  const used: Record<string, unknown> = request;
  return Object.keys(parametersWithoutEffect).filter(
    (name) => name in used && !asksNothing[name]?.includes(used[name]),
  );
}
