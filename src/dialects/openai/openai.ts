/**
 * The OpenAI dialect: POST /v1/chat/completions for the official SDKs. Pure.
 *
 * Source: the types and the stream reader of the official JavaScript SDK (openai 7.57).
 */
import type { Dialect, ParsedRequest } from '../dialect.ts';
import { given } from '../given.ts';
import { parseBody, requireSendable } from '../problem.ts';
import { unreadNames } from '../unread.ts';
import { chatCompletion } from './answer.ts';
import { chatError } from './errors.ts';
import { readMessages } from './messages.ts';
import { problem } from './problem.ts';
import { chatCompletionRequest, ignoredParameters, type ChatRequest } from './request.ts';
import { readSettings } from './settings.ts';
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
  const form = {
    functions: (request.functions ?? []).length > 0,
    includeUsage: request.stream_options?.include_usage === true,
  };
  if (request.stream_options?.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
  return {
    conversation: {
      ...readMessages(messages, ignored),
      ...readSettings(request, ignored),
      ...readTools(request, ignored),
    },
    model: request.model,
    stream: request.stream === true,
    ignored: [...ignored],
    responder: {
      body: (answer, facts) => chatCompletion(answer, facts, form),
      stream: (facts) => chatStream(facts, form),
    },
  };
}
