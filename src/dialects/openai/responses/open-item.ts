/** An output item that a stream is writing: its events, and the whole item at its end. Pure, except for its own state. */
import { WrittenJson } from '../../../exact-json.ts';
import { argumentsOf } from '../answer.ts';
import {
  blockItem,
  customInput,
  isCustom,
  itemId,
  messageItem,
  writtenPart,
  type Block,
  type ItemForm,
  type ItemStatus,
  type Part,
} from './output.ts';

/** Writes an event of the item: the item's id and place are added. */
export type SendOfItem = (type: string, fields: object) => string;

type Closed = { events: string; item: object };

export type OpenMessage = ReturnType<typeof openMessage>;
export type OpenBlock = ReturnType<typeof openBlock>;

export function openMessage(form: ItemForm, index: number, send: SendOfItem) {
  const parts: Part[] = [];
  let open: Part | undefined;
  let ended = false;

  const begin = (part: Part, empty: Part): string => {
    open = part;
    ended = false;
    return send('response.content_part.added', { content_index: parts.length, part: writtenPart(empty) });
  };
  const endPart = (): string => {
    if (open === undefined) return '';
    const at = { content_index: parts.length };
    const whole =
      open.type === 'refusal'
        ? send('response.refusal.done', { ...at, refusal: open.refusal })
        : send('response.output_text.done', { ...at, text: open.text, logprobs: [] });
    const part = writtenPart(open);
    parts.push(open);
    open = undefined;
    return whole + send('response.content_part.done', { ...at, part });
  };
  const text = (piece: string): string => {
    const before = ended ? endPart() : '';
    const begun =
      open === undefined ? begin({ type: 'output_text', text: '' }, { type: 'output_text', text: '' }) : '';
    if (open?.type === 'output_text') open.text += piece;
    const at = { content_index: parts.length };
    return before + begun + send('response.output_text.delta', { ...at, delta: piece, logprobs: [] });
  };

  return {
    type: 'message' as const,
    id: itemId('msg', form, index),
    added: messageItem(form, index, [], 'in_progress'),
    text,
    /** The next text belongs to another part, if there is one. */
    endPart: (): void => {
      ended = true;
    },
    /** A part in one piece. */
    whole(part: Part): string {
      if (part.type === 'output_text') return endPart() + begin(part, { ...part, text: '' });
      const begun = endPart() + begin(part, { ...part, refusal: '' });
      return begun + send('response.refusal.delta', { content_index: parts.length, delta: part.refusal });
    },
    close(status: ItemStatus): Closed {
      const events = endPart();
      return { events, item: messageItem(form, index, parts, status) };
    },
  };
}

/** `block` is as it begins. */
export function openBlock(form: ItemForm, index: number, begun: Block, send: SendOfItem) {
  const block: Block = { ...begun };
  const added = blockItem(form, index, block, 'in_progress');
  const custom = isCustom(form, block);
  const summary = { summary_index: 0 };
  let shown = '';
  let json = '';

  const show = (piece: unknown): string => {
    if (!form.showThinking || typeof piece !== 'string' || piece === '') return '';
    const part = { ...summary, part: { type: 'summary_text', text: '' } };
    const first = shown === '' ? send('response.reasoning_summary_part.added', part) : '';
    shown += piece;
    return first + send('response.reasoning_summary_text.delta', { ...summary, delta: piece });
  };
  const endSummary = (): string => {
    if (shown === '') return '';
    return (
      send('response.reasoning_summary_text.done', { ...summary, text: shown }) +
      send('response.reasoning_summary_part.done', {
        ...summary,
        part: { type: 'summary_text', text: shown },
      })
    );
  };
  const addArguments = (piece: string): string => {
    json += piece;
    // The text of a custom tool is inside of the JSON: it is sent when it is whole.
    return custom || piece === '' ? '' : send('response.function_call_arguments.delta', { delta: piece });
  };
  const endArguments = (): string => {
    // A call without arguments has no delta; its arguments are {}.
    const last = json === '' ? addArguments(argumentsOf(block['input'])) : '';
    block['input'] = new WrittenJson(json, {});
    if (!custom) return last + send('response.function_call_arguments.done', { arguments: json });
    const input = customInput(json);
    const delta = input === '' ? '' : send('response.custom_tool_call_input.delta', { delta: input });
    return delta + send('response.custom_tool_call_input.done', { input });
  };

  return {
    type: 'block' as const,
    id: (added as { id: string }).id,
    added,
    delta(delta: Record<string, unknown>): string {
      switch (delta['type']) {
        case 'thinking_delta':
          block['thinking'] = `${asText(block['thinking'])}${asText(delta['thinking'])}`;
          return show(delta['thinking']);
        case 'signature_delta':
          block['signature'] = delta['signature'];
          return '';
        case 'input_json_delta':
          return addArguments(asText(delta['partial_json']));
        default:
          return '';
      }
    },
    close(status: ItemStatus): Closed {
      const events = block.type === 'tool_use' ? endArguments() : endSummary();
      return { events, item: blockItem(form, index, block, status) };
    },
  };
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
