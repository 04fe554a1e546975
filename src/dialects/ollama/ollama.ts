/**
 * Ollama's API: POST /api/chat and /api/generate, for clients that speak nothing else. Pure.
 *
 * Source: ollama/ollama (docs/api.md, api/types.go), the types of ollama-js and ollama-python, and what Home Assistant sends.
 */
import type { Conversation } from '../../conversation.ts';
import type { Dialect, ErrorFormat, ParsedRequest } from '../dialect.ts';
import { problem, refuse } from '../openai/problem.ts';
import { parseBody, requireSendable } from '../problem.ts';
import { atTop, inMessage, line, loaded, responderOf, type Place } from './answer.ts';
import { imageBlocks } from './images.ts';
import { readMessages, textBlocks } from './messages.ts';
import { untaggedName } from './model-name.ts';
import { unreadNames } from '../unread.ts';
import { asksNothing, chatRequest, generateRequest, type CommonRequest } from './request.ts';
import { readSettings, readTools } from './settings.ts';

export const ollamaErrors: ErrorFormat = {
  errorBody: ({ message }) => ({ error: message }),
  errorEvents: ({ message }) => line({ error: message }),
  streamForm: 'lines',
};

export const ollamaChat: Dialect = {
  ...ollamaErrors,
  parse(body) {
    requireSendable(body, [], problem);
    const request = parseBody(chatRequest, body, problem);
    const ignored = unreadNames(body, request, '', undefined, asksNothing);
    const messages = request.messages ?? [];
    if (messages.length === 0) return load(body, request, inMessage, ignored);
    const asked = { ...readMessages(messages), ...readTools(request.tools) };
    return parsed(request, inMessage, { ...asked, ...readSettings(request, ignored) }, ignored);
  },
};

export const ollamaGenerate: Dialect = {
  ...ollamaErrors,
  parse(body) {
    requireSendable(body, [], problem);
    const request = parseBody(generateRequest, body, problem);
    const ignored = unreadNames(body, request, '', undefined, asksNothing);
    const { prompt, images, system } = request;
    if ((prompt ?? '') === '' && (images ?? []).length === 0) return load(body, request, atTop, ignored);
    const content = [...imageBlocks(images, ['images']), ...textBlocks(prompt)];
    if (content.length === 0) refuse(['prompt'], 'must not be blank');
    const asked = {
      system: textBlocks(system).map(({ text }) => text),
      messages: [{ role: 'user' as const, content }],
    };
    return parsed(request, atTop, { ...asked, ...readSettings(request, ignored) }, ignored);
  },
};

/** These clients stream unless they say otherwise. */
function parsed(
  { model, stream }: CommonRequest,
  place: Place,
  conversation: Conversation,
  ignored: ReadonlySet<string>,
): ParsedRequest {
  return {
    conversation,
    model: untaggedName(model),
    stream: stream !== false,
    ignored: [...ignored],
    responder: responderOf(model || undefined, place),
  };
}

/** `keep_alive: 0` unloads the model. Here, neither has an effect. */
function load(
  body: unknown,
  request: CommonRequest,
  place: Place,
  ignored: ReadonlySet<string>,
): ParsedRequest {
  const { keep_alive: time } = body as { keep_alive?: unknown };
  const reason = time === 0 || time === '0' ? 'unload' : 'load';
  return {
    ...parsed(request, place, { system: [], messages: [] }, ignored),
    reply: loaded(request.model || undefined, place, reason),
  };
}
