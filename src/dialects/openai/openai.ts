/**
 * The OpenAI dialect: POST /v1/chat/completions as the official SDKs speak it. Pure.
 *
 * Source: the types and the stream reader of the official JavaScript SDK (openai 7.57).
 */
import type { Conversation } from '../../conversation.ts';
import type { Dialect, ParsedRequest } from '../dialect.ts';
import { parseBody, requireSendable } from '../problem.ts';
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
  const request = parseBody(chatCompletionRequest, body, problem);
  const ignored = new Set(ignoredParameters(request));
  const includeUsage = request.stream_options?.include_usage === true;
  if (request.stream_options?.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
  return {
    conversation: {
      ...readMessages(request.messages, ignored),
      ...readSampling(request, ignored),
      ...readThinking(request),
      ...readTools(request),
      ...readFormat(request),
    },
    model: request.model ?? undefined,
    stream: request.stream === true,
    ignored: [...ignored],
    responder: {
      body: chatCompletion,
      stream: (facts) => chatStream(facts, includeUsage),
    },
  };
}

type Sampling = Pick<Conversation, 'maxTokens' | 'temperature' | 'topP' | 'stopSequences'>;

function readSampling(request: ChatRequest, ignored: Set<string>): Sampling {
  const { temperature, top_p: topP, stop } = request;
  if (isGiven(request.max_tokens) && isGiven(request.max_completion_tokens)) {
    refuse(['max_tokens'], 'cannot be given together with max_completion_tokens, which is its newer name');
  }
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const stopSequences = typeof stop === 'string' ? [stop] : (stop ?? []);
  // The model's scale ends at 1. An app that asks for more gets the most there is, and is told.
  if (isGiven(temperature) && temperature > 1) ignored.add('temperature');
  return {
    ...(isGiven(maxTokens) ? { maxTokens } : {}),
    ...(isGiven(temperature) ? { temperature: Math.min(temperature, 1) } : {}),
    ...(isGiven(topP) ? { topP } : {}),
    ...(stopSequences.length > 0 ? { stopSequences } : {}),
  };
}

function readThinking({ reasoning_effort: effort }: ChatRequest): Pick<Conversation, 'effort' | 'thinking'> {
  if (!isGiven(effort)) return {};
  if (effort === 'none') return { thinking: { type: 'disabled' } };
  return { effort: effort === 'minimal' ? 'low' : effort };
}

function readFormat({ response_format: format }: ChatRequest): Pick<Conversation, 'schema'> {
  if (!isGiven(format) || format.type === 'text') return {};
  if (format.type === 'json_object') return { schema: { type: 'object' } };
  const { schema, description } = format.json_schema;
  return { schema: { ...(isGiven(description) ? { description } : {}), ...(schema ?? { type: 'object' }) } };
}

function isGiven<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}
