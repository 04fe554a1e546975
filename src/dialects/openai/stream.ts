/** The model's events -> `chat.completion.chunk` events of the OpenAI dialect. Pure, except for the state of its stream. */
import type { Answer, ModelEvent } from '../../conversation.ts';
import type { AnswerFacts, StreamResponder } from '../dialect.ts';
import { fallbackField } from '../given.ts';
import { argumentsOf, chatUsage, finishReason, idAndTime, refusalOf, type ChatForm } from './answer.ts';

/** A tool_use block: its number among the calls, and whether a piece of its arguments was sent. */
type OpenCall = { call: number; begun: boolean; input: unknown };

export function chatStream(
  facts: () => AnswerFacts,
  form: ChatForm & { includeUsage: boolean },
): StreamResponder {
  const { functions, includeUsage } = form;
  const calls = new Map<unknown, OpenCall>();
  let model: string | undefined;
  let begun = false;

  const chunk = (choices: object[], usage: object | null): string => {
    const known = facts();
    return serverSentEvent({
      ...idAndTime(known),
      ...fallbackField(known),
      object: 'chat.completion.chunk',
      model: model ?? known.model,
      choices,
      ...(includeUsage ? { usage } : {}),
    });
  };
  const send = (delta: object, finish: string | null = null): string =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finish }], null);

  /** Sends the role once, before anything else. `content` is null if the answer begins with a call. */
  const begin = (content: '' | null): string => {
    if (begun) return '';
    begun = true;
    return send({ role: 'assistant', content, refusal: null });
  };
  const sendText = (text: unknown): string =>
    typeof text === 'string' && text !== '' ? begin('') + send({ content: text }) : '';

  const sendCall = (call: number, opening: object, part: object): string => {
    if (!functions) return send({ tool_calls: [{ index: call, ...opening, function: part }] });
    return call === 0 ? send({ function_call: part }) : '';
  };
  const sendArguments = (index: unknown, text: unknown): string => {
    const open = calls.get(index);
    if (open === undefined || typeof text !== 'string' || text === '') return '';
    open.begun = true;
    return sendCall(open.call, {}, { arguments: text });
  };

  return {
    event(event: ModelEvent): string {
      switch (event.type) {
        case 'message_start': {
          const message = field(event, 'message');
          if (typeof message['model'] === 'string') model = message['model'];
          return '';
        }
        case 'content_block_start': {
          const block = field(event, 'content_block');
          if (block['type'] === 'text') return sendText(block['text']);
          if (block['type'] !== 'tool_use') return '';
          const call = calls.size;
          calls.set(event['index'], { call, begun: false, input: block['input'] });
          const opening = { id: block['id'], type: 'function' };
          return begin(null) + sendCall(call, opening, { name: block['name'], arguments: '' });
        }
        case 'content_block_delta': {
          const delta = field(event, 'delta');
          if (delta['type'] === 'text_delta') return sendText(delta['text']);
          if (delta['type'] === 'input_json_delta') {
            return sendArguments(event['index'], delta['partial_json']);
          }
          return '';
        }
        case 'content_block_stop': {
          // A call without arguments has no delta; its arguments are {}.
          const open = calls.get(event['index']);
          if (open === undefined || open.begun) return '';
          return sendArguments(event['index'], argumentsOf(open.input));
        }
        default:
          return '';
      }
    },
    end(answer: Answer): string {
      const refusal = refusalOf(answer);
      model = answer.resolvedModel;
      return [
        begin(answer.stopReason === 'refusal' ? null : ''),
        refusal === null ? '' : send({ refusal }),
        send({}, finishReason(answer.stopReason, form)),
        includeUsage ? chunk([], chatUsage(answer.usage)) : '',
        endOfEvents,
      ].join('');
    },
  };
}

export const endOfEvents = 'data: [DONE]\n\n';

export function serverSentEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** An object of an event, or an empty one. */
export function field(event: ModelEvent, name: string): Record<string, unknown> {
  const value = event[name];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
