/** The blocks of the model's answer as output items. Pure. */
import type { Answer } from '../../../conversation.ts';
import { argumentsOf, refusalOf } from '../answer.ts';
import { pack } from './packed.ts';
import type { CallerTools } from './tools.ts';

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';
export type Part = { type: 'output_text'; text: string } | { type: 'refusal'; refusal: string };
export type Item = { type: string; id: string } & Record<string, unknown>;
export type Block = Answer['content'][number];

/** How the items of one answer are written. */
export type ItemForm = {
  /** The request's id, without its prefix. */
  suffix: string;
  callers: CallerTools;
  /** Whether the request asks for the text of the model's thinking. */
  showThinking: boolean;
};

/** All items of a whole answer. A stream makes the same ones. */
export function outputItems(answer: Answer, form: ItemForm): Item[] {
  const drafts: ((index: number, status: ItemStatus) => Item)[] = [];
  let parts: Part[] | undefined;
  const addPart = (part: Part): void => {
    if (parts === undefined) {
      const own: Part[] = [];
      parts = own;
      drafts.push((index, status) => messageItem(form, index, own, status));
    }
    parts.push(part);
  };
  for (const block of answer.content) {
    if (block.type === 'text') {
      if (typeof block['text'] === 'string' && block['text'] !== '') {
        addPart({ type: 'output_text', text: block['text'] });
      }
      continue;
    }
    if (!isItem(block)) continue;
    parts = undefined;
    drafts.push((index, status) => blockItem(form, index, block, status));
  }
  for (const part of lastParts(answer, drafts.length)) addPart(part);
  const cut = isCut(answer.stopReason);
  return drafts.map((draft, index) =>
    draft(index, cut && index === drafts.length - 1 ? 'incomplete' : 'completed'),
  );
}

/** The parts at the end of an answer that no block holds: why the model declined, or that it said nothing. */
export function lastParts(answer: Answer, items: number): Part[] {
  const refusal = refusalOf(answer);
  if (refusal !== null) return [{ type: 'refusal', refusal }];
  return items === 0 && !isCut(answer.stopReason) ? [{ type: 'output_text', text: '' }] : [];
}

export function isItem({ type }: { type: unknown }): boolean {
  return type === 'thinking' || type === 'redacted_thinking' || type === 'tool_use';
}

export function messageItem(form: ItemForm, index: number, parts: readonly Part[], status: ItemStatus): Item {
  const content = parts.map(writtenPart);
  return { type: 'message', id: itemId('msg', form, index), status, role: 'assistant', content };
}

export function writtenPart(part: Part): object {
  return part.type === 'refusal' ? part : { ...part, annotations: [], logprobs: [] };
}

/** The item of a block that is not text. */
export function blockItem(form: ItemForm, index: number, block: Block, status: ItemStatus): Item {
  return block.type === 'tool_use'
    ? callItem(form, index, block, status)
    : reasoningItem(form, index, block, status);
}

function reasoningItem(form: ItemForm, index: number, block: Block, status: ItemStatus): Item {
  const text = status === 'in_progress' ? '' : thinkingShown(form, block);
  const content = status === 'in_progress' ? undefined : pack(block);
  return {
    type: 'reasoning',
    id: itemId('rs', form, index),
    status,
    summary: text === '' ? [] : [{ type: 'summary_text', text }],
    ...(content === undefined ? {} : { encrypted_content: content }),
  };
}

function thinkingShown({ showThinking }: ItemForm, block: Block): string {
  const { thinking } = block;
  return showThinking && typeof thinking === 'string' ? thinking : '';
}

/** Whether the block is a call of a custom tool. */
export function isCustom({ callers }: ItemForm, block: Block): boolean {
  return block.type === 'tool_use' && callers.get(String(block['name']))?.custom === true;
}

function callItem(form: ItemForm, index: number, block: Block, status: ItemStatus): Item {
  const known = String(block['name']);
  const { name, namespace, custom } = form.callers.get(known) ?? { name: known, custom: false };
  const written = status === 'in_progress' ? '' : argumentsOf(block['input']);
  return {
    type: custom ? 'custom_tool_call' : 'function_call',
    id: itemId(custom ? 'ctc' : 'fc', form, index),
    call_id: String(block['id']),
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(custom ? { input: customInput(written) } : { arguments: written }),
    status,
  };
}

/** The text of a custom tool's call; empty if it was cut off. */
export function customInput(written: string): string {
  try {
    const { input } = JSON.parse(written) as { input?: unknown };
    return typeof input === 'string' ? input : written;
  } catch {
    return '';
  }
}

export function itemId(prefix: string, { suffix }: ItemForm, index: number): string {
  return `${prefix}_${suffix}_${index}`;
}

/** The suffix of the answer that has an item of this id. */
export function groupOf(id: string): string {
  return /^[a-z]+_(.+)_\d+$/.exec(id)?.[1] ?? '';
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['max_tokens', 'max_output_tokens'],
  ['model_context_window_exceeded', 'max_output_tokens'],
  // The answer is not complete, which is all that a client can know.
  ['pause_turn', 'max_output_tokens'],
  ['refusal', 'content_filter'],
]);

/** Why the answer is not complete; undefined if it is. */
export function incompleteReason(stopReason: string): string | undefined {
  return reasons.get(stopReason);
}

function isCut(stopReason: string): boolean {
  return reasons.has(stopReason);
}
