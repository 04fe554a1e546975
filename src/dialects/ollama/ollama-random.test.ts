/** Random chats, with what clients leave out or cut off. The seed is printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversation } from '../../conversation.ts';
import { RelayError } from '../../errors.ts';
import { Random, rounds, seed } from '../../../test/support/random.ts';
import { ollamaChat } from './ollama.ts';

const runs = rounds(10_000);
const texts = ['', ' ', 'a', 'größer 🙂', '\n', '{"data":1}', null, undefined] as const;
const ids = [undefined, undefined, null, '', 'a', 'a', 'b!', '🙂'] as const;
const names = ['light', 'heating', 'a_b'] as const;

function message(random: Random): object {
  const content = random.pick(texts);
  const images = random.chance(0.1) ? ['iVBORw0KGgo='] : random.pick([undefined, null, []]);
  switch (random.below(6)) {
    case 0:
      return { role: 'system', content };
    case 1:
    case 2:
      return { role: 'user', content, images };
    case 3:
      return { role: 'tool', content, images, tool_call_id: random.pick(ids), tool_name: random.pick(names) };
    default:
      return {
        role: 'assistant',
        content,
        thinking: 'hm',
        tool_calls: random.list(0, 3, () => ({
          id: random.pick(ids),
          function: { name: random.pick(names), arguments: random.pick([{}, { a: [1] }, null, undefined]) },
        })),
      };
  }
}

/** What the Messages API requires of a conversation with tools. */
function requireValid({ messages }: Conversation): void {
  const seen = new Set<string>();
  assert.equal(messages.at(-1)?.role, 'user');
  messages.forEach(({ role, content }, index) => {
    assert.ok(content.length > 0, 'no message is empty');
    const calls = content.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []));
    for (const id of calls) {
      assert.match(id, /^[\w-]+$/);
      assert.ok(!seen.has(id), 'each id is used once');
      seen.add(id);
    }
    const results = (at: number): string[] =>
      (messages[at]?.content ?? []).flatMap((block) =>
        block.type === 'tool_result' ? [block.tool_use_id] : [],
      );
    if (calls.length > 0)
      assert.deepEqual(results(index + 1), calls, 'the next message has their results, in order');
    if (role === 'user' && results(index).length > 0) assert.equal(messages[index - 1]?.role, 'assistant');
    for (const block of content) if (block.type === 'text') assert.notEqual(block.text.trim(), '');
  });
}

test(`${runs} random chats become conversations that the API accepts, or are refused by name (seed ${seed})`, () => {
  const random = new Random(seed);
  let accepted = 0;
  for (let run = 0; run < runs; run += 1) {
    const messages = [...random.list(0, 8, () => message(random)), { role: 'user', content: 'hi' }];
    try {
      requireValid(ollamaChat.parse({ model: 'opus', messages }).conversation);
      accepted += 1;
    } catch (error) {
      assert.ok(error instanceof RelayError, `${String(error)}\n${JSON.stringify(messages)}`);
      assert.match(error.message, /^'messages\[\d+\]\.(?:content|images|tool_calls\[\d\])' /);
    }
  }
  assert.ok(accepted > runs / 10, `${accepted} accepted`);
});
