/**
 * The OpenAI dialect: POST /v1/chat/completions for the official SDKs. Pure.
 *
 * Source: the types and the stream reader of the official JavaScript SDK (openai 7.57).
 */
import type { Conversation } from '../../conversation.ts';
import type { Dialect, ParsedRequest } from '../dialect.ts';
import { given } from '../given.ts';
import { parseBody, requireSendable } from '../problem.ts';
import { unreadNames } from '../unread.ts';
import { chatCompletion } from './answer.ts';
import { chatError } from './errors.ts';
import { readMessages } from './messages.ts';
import { problem, refuse } from './problem.ts';
import { chatCompletionRequest, ignoredParameters, type ChatRequest } from './request.ts';
import { chatStream, serverSentEvent } from './stream.ts';
import { readTools } from './tools.ts';

export const openai: Dialect = {
  parse,
  errorBody: chatError,
  errorEvents: (error) => serverSentEvent(chatError(error)),
};

function parse(body: unknown): ParsedRequest {
  requireSendable(body, [], problem);
  const read = parseBody(chatCompletionRequest, body, problem);
  const { messages, ...parameters } = read;
  const request: ChatRequest = given(parameters);
  const ignored = new Set([...ignoredParameters(request), ...unreadNames(body, read)]);
  const includeUsage = request.stream_options?.include_usage === true;
  if (request.stream_options?.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
  return {
    conversation: {
      ...readMessages(messages, ignored),
      ...readSampling(request, ignored),
      ...readThinking(request),
      ...readTools(request),
      ...readFormat(request),
    },
    model: request.model,
    stream: request.stream === true,
    ignored: [...ignored],
    responder: {
      body: chatCompletion,
      stream: (facts) => chatStream(facts, includeUsage),
    },
  };
}

function readSampling(request: ChatRequest, ignored: Set<string>): Partial<Conversation> {
  const { temperature, stop } = request;
  if (request.max_tokens !== undefined && request.max_completion_tokens !== undefined) {
    refuse(['max_tokens'], 'cannot be sent together with max_completion_tokens, its newer name');
  }
  const stopSequences = typeof stop === 'string' ? [stop] : (stop ?? []);
  // The model's scale ends at 1.
  if (temperature !== undefined && temperature > 1) ignored.add('temperature');
  return given({
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    temperature: temperature === undefined ? undefined : Math.min(temperature, 1),
    topP: request.top_p,
    stopSequences: stopSequences.length > 0 ? stopSequences : undefined,
  });
}

function readThinking({ reasoning_effort: effort }: ChatRequest): Pick<Conversation, 'effort' | 'thinking'> {
  if (effort === undefined) return {};
  if (effort === 'none') return { thinking: { type: 'disabled' } };
  return { effort: effort === 'minimal' ? 'low' : effort };
}

function readFormat({ response_format: format }: ChatRequest): Pick<Conversation, 'schema'> {
  if (format === undefined || format.type === 'text') return {};
  if (format.type === 'json_object') return { schema: { type: 'object' } };
  const { schema, description } = format.json_schema;
  return { schema: { ...given({ description }), ...(schema ?? { type: 'object' }) } };
}
