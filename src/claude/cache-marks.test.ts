import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CacheMark, Conversation, Message, TextBlock, Tool } from '../conversation.ts';
import { markedParts, markSettings } from './cache-marks.ts';

const short: CacheMark = { type: 'ephemeral' };
const long: CacheMark = { type: 'ephemeral', ttl: '1h' };
const text = (text: string, mark?: CacheMark): TextBlock => ({
  type: 'text',
  text,
  ...(mark && { cache_control: mark }),
});
const user = (...content: TextBlock[]): Message => ({ role: 'user', content });
const tool = (name: string, mark?: CacheMark): Tool => ({
  name,
  input_schema: { type: 'object' },
  ...(mark && { cache_control: mark }),
});

/** The names of the tools and the texts that are marked. */
function marked(fields: Partial<Conversation>): string[] {
  const { messages, tools } = markedParts({ system: ['s'], messages: [user(text('hi'))], ...fields });
  const found: string[] = [];
  JSON.stringify([tools, messages], (_key, value: unknown) => {
    const place = value as { cache_control?: unknown; name?: string; text?: string; type?: string } | null;
    if (place?.cache_control) found.push(place.name ?? place.text ?? place.type ?? '');
    return value;
  });
  return found;
}

test('without a mark of the caller, the end of the conversation is marked', () => {
  assert.deepEqual(marked({}), ['hi']);
  assert.deepEqual(marked({ messages: [user(text('a'), text(' '))] }), []);
  assert.deepEqual(marked({ messages: [user(text('a')), { role: 'system', content: [text('b')] }] }), ['b']);
});

test('a mark of the caller takes the place of the one at the end', () => {
  assert.deepEqual(marked({ messages: [user(text('a', short), text('b'))] }), ['a']);
  assert.deepEqual(marked({ tools: [tool('t', short)] }), ['t']);
  assert.deepEqual(marked({ systemMark: short }), []);
  assert.deepEqual(marked({ systemMark: short, endMark: long }), ['hi']);
  assert.deepEqual(markedParts({ system: [], messages: [user(text('a', short))], endMark: long }).messages, [
    user(text('a', short)),
  ]);
});

test('the latest marks stay where there are more than the API takes next to those of the CLI', () => {
  const messages = [user(text('a', short), text('b', short)), user(text('c', short), text('\n', short))];
  const tools = [tool('t', short)];
  assert.deepEqual(marked({ tools, messages }), ['b', 'c']);
  assert.deepEqual(marked({ tools, messages, system: [] }), ['a', 'b', 'c']);
  const result: Message = {
    role: 'user',
    content: [
      { type: 'tool_result', tool_use_id: 'u', content: [text('d', short), text('e', short)] },
      { type: 'tool_result', tool_use_id: 'v', cache_control: short },
    ],
  };
  assert.deepEqual(marked({ messages: [...messages, result] }), ['e', 'tool_result']);
});

test('the CLI marks for an hour if the caller does, and for five minutes after such tools', () => {
  const settings = (fields: Partial<Conversation>): string[] =>
    Object.values(markSettings({ system: [], messages: [user(text('hi'))], ...fields }));
  assert.deepEqual(settings({}), ['', '']);
  assert.deepEqual(settings({ messages: [user(text('a', short))], systemMark: short }), ['', '']);
  assert.deepEqual(settings({ messages: [user(text('a', long))] }), ['1', '']);
  assert.deepEqual(settings({ systemMark: long }), ['1', '']);
  assert.deepEqual(settings({ endMark: long }), ['1', '']);
  assert.deepEqual(settings({ tools: [tool('t', short)] }), ['', '1']);
  assert.deepEqual(settings({ tools: [tool('t', long)] }), ['1', '']);
});
