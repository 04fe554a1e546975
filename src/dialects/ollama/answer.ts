/** The model's answer in the shapes of Ollama's API, whole or as lines of JSON. Pure, except for the state of a stream. */
import type { Answer, ModelEvent } from '../../conversation.ts';
import type { AnswerFacts, Responder, StreamResponder } from '../dialect.ts';
import { fallbackField } from '../given.ts';
import { promptTokens, refusalOf } from '../openai/answer.ts';
import { field } from '../openai/stream.ts';
import { untaggedName } from './model-name.ts';

/** A part of an answer. */
type Piece = { text?: string; thinking?: string; calls?: readonly object[] };

/** Where an answer has its parts: in a message, or at its top. */
export type Place = (piece: Piece) => object;

export const inMessage: Place = ({ text = '', thinking = '', calls = [] }) => ({
  message: {
    role: 'assistant',
    content: text,
    ...(thinking === '' ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  },
});

export const atTop: Place = ({ text = '', thinking = '' }) => ({
  response: text,
  ...(thinking === '' ? {} : { thinking }),
});

/** `name` is the model as the request names it, with its tag; the key's profile can replace it. */
export function responderOf(name: string | undefined, place: Place): Responder {
  return {
    body: (answer, facts) => ({
      ...head(name, facts),
      ...place({
        text: textOf(answer),
        thinking: thinkingOf(answer),
        calls: toolCalls(answer),
      }),
      ...ending(answer, facts, 0),
    }),
    stream: (facts) => streamOf(name, place, facts),
  };
}

/** The answer to a request without a prompt, with which clients load a model or unload it. */
export function loaded(name: string | undefined, place: Place, reason: 'load' | 'unload') {
  return (facts: AnswerFacts): object => ({
    ...head(name, facts),
    ...place({}),
    done: true,
    done_reason: reason,
  });
}

export function line(data: object): string {
  return `${JSON.stringify(data)}\n`;
}

function streamOf(name: string | undefined, place: Place, facts: () => AnswerFacts): StreamResponder {
  let beganMs = 0;
  const send = (piece: Piece): string => line({ ...head(name, facts()), ...place(piece), done: false });
  const sendText = (text: unknown): string => (typeof text === 'string' && text !== '' ? send({ text }) : '');
  return {
    event(event: ModelEvent): string {
      switch (event.type) {
        case 'message_start':
          beganMs = facts().durationMs;
          return '';
        case 'content_block_start': {
          const block = field(event, 'content_block');
          return block['type'] === 'text' ? sendText(block['text']) : '';
        }
        case 'content_block_delta': {
          const delta = field(event, 'delta');
          if (delta['type'] === 'text_delta') return sendText(delta['text']);
          const { thinking } = delta;
          return delta['type'] === 'thinking_delta' && typeof thinking === 'string' && thinking !== ''
            ? send({ thinking })
            : '';
        }
        default:
          return '';
      }
    },
    end(answer: Answer): string {
      const calls = toolCalls(answer);
      const known = facts();
      return [
        answer.text === '' ? sendText(textOf(answer)) : '',
        // A call is one object in this API, so it is sent when its arguments are complete.
        calls.length === 0 ? '' : send({ calls }),
        line({ ...head(name, known), ...place({}), ...ending(answer, known, beganMs) }),
      ].join('');
    },
  };
}

function head(name: string | undefined, facts: AnswerFacts): object {
  const { model, at, durationMs } = facts;
  const shown = untaggedName(name) === model ? name : model;
  return { model: shown, ...fallbackField(facts), created_at: new Date(at + durationMs).toISOString() };
}

/** A refusal without text has the model's explanation: the API has no other place for it. */
function textOf(answer: Answer): string {
  return answer.text === '' ? (refusalOf(answer) ?? '') : answer.text;
}

function thinkingOf({ content }: Answer): string {
  return content
    .map((block) =>
      block.type === 'thinking' && typeof block['thinking'] === 'string' ? block['thinking'] : '',
    )
    .join('');
}

function toolCalls({ content }: Answer): object[] {
  return content
    .filter((block) => block.type === 'tool_use')
    .map((block, index) => ({
      id: block['id'],
      function: { index, name: block['name'], arguments: block['input'] ?? {} },
    }));
}

const doneReasons: ReadonlyMap<string, string> = new Map([
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['pause_turn', 'length'],
  ['refusal', 'refusal'],
]);

/** `beganMs`: when the model began to answer. Durations are in nanoseconds. */
function ending({ usage, stopReason }: Answer, { durationMs }: AnswerFacts, beganMs: number): object {
  const nanoseconds = (ms: number): number => ms * 1_000_000;
  return {
    done: true,
    done_reason: doneReasons.get(stopReason) ?? 'stop',
    total_duration: nanoseconds(durationMs),
    load_duration: 0,
    prompt_eval_count: promptTokens(usage),
    prompt_eval_duration: nanoseconds(beganMs),
    eval_count: usage.output_tokens,
    // Clients divide by it.
    eval_duration: nanoseconds(Math.max(1, durationMs - beganMs)),
  };
}
