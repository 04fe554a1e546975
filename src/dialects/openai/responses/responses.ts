/**
 * The dialect of the Responses API: POST /v1/responses for the official SDKs, Codex and clients of Open Responses. Pure.
 *
 * Source: the specification of Open Responses, the types of openai 7.57, and what Codex 0.171 sends and reads.
 */
import type { Dialect, ParsedRequest, Recall } from '../../dialect.ts';
import { chatError } from '../errors.ts';
import { endOfEvents, serverSentEvent } from '../stream.ts';
import { keptItems, responseJob, wholeResponse } from './answer.ts';
import { readResponsesRequest } from './conversation.ts';
import { responseStream } from './stream.ts';

export const responses: Dialect = {
  parse,
  errorBody: chatError,
  // An error of a stream that has not begun: `fail` writes any other.
  errorEvents: (error) =>
    `event: error\n${serverSentEvent({ type: 'error', sequence_number: 0, ...chatError(error) })}${endOfEvents}`,
};

function parse(body: unknown, recall?: Recall): ParsedRequest {
  const { conversation, ignored, ...asked } = readResponsesRequest(body, recall);
  const stream = asked.request.stream === true;
  return {
    conversation,
    model: asked.request.model,
    stream,
    async: asked.request.background === true && !stream,
    ignored: [...ignored],
    responder: {
      job: responseJob(asked),
      ...(asked.request.store === false ? {} : { kept: (answer, facts) => keptItems(asked, answer, facts) }),
      body: (answer, facts) => wholeResponse(asked, answer, facts),
      stream: (facts) => responseStream(asked, facts),
    },
  };
}
