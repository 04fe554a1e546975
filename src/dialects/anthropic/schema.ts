/**
 * What POST /v1/messages takes: the shapes of the Messages API, as far as the relay passes them on.
 *
 * Source: the types of @anthropic-ai/sdk 1.12.0 (`MessageCreateParams`, its beta twin) and what Claude Code 2.1.197 and 2.1.330 send.
 * Which of the API's other parameters are accepted or refused is `anthropic-parameters.ts`'s.
 */
import { z } from 'zod';
import { base64 } from '../../api.ts';
import { imageTypes } from '../../conversation.ts';

/** An object of the caller's own, taken as it is: no key of it is looked at, copied or lost. */
const anyObject = z
  .unknown()
  .refine((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
    error: ({ input }) => (input === undefined ? 'Field required' : 'Input should be an object'),
    abort: true,
  })
  .meta({ type: 'object' }) as unknown as z.ZodType<Record<string, unknown>>;

/** Claude Code adds a `scope` to it. */
const cached = { cache_control: z.looseObject({ type: z.literal('ephemeral') }).nullish() };

const textBlock = z.strictObject({
  type: z.literal('text'),
  text: z.string(),
  citations: z.array(anyObject).nullish(),
  ...cached,
});

const imageBlock = z.strictObject({
  type: z.literal('image'),
  source: z.strictObject({ type: z.literal('base64'), media_type: z.enum(imageTypes), data: base64 }),
  transformations: anyObject.nullish(),
  ...cached,
});

const documentBlock = z.strictObject({
  type: z.literal('document'),
  source: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('base64'), media_type: z.literal('application/pdf'), data: base64 }),
    z.strictObject({ type: z.literal('text'), media_type: z.literal('text/plain'), data: z.string().min(1) }),
  ]),
  title: z.string().nullish(),
  context: z.string().nullish(),
  citations: z.strictObject({ enabled: z.boolean().optional() }).nullish(),
  ...cached,
});

const identifier = z.string().regex(/^[a-zA-Z0-9_-]+$/, "String should match pattern '^[a-zA-Z0-9_-]+$'");
const toolName = z
  .string()
  .regex(/^[a-zA-Z0-9_-]{1,128}$/, "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");

const toolReference = z.strictObject({ type: z.literal('tool_reference'), tool_name: z.string(), ...cached });

const toolResultBlock = z.strictObject({
  type: z.literal('tool_result'),
  tool_use_id: identifier,
  content: z
    .union([
      z.string(),
      z.array(z.discriminatedUnion('type', [textBlock, imageBlock, documentBlock, toolReference])),
    ])
    .optional(),
  is_error: z.boolean().optional(),
  toolset_name: z.null().optional(),
  ...cached,
});

const toolUseBlock = z.strictObject({
  type: z.literal('tool_use'),
  id: identifier,
  name: toolName,
  input: anyObject,
  /** What the API tells of a tool that the model itself called. */
  caller: z.strictObject({ type: z.literal('direct') }).nullish(),
  toolset_name: z.null().optional(),
  ...cached,
});

const block = z.discriminatedUnion('type', [
  textBlock,
  imageBlock,
  documentBlock,
  toolResultBlock,
  toolUseBlock,
  z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.strictObject({ type: z.literal('redacted_thinking'), data: z.string() }),
]);

const effort = z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish();

const message = z.discriminatedUnion('role', [
  z.strictObject({ role: z.literal('user'), content: z.union([z.string(), z.array(block)]) }),
  z.strictObject({ role: z.literal('assistant'), content: z.union([z.string(), z.array(block)]) }),
  z.strictObject({
    role: z.literal('system'),
    content: z.union([z.string(), z.array(textBlock)]).optional(),
    clear_at: z.enum(['next_user_message', 'never']).nullish(),
    output_config: z.strictObject({ effort }).nullish(),
  }),
]);

const tool = z.strictObject({
  type: z.literal('custom').nullish(),
  name: toolName,
  description: z.string().optional(),
  input_schema: anyObject.refine((schema) => schema['type'] === 'object', {
    path: ['type'],
    error: "Input should be 'object'",
  }),
  strict: z.boolean().optional(),
  input_examples: z.array(anyObject).optional(),
  defer_loading: z.boolean().optional(),
  eager_input_streaming: z.boolean().nullish(),
  allowed_callers: z.array(z.string()).optional(),
  ...cached,
});

const parallel = { disable_parallel_tool_use: z.boolean().exactOptional() };
const toolChoice = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('auto'), ...parallel }),
  z.strictObject({ type: z.literal('any'), ...parallel }),
  z.strictObject({ type: z.literal('tool'), name: z.string(), ...parallel }),
  z.strictObject({ type: z.literal('none') }),
]);

const display = z.enum(['summarized', 'omitted']).nullish();
const thinking = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('enabled'), budget_tokens: z.int().min(1024), display }),
  z.strictObject({ type: z.literal('adaptive'), display }),
  z.strictObject({ type: z.literal('between_tools') }),
  z.strictObject({ type: z.literal('disabled') }),
]);

const jsonFormat = z.strictObject({ type: z.literal('json_schema'), schema: anyObject });

export const messagesRequest = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.int().min(1),
  messages: z.array(message),
  system: z.union([z.string(), z.array(textBlock)]).optional(),
  stop_sequences: z.array(z.string()).optional(),
  stream: z.boolean().optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  top_p: z.number().min(0).max(1).optional(),
  thinking: thinking.optional(),
  tools: z.array(tool).optional(),
  tool_choice: toolChoice.optional(),
  output_config: z.strictObject({ effort, format: jsonFormat.nullish() }).nullish(),
  output_format: jsonFormat.nullish(),
});

export type MessagesRequest = z.infer<typeof messagesRequest>;
export type RequestMessage = MessagesRequest['messages'][number];
export type RequestBlock = z.infer<typeof block>;
export type RequestText = z.infer<typeof textBlock>;
export type RequestTool = z.infer<typeof tool>;
