/** The relay's own API: POST /v1/complete. */
import {
  completeRequest,
  type CompleteJsonResponse,
  type CompleteRequest,
  type CompleteTextResponse,
  type ErrorBody,
} from '../api.ts';
import type { Answer, Conversation, Message, ModelEvent } from '../conversation.ts';
import { invalidOutput, RelayError } from '../errors.ts';
import type { AnswerFacts, Dialect, ParsedRequest, Responder } from './dialect.ts';
import { fallbackField, given } from './given.ts';
import { parseBody, requireSendable, shortPath, type Path } from './problem.ts';

export const native: Dialect = {
  unknownModel: 'bad_request',
  parse: (body) => {
    requireSendable(body, [], fieldProblem);
    const request = parseBody(completeRequest, body, fieldProblem);
    requireOneMeaning(request);
    return {
      conversation: conversationOf(request),
      model: request.model,
      stream: request.stream === true,
      async: request.async === true,
      ...given({ timeoutS: request.timeout, webhook: request.webhook }),
      ignored: [],
      responder: responderFor(request),
    } satisfies ParsedRequest;
  },
  errorBody,
  errorEvents: (error, requestId) => event('error', { type: 'error', ...errorBody(error, requestId) }),
};

/** Fields that are valid alone, but not together. */
function requireOneMeaning(request: CompleteRequest): void {
  const { prompt, messages, schema, webhook } = request;
  if (prompt === undefined && messages === undefined) {
    throw bad('Field "prompt" must be a string and is required without "messages".');
  }
  if (prompt !== undefined && messages !== undefined) throw bad('Send "prompt" or "messages", not both.');
  if (messages !== undefined && messages.at(-1)?.role !== 'user') {
    throw bad(`Field "messages.${messages.length - 1}.role" must be user: the model answers the last turn.`);
  }
  if (schema !== undefined && request.output_format === 'text') {
    throw bad('Field "output_format" must be json with a "schema".');
  }
  if (request.stream === true && request.async === true) throw bad('Send "stream" or "async", not both.');
  if (webhook !== undefined && request.async !== true) throw bad('Field "webhook" requires "async": true.');
}

/** A `bad_request` of the relay's API. */
export function fieldProblem(path: Path, predicate: string): RelayError {
  const place = path.length === 0 ? 'The request body' : `Field "${shortPath(path).join('.')}"`;
  return new RelayError('bad_request', `${place} ${predicate}.`);
}

function bad(message: string): RelayError {
  return new RelayError('bad_request', message);
}

function conversationOf(request: CompleteRequest): Conversation {
  const { prompt = '', system = '', stop } = request;
  const messages = request.messages?.map(messageOf);
  return {
    system: system === '' ? [] : [system],
    messages: messages ?? [{ role: 'user', content: textBlocks(prompt) }],
    ...given({
      effort: request.effort,
      maxTokens: request.max_tokens,
      temperature: request.temperature,
      stopSequences: typeof stop === 'string' ? [stop] : stop,
      schema: request.schema,
    }),
  };
}

function messageOf({ role, content }: NonNullable<CompleteRequest['messages']>[number]): Message {
  return { role, content: typeof content === 'string' ? textBlocks(content) : content } as Message;
}

function textBlocks(text: string): [{ type: 'text'; text: string }] {
  return [{ type: 'text', text }];
}

function responderFor({ output_format, schema }: CompleteRequest): Responder {
  const json = output_format === 'json' || schema !== undefined;
  const body = schema !== undefined ? valueBody : json ? jsonBody : textBody;
  return {
    body,
    stream: (facts) => ({
      event: (happened) => eventText(happened, facts),
      end: (answer) => event('done', { type: 'done', ...(json ? body : textEnd)(answer, facts()) }),
    }),
  };
}

function textBody(answer: Answer, facts: AnswerFacts): CompleteTextResponse {
  return {
    ok: true,
    model: facts.model,
    ...fallbackField(facts),
    duration_ms: facts.durationMs,
    text: answer.text,
    ...(answer.stopReason === 'end_turn' ? {} : { stop_reason: answer.stopReason }),
    ...given({ stop_sequence: answer.stopSequence }),
  };
}

/** An answer without the value is an error. */
function valueBody(answer: Answer, facts: AnswerFacts): CompleteJsonResponse {
  if (!('structured' in answer)) {
    throw invalidOutput(`the model stopped before the value was complete (${answer.stopReason})`);
  }
  return jsonBody(answer, facts);
}

function jsonBody(answer: Answer, facts: AnswerFacts): CompleteJsonResponse {
  return {
    ok: true,
    model: facts.model,
    ...fallbackField(facts),
    resolved_model: answer.resolvedModel,
    duration_ms: facts.durationMs,
    result: 'structured' in answer ? answer.structured : answer.text,
    stop_reason: answer.stopReason,
    ...given({ stop_sequence: answer.stopSequence }),
    usage: { ...answer.usage, cost_usd: answer.costUsd },
  };
}

/** The end of a stream holds all fields; the text is called `text`, as in the text form. */
function textEnd(answer: Answer, facts: AnswerFacts): object {
  const { result: _result, ...rest } = jsonBody(answer, facts);
  return { ...rest, text: answer.text };
}

/** `start` when the model begins, `delta` for each piece of text, '' for any other event. */
function eventText(happened: ModelEvent, facts: () => AnswerFacts): string {
  if (happened.type === 'message_start') {
    const { requestId, model } = facts();
    const { model: resolved } = (happened['message'] ?? {}) as { model?: string };
    return event('start', { type: 'start', request_id: requestId, model, resolved_model: resolved ?? model });
  }
  if (happened.type !== 'content_block_delta') return '';
  const delta = happened['delta'] as { type?: string; text?: string } | undefined;
  if (delta?.type !== 'text_delta' || delta.text === undefined || delta.text === '') return '';
  return event('delta', { type: 'delta', text: delta.text });
}

function errorBody(error: RelayError, requestId: string): ErrorBody {
  const { retryAfter, limit, hop } = error.details;
  return {
    ok: false,
    error: error.code,
    message: error.message,
    request_id: requestId,
    ...given({ retry_after: retryAfter, limit, hop }),
  };
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
