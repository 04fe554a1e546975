/**
 * The body of POST /v1/responses: the parameters of the official SDK (openai 7.57) and of Codex (0.171). An unknown field is accepted
 * and named in `x-relay-ignored-params`.
 */
import { z } from 'zod';
import type { Given } from '../../given.ts';
import { effortLevel, refusedParameters as refusedOfChat, samplingParameters } from '../request.ts';

const name = z.string().min(1);
const schema = z.record(z.string(), z.unknown());

const textFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: z.string().nullish(),
    description: z.string().nullish(),
    schema: schema.nullish(),
    strict: z.boolean().nullish(),
  }),
]);

const textParameter = z.object({
  format: textFormat.nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
});

const summary = z.enum(['auto', 'concise', 'detailed']).nullish();

const reasoningParameter = z.object({
  effort: effortLevel.nullish(),
  summary,
  /** The older name of `summary`. */
  generate_summary: summary,
});

export const functionTool = z.object({
  type: z.literal('function'),
  name,
  description: z.string().nullish(),
  parameters: schema.nullish(),
  strict: z.boolean().nullish(),
  /** Without a search for tools, all of them are offered. */
  defer_loading: z.boolean().nullish(),
});

export const customTool = z.object({
  type: z.literal('custom'),
  name,
  description: z.string().nullish(),
  format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('grammar'), syntax: z.string(), definition: z.string() }),
    ])
    .nullish(),
  defer_loading: z.boolean().nullish(),
});

/** Functions whose calls come back with the name of the group. */
const namespaceTool = z.object({
  type: z.literal('namespace'),
  name,
  description: z.string().nullish(),
  tools: z.array(z.discriminatedUnion('type', [functionTool, customTool])),
});

/** The caller's own tools. */
export const ownTool = z.discriminatedUnion('type', [functionTool, customTool, namespaceTool]);
export const ownTypes: ReadonlySet<string> = new Set(['function', 'custom', 'namespace']);

/** A tool of any type: only its type says how to read the rest. */
export const anyTool = z.looseObject({ type: z.string() });

export const namedChoice = z.object({
  type: z.enum(['function', 'custom']),
  name,
  namespace: z.string().nullish(),
});

export const allowedChoice = z.object({
  type: z.literal('allowed_tools'),
  mode: z.enum(['auto', 'required']).nullish(),
  tools: z.array(anyTool).min(1),
});

/** Accepted without effect, and listed in `x-relay-ignored-params` unless the value asks for what happens anyway. */
export const parametersWithoutEffect = {
  client_metadata: z.record(z.string(), z.unknown()).nullish(),
  context_management: z.array(z.unknown()).nullish(),
  frequency_penalty: z.number().nullish(),
  include: z.array(z.string()).nullish(),
  max_tool_calls: z.int().nullish(),
  presence_penalty: z.number().nullish(),
  prompt_cache_key: z.string().nullish(),
  prompt_cache_options: z.record(z.string(), z.unknown()).nullish(),
  prompt_cache_retention: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  service_tier: z.string().nullish(),
  store: z.boolean().nullish(),
  truncation: z.string().nullish(),
  user: z.string().nullish(),
};

/** Of chat completions: the answer would lack what it asks for, and the API refuses it, too. */
const renamed = (name: string) => z.null({ error: `is named ${name} in the Responses API` }).optional();

const keepsNothing = 'the relay keeps no conversation; send all items of the conversation as input';

/** Refused, because the answer would not be what the caller asked for. Only the value that is the API's default is accepted. */
export const refusedParameters = {
  ...refusedOfChat,
  conversation: z.null({ error: `is not supported: ${keepsNothing}` }).optional(),
  max_completion_tokens: renamed('max_output_tokens'),
  max_tokens: renamed('max_output_tokens'),
  messages: renamed('input'),
  previous_response_id: z.null({ error: `is not supported: ${keepsNothing}` }).optional(),
  prompt: z
    .null({ error: 'is not supported: the relay keeps no prompts; send its text as instructions and input' })
    .optional(),
  response_format: renamed('text.format'),
};

export const responsesRequest = z.object({
  // First, so that a parameter to leave out is reported before any other problem.
  ...refusedParameters,
  input: z.union([z.string(), z.array(z.looseObject({ type: z.string().nullish() })).min(1)]),
  instructions: z.string().nullish(),
  model: z.string().nullish(),
  background: z.boolean().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning: reasoningParameter.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_obfuscation: z.boolean().nullish() }).nullish(),
  text: textParameter.nullish(),
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), anyTool]).nullish(),
  tools: z.array(anyTool).nullish(),
  ...samplingParameters,
  ...parametersWithoutEffect,
});

/** The parameters that have a value. */
export type ResponsesRequest = Given<Omit<z.infer<typeof responsesRequest>, 'input'>>;
export type InputItem = Exclude<z.infer<typeof responsesRequest>['input'], string>[number];
export type AnyTool = z.infer<typeof anyTool>;
export type TextFormat = z.infer<typeof textFormat>;
