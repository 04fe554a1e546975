/**
 * A conversation that is replaced by a summary of it: the last item of the input asks for one (`compaction_trigger`), the answer is an
 * item that carries it, and later requests begin with that item. Codex does so when its context is full. Pure.
 */
import type { Answer, TextBlock } from '../../../conversation.ts';
import { invalidOutput } from '../../../errors.ts';
import { itemId, type Item, type ItemForm } from './output.ts';
import { pack, unpack } from './packed.ts';

export const askForSummary: TextBlock = {
  type: 'text',
  text: [
    'This conversation ends here, and your summary takes its place. Whoever goes on with the work sees only the summary.',
    'Write down what the user wants and what the user ruled out, what was done and found (with names, paths, commands, numbers and',
    'texts that matter, word for word), what was decided and why, what is open, and what comes next.',
    'Call no tool. Write the summary, and nothing else.',
  ].join('\n'),
};

/** The summary of an item, as the user's message that begins the conversation; undefined for another API's item. */
export function summaryBlock(content: unknown): TextBlock | undefined {
  const packed = unpack(content);
  if (packed?.type !== 'summary') return undefined;
  return { type: 'text', text: `The summary of our conversation so far:\n\n${packed.text}` };
}

/** Throws `invalid_output` if the model wrote nothing. */
export function compactionItem({ text }: Answer, form: ItemForm): Item {
  if (text.trim() === '') throw invalidOutput('the summary of the conversation is empty');
  const content = pack({ type: 'summary', text });
  return {
    type: 'compaction',
    id: itemId('cmp', form, 0),
    status: 'completed',
    encrypted_content: content,
  };
}
