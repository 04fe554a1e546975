/**
 * The Messages API's dialect: POST /v1/messages for the official Anthropic SDKs and Claude Code.
 *
 * Source: the API's reference (Messages, streaming, errors) and the types of @anthropic-ai/sdk 1.12.0.
 */
import type { Answer, ModelEvent } from '../../conversation.ts';
import { errorTable, type RelayError } from '../../errors.ts';
import { readMessagesRequest } from './request.ts';
import type { AnswerFacts, Dialect, StreamResponder, Responder } from '../dialect.ts';
import { fallbackField } from '../given.ts';

export const anthropic: Dialect = {
  parse: (body) => ({ ...readMessagesRequest(body), responder }),
  errorBody,
  // The API's own status for it: the SDKs choose their error class by it.
  errorStatus: (error) => (error.code === 'upstream_overloaded' ? 529 : error.status),
  errorEvents: (error, requestId) => serialise(errorBody(error, requestId)),
};

const responder: Responder = {
  body: messageOf,
  stream: (facts): StreamResponder => ({
    event: (event) => serialise(event.type === 'message_start' ? startOf(event, facts()) : event),
    end: endOf,
  }),
};

/** As it came, if the model that was asked answers. */
function startOf(event: ModelEvent, facts: AnswerFacts): ModelEvent {
  if (facts.fallbackFrom === undefined) return event;
  return { ...event, message: { ...(event['message'] as object), ...fallbackField(facts) } };
}

function messageOf(answer: Answer, facts: AnswerFacts): object {
  return {
    id: answer.messageId,
    ...fallbackField(facts),
    type: 'message',
    role: 'assistant',
    model: answer.resolvedModel,
    content: answer.content,
    ...stopOf(answer),
    diagnostics: null,
    usage: { ...answer.rawUsage, ...answer.usage },
  };
}

function endOf(answer: Answer): string {
  // `message_start` holds the other fields of the usage.
  const { output_tokens_details, server_tool_use } = answer.rawUsage;
  return (
    serialise({
      type: 'message_delta',
      delta: stopOf(answer),
      usage: { ...answer.usage, output_tokens_details, server_tool_use },
    }) + serialise({ type: 'message_stop' })
  );
}

function stopOf({ stopReason, stopSequence, stopDetails }: Answer): object {
  return {
    stop_reason: stopReason,
    stop_sequence: stopSequence,
    stop_details: stopDetails ?? null,
    container: null,
  };
}

function errorBody(error: RelayError, requestId: string): ModelEvent {
  const { apiDetails } = error.details;
  return {
    type: 'error',
    error: {
      type: errorTable[error.code].anthropic,
      message: error.message,
      ...(apiDetails === undefined ? {} : { details: apiDetails }),
    },
    request_id: requestId,
  };
}

function serialise(event: ModelEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
