/**
 * A dialect: how the clients of one API write a request and read an answer. Pure. Keys, limits, turns, the ledger, pings and
 * headers are the same for all dialects, and belong to `http/routes/generate.ts`.
 */
import type { Answer, Conversation, ModelEvent } from '../conversation.ts';
import type { RelayError } from '../errors.ts';

/** A request in the form that all dialects share. */
export type ParsedRequest = {
  conversation: Conversation;
  /** The caller's name of the model; absent: the default model. */
  model: string | undefined;
  stream: boolean;
  /** Whether a field of the body asks for a job instead of an answer. */
  async?: boolean;
  /** The URL to call when the job has ended; only with `async`. */
  webhook?: string;
  /** Seconds; absent: REQ_TIMEOUT, which it cannot exceed. */
  timeoutS?: number;
  /** Accepted parameters without effect, listed in `x-relay-ignored-params`. */
  ignored: readonly string[];
  /** Writes the answer in the form that this request asks for. */
  responder: Responder;
  /** The whole answer to a request that asks the model nothing. */
  reply?: (facts: AnswerFacts) => object;
};

/** What a responder can add to the answer. */
export type AnswerFacts = {
  requestId: string;
  /** The caller's name of the model, or the default; that of the fallback if it answers. */
  model: string;
  /** What a fallback answers in place of: an entry of ALLOWED_MODELS, or `plan`. */
  fallbackFrom?: string | undefined;
  /** Unix milliseconds of the request's arrival. */
  at: number;
  durationMs: number;
};

/** `group` is the answer that the items belong to. */
export type AnsweredItems = { group: string; items: readonly { id: string }[] };

export type Responder = {
  /** The body of a whole answer. */
  body(answer: Answer, facts: AnswerFacts): object;
  /** The answer in pieces; called once, when the model begins to answer. */
  stream(facts: () => AnswerFacts): StreamResponder;
  /** The items of the answer that later requests can refer to; absent: none. */
  kept?(answer: Answer, facts: AnswerFacts): AnsweredItems;
  /** The job that a field of the body asks for, in the form of the API; absent: the relay's own form. */
  job?: OwnJob;
};

/** How an API describes a job, and the answer of a job that has none. */
export type OwnJob = {
  id(facts: AnswerFacts): string;
  body(state: JobState, facts: AnswerFacts): object;
};

/** `error`: why the job failed. */
export type JobState = { status: 'queued' | 'running' | 'failed' | 'cancelled'; error?: RelayError };

/** Each function returns text in the dialect's form of a stream, or '' for nothing to send. */
export type StreamResponder = {
  /** `message_start` comes first; `end` stands for `message_delta` and `message_stop`. */
  event(event: ModelEvent): string;
  end(answer: Answer): string;
  /** The events that end the stream with an error; absent: the dialect's `errorEvents`. */
  fail?(error: RelayError): string;
};

/** The form of a stream: server-sent events, or one JSON object a line. */
export type StreamForm = 'events' | 'lines';

/** How a dialect writes an error. */
export type ErrorFormat = {
  errorBody(error: RelayError, requestId: string): object;
  /** Absent: the table's status. */
  errorStatus?(error: RelayError): number;
  /** What ends a stream with an error. */
  errorEvents(error: RelayError, requestId: string): string;
  /** Absent: server-sent events. */
  streamForm?: StreamForm;
};

/** An item of an earlier answer to the same key, while it is kept. `group` is that answer. */
export type Recall = (group: string, id: string) => object | undefined;

export type Dialect = ErrorFormat & {
  /** The error code for a model that the relay does not serve; absent: `not_found`. */
  unknownModel?: 'bad_request';
  /** Throws a `bad_request` that names the place. */
  parse(body: unknown, recall?: Recall): ParsedRequest;
};
