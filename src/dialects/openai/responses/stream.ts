/**
 * The model's events -> the events of a streamed response. Pure, except for the state of its stream.
 *
 * An item is done when the next one begins or the answer ends: only then is it known whether it was cut off.
 */
import type { Answer, ModelEvent } from '../../../conversation.ts';
import type { RelayError } from '../../../errors.ts';
import type { AnswerFacts, StreamResponder } from '../../dialect.ts';
import { chatError } from '../errors.ts';
import { endOfEvents, field } from '../stream.ts';
import { endState, itemForm, responseObject, type Asked, type ResponseState } from './answer.ts';
import { compactionItem } from './compaction.ts';
import { openBlock, openMessage, type OpenBlock, type OpenMessage, type SendOfItem } from './open-item.ts';
import { incompleteReason, isItem, lastParts, type Block, type ItemStatus } from './output.ts';

export function responseStream(asked: Asked, facts: () => AnswerFacts): StreamResponder {
  const form = itemForm(asked, facts());
  const done: object[] = [];
  let open: OpenMessage | OpenBlock | undefined;
  let model: string | undefined;
  let begun = false;
  let sequence = 0;

  const send = (type: string, fields: object): string => {
    const event = { type, sequence_number: sequence, ...fields };
    sequence += 1;
    return `event: ${type}\ndata: ${JSON.stringify(event)}\n\n`;
  };
  const sendResponse = (type: string, state: ResponseState): string =>
    send(type, { response: responseObject(asked, facts(), state) });
  const begin = (): string => {
    if (begun) return '';
    begun = true;
    const state: ResponseState = { status: 'in_progress', model };
    return sendResponse('response.created', state) + sendResponse('response.in_progress', state);
  };

  const close = (status: ItemStatus): string => {
    if (open === undefined) return '';
    const { events, item } = open.close(status);
    const index = done.length;
    done.push(item);
    open = undefined;
    return events + send('response.output_item.done', { output_index: index, item });
  };
  const beginItem = <Opened extends OpenMessage | OpenBlock>(
    make: (send: SendOfItem) => Opened,
  ): [Opened, string] => {
    const closed = close('completed');
    const index = done.length;
    const opened = make((type, fields) => send(type, { item_id: opened.id, output_index: index, ...fields }));
    open = opened;
    return [opened, closed + send('response.output_item.added', { output_index: index, item: opened.added })];
  };
  /** The open message, or a new one. */
  const message = (): [OpenMessage, string] =>
    open?.type === 'message' ? [open, ''] : beginItem((sendOf) => openMessage(form, done.length, sendOf));

  const addText = (text: unknown): string => {
    if (typeof text !== 'string' || text === '') return '';
    const [opened, events] = message();
    return events + opened.text(text);
  };

  /** It is sent when it is whole. */
  const summary = (answer: Answer): string => {
    const item = compactionItem(answer, form);
    done.push(item);
    const fields = { output_index: 0, item };
    return send('response.output_item.added', fields) + send('response.output_item.done', fields);
  };

  return {
    event(event: ModelEvent): string {
      switch (event.type) {
        case 'message_start': {
          const { model: named } = field(event, 'message');
          if (typeof named === 'string') model = named;
          return begin();
        }
        case 'content_block_start': {
          if (asked.compact) return '';
          const block = field(event, 'content_block') as Block;
          if (block.type === 'text') {
            if (open?.type === 'message') open.endPart();
            return addText(block['text']);
          }
          if (!isItem(block)) return close('completed');
          return beginItem((sendOf) => openBlock(form, done.length, block, sendOf))[1];
        }
        case 'content_block_delta': {
          if (asked.compact) return '';
          const delta = field(event, 'delta');
          if (delta['type'] === 'text_delta') return addText(delta['text']);
          return open?.type === 'block' ? open.delta(delta) : '';
        }
        default:
          return '';
      }
    },
    end(answer: Answer): string {
      model = answer.resolvedModel;
      const events = [begin()];
      if (asked.compact) events.push(summary(answer));
      for (const part of asked.compact ? [] : lastParts(answer, done.length + (open === undefined ? 0 : 1))) {
        const [opened, before] = message();
        events.push(before, opened.whole(part));
      }
      const reason = incompleteReason(answer.stopReason);
      events.push(close(reason === undefined ? 'completed' : 'incomplete'));
      const type = reason === undefined ? 'response.completed' : 'response.incomplete';
      events.push(sendResponse(type, endState(answer, done)), endOfEvents);
      return events.join('');
    },
    /** Some clients look only for the first of the two events, and some only for the second. */
    fail(error: RelayError): string {
      const failed = begin() + send('error', chatError(error));
      const state: ResponseState = { status: 'failed', model, output: done, error };
      return failed + sendResponse('response.failed', state) + endOfEvents;
    },
  };
}
