/**
 * A dialect: how one API asks and is answered. Pure: text in, text out; the recipe around it (keys, limits, turn, ledger, pings,
 * headers) is `http/generate.ts`'s and the same for all of them.
 */
import type { Answer, Conversation, ModelEvent } from '../conversation.ts';
import type { RelayError } from '../errors.ts';

/** A request that was understood. */
export type ParsedRequest = {
  conversation: Conversation;
  /** As the caller named it; absent: the default model. */
  model: string | undefined;
  stream: boolean;
  /** Asks for a job instead of an answer, by a field of the body. */
  async?: boolean;
  /** Seconds; absent: REQ_TIMEOUT, which it cannot exceed. */
  timeoutS?: number;
  /** Parameters that were accepted and have no effect here: told in `x-relay-ignored-params`. */
  ignored: readonly string[];
  /** Says the answer in the way this request wants it. */
  responder: Responder;
};

/** What the answer's words may need besides the answer. */
export type AnswerFacts = {
  requestId: string;
  /** The model as it was asked for, after the default. */
  model: string;
  /** Unix milliseconds of the request's arrival. */
  at: number;
  durationMs: number;
};

export type Responder = {
  /** The body of a whole answer. */
  body(answer: Answer, facts: AnswerFacts): object;
  /** The answer as server-sent events; called once, when the model begins to answer. */
  stream(facts: () => AnswerFacts): StreamResponder;
};

/** Each function returns server-sent events as text, ready to be sent, or '' for nothing. */
export type StreamResponder = {
  /** `message_start` is the first; `message_delta` and `message_stop` are not passed in: `end` stands for them. */
  event(event: ModelEvent): string;
  end(answer: Answer): string;
};

/** How a dialect writes an error. */
export type ErrorFormat = {
  errorBody(error: RelayError, requestId: string): object;
  /** Absent: the table's status. */
  errorStatus?(error: RelayError): number;
  /** An error in the middle of a stream, as server-sent events that end it. */
  errorEvents(error: RelayError, requestId: string): string;
};

export type Dialect = ErrorFormat & {
  /** The error of a model that is not served; absent: `not_found`. */
  unknownModel?: 'bad_request';
  /** Throws `bad_request` that names the place. */
  parse(body: unknown): ParsedRequest;
};
