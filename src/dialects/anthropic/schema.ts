/**
 * The body of POST /v1/messages: those shapes of the Messages API that the relay passes on. Unknown fields inside messages and system
 * blocks are left out and named to the caller, for a history holds what other servers wrote; any other is refused, as the API does.
 *
 * Source: the types of @anthropic-ai/sdk 1.12.0 (`MessageCreateParams`, its beta twin) and what Claude Code 2.1.197 to 2.1.332 send.
 */
import { z } from 'zod';
import { base64 } from '../../api.ts';
import { imageTypes } from '../../conversation.ts';
import { cacheControl } from '../cache-mark.ts';
import { anyObject, ignoredParameters, refusedParameters } from './parameters.ts';

const cached = { cache_control: cacheControl.nullish() };

const anyText = z.string().min(1, 'must not be empty');
const isNotBlank = (text: string): boolean => text.trim() !== '';
/** The CLI omits a blank text. */
const nonBlank = z.string().refine(isNotBlank, 'must not be blank');

const textBlock = z.object({
  type: z.literal('text'),
  text: nonBlank,
  citations: z.array(anyObject).nullish(),
  ...cached,
});
/** The model sometimes writes a block of line breaks, and callers send it back unchanged. */
const anyTextBlock = textBlock.extend({ text: anyText });

const sourceTypes = 'the relay keeps no files and fetches nothing for a request; send the content itself';

const imageBlock = z.object({
  type: z.literal('image'),
  source: z.object({
    type: z.literal('base64', { error: `must be base64: ${sourceTypes}` }),
    media_type: z.enum(imageTypes),
    data: base64,
  }),
  ...cached,
});

const documentBlock = z.object({
  type: z.literal('document'),
  source: z.discriminatedUnion(
    'type',
    [
      z.object({ type: z.literal('base64'), media_type: z.literal('application/pdf'), data: base64 }),
      z.object({
        type: z.literal('text'),
        media_type: z.literal('text/plain'),
        data: z.string().min(1),
      }),
    ],
    { error: `must be base64 or text: ${sourceTypes}` },
  ),
  title: z.string().nullish(),
  context: z.string().nullish(),
  citations: z.object({ enabled: z.boolean().optional() }).nullish(),
  ...cached,
});

const identifier = z.string().regex(/^[a-zA-Z0-9_-]+$/, 'must be of a-z, A-Z, 0-9, _ and -');
const toolName = z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/, 'must be 1 to 128 of a-z, A-Z, 0-9, _ and -');

const toolReference = z.object({ type: z.literal('tool_reference'), tool_name: z.string(), ...cached });

const toolResultBlock = z.object({
  type: z.literal('tool_result'),
  tool_use_id: identifier,
  content: z
    .union([
      z.string(),
      z.array(z.discriminatedUnion('type', [anyTextBlock, imageBlock, documentBlock, toolReference])),
    ])
    .optional(),
  is_error: z.boolean().optional(),
  ...cached,
});

const toolUseBlock = z.object({
  type: z.literal('tool_use'),
  id: identifier,
  name: toolName,
  input: anyObject,
  /** The API sets it on a tool that the model itself called. */
  caller: z.object({ type: z.literal('direct') }).nullish(),
  ...cached,
});

const userBlock = z.discriminatedUnion('type', [textBlock, imageBlock, documentBlock, toolResultBlock]);
const assistantBlock = z.discriminatedUnion('type', [
  anyTextBlock,
  toolUseBlock,
  z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.object({ type: z.literal('redacted_thinking'), data: z.string() }),
]);

const effort = z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish();

/** An empty string is no system prompt. */
const systemTexts = z.union([
  z.string().refine((text) => text === '' || isNotBlank(text), 'must not be blank'),
  z.array(textBlock),
]);

const message = z.discriminatedUnion('role', [
  z.object({ role: z.literal('user'), content: z.union([nonBlank, z.array(userBlock).min(1)]) }),
  z.object({
    role: z.literal('assistant'),
    content: z.union([anyText, z.array(assistantBlock).min(1)]),
  }),
  z
    .object({
      role: z.literal('system'),
      content: systemTexts.optional(),
      clear_at: z.enum(['next_user_message', 'never']).nullish(),
      output_config: z.object({ effort }).nullish(),
    })
    .refine(({ content = '', output_config }) => content.length > 0 || output_config, {
      path: ['content'],
      error: 'must not be empty',
    }),
]);

export const noSuchTool =
  'must be custom or absent: the relay has no tools that Anthropic defines; give your own a name, a description and an input_schema';

/** The caller runs these, so it would miss their calls. */
const runByCaller = /^(?:bash|text_editor|computer|computer_toolset|browser_toolset|memory)_\d/;

/** The API runs it: `web_search_20250305`, `tool_search_tool_regex_20251119`. */
const serverTool = z.looseObject({
  type: z.string().refine((type) => type !== 'custom' && !runByCaller.test(type), { abort: true }),
});

const callerTool = z.strictObject({
  type: z.literal('custom', { error: noSuchTool }).nullish(),
  name: toolName,
  description: z.string().optional(),
  input_schema: anyObject.refine((schema) => schema['type'] === 'object', {
    path: ['type'],
    error: 'must be object',
  }),
  strict: z.boolean().optional(),
  input_examples: z.array(anyObject).optional(),
  defer_loading: z.boolean().optional(),
  eager_input_streaming: z.boolean().nullish(),
  allowed_callers: z
    .array(z.string())
    .refine((callers) => callers.includes('direct'), 'must include direct: only the model can call a tool')
    .optional(),
  ...cached,
});

const tool = z.union([callerTool, serverTool]);

const parallel = { disable_parallel_tool_use: z.boolean().exactOptional() };
const toolChoice = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('auto'), ...parallel }),
  z.strictObject({ type: z.literal('any'), ...parallel }),
  z.strictObject({ type: z.literal('tool'), name: z.string(), ...parallel }),
  z.strictObject({ type: z.literal('none') }),
]);

/** The last two, and the binding, need a beta header, which the CLI sends for its own thinking alone. */
const form = {
  display: z.enum(['summarized', 'omitted', 'updates', 'highlights']).nullish(),
  block_binding: anyObject.nullish(),
};
const thinking = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('enabled'), budget_tokens: z.int().min(1024), ...form }),
  z.strictObject({ type: z.literal('adaptive'), ...form }),
  z.strictObject({ type: z.literal('between_tools') }),
  z.strictObject({ type: z.literal('disabled') }),
]);

const jsonFormat = z.strictObject({ type: z.literal('json_schema'), schema: anyObject });

export const messagesRequest = z.strictObject({
  // First, so that a parameter to leave out is reported before any other problem.
  ...refusedParameters,
  model: z.string().min(1),
  max_tokens: z.int().min(1),
  messages: z.array(message).min(1),
  system: systemTexts.optional(),
  cache_control: cacheControl.optional(),
  stop_sequences: z.array(nonBlank).optional(),
  stream: z.boolean().optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  top_p: z.number().min(0).max(1).optional(),
  thinking: thinking.optional(),
  tools: z.array(tool).optional(),
  tool_choice: toolChoice.optional(),
  output_config: z.strictObject({ effort, format: jsonFormat.nullish() }).nullish(),
  output_format: jsonFormat.nullish(),
  ...ignoredParameters,
});

export type MessagesRequest = z.infer<typeof messagesRequest>;
export type RequestMessage = MessagesRequest['messages'][number];
export type RequestText = z.infer<typeof textBlock>;
export type UserRequestBlock = z.infer<typeof userBlock>;
export type AssistantRequestBlock = z.infer<typeof assistantBlock>;
export type RequestThinking = z.infer<typeof thinking>;
export type RequestTool = z.infer<typeof tool>;
export type CallerTool = z.infer<typeof callerTool>;
