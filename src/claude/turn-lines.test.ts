import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversation } from '../conversation.ts';
import { turnLines } from './turn-lines.ts';

const simple: Conversation = {
  system: ['The system prompt.'],
  messages: [{ role: 'user', content: [{ type: 'text', text: '/prompt @file' }] }],
};

type Line = {
  type: string;
  request?: { subtype: string; settings?: { effortLevel?: string; env?: Record<string, string> } };
  message?: { content: unknown };
};

function linesOf(conversation: Conversation): Line[] {
  const text = turnLines(conversation);
  assert.ok(text.endsWith('\n'));
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function settingsOf(
  conversation: Conversation,
): { effortLevel?: string; env?: Record<string, string> } | undefined {
  return linesOf(conversation).find(({ request }) => request?.subtype === 'apply_flag_settings')?.request
    ?.settings;
}

function bodyOf(conversation: Conversation): Record<string, unknown> {
  return JSON.parse(settingsOf(conversation)?.env?.['CLAUDE_CODE_EXTRA_BODY'] ?? '{}') as Record<
    string,
    unknown
  >;
}

test('a turn is three lines and sets only what was asked for', () => {
  const lines = linesOf(simple);
  assert.deepEqual(
    lines.map(({ type, request }) => request?.subtype ?? type),
    ['apply_flag_settings', 'initialize', 'user'],
  );
  const names = (fields: Partial<Conversation>): string[] =>
    Object.keys(settingsOf({ ...simple, ...fields })?.env ?? {});
  assert.deepEqual(names({}), ['CLAUDE_CODE_EXTRA_BODY']);
  assert.deepEqual(Object.keys(bodyOf(simple)), ['messages']);
  assert.equal(settingsOf({ ...simple, effort: 'low' })?.effortLevel, 'low');
  assert.deepEqual(names({ maxTokens: 5 }), [
    'CLAUDE_CODE_MAX_OUTPUT_TOKENS',
    'CLAUDE_CODE_DISABLE_THINKING',
    'CLAUDE_CODE_EXTRA_BODY',
  ]);
});

test('a message of the CLI has no text of the conversation', () => {
  const { messages } = simple;
  const [first] = messages;
  assert.ok(first);
  const more: Partial<Conversation>[] = [
    {},
    { effort: 'low', maxTokens: 5 },
    { messages: [...messages, { role: 'assistant', content: [{ type: 'text', text: 'x' }] }, first] },
    { temperature: 0 },
    { topP: 0.5 },
    { topK: 1 },
    { stopSequences: ['x'] },
    { thinking: { type: 'adaptive' } },
    { tools: [{ name: 'x', input_schema: { type: 'object' } }] },
    { messages: [{ role: 'user', content: [{ type: 'text', text: ' ' }] }] },
    { messages: [{ role: 'user', content: [] }] },
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'x' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
          ],
        },
      ],
    },
  ];
  for (const fields of more) {
    const conversation = { ...simple, ...fields };
    assert.deepEqual(linesOf(conversation).at(-1)?.message?.content, [{ type: 'text', text: '.' }]);
    assert.ok(Array.isArray(bodyOf(conversation)['messages']), JSON.stringify(fields));
  }
});

test('the body is a closed set of fields', () => {
  const odd = {
    ...simple,
    temperature: 1,
    model: 'claude-other',
    metadata: { user_id: 'x' },
    tools: [{ name: 'x', input_schema: {}, type: 'web_search_20250305', cache_control: {} }],
    toolChoice: { type: 'auto' },
  } as unknown as Conversation;
  const body = bodyOf(odd);
  assert.deepEqual(Object.keys(body).toSorted(), ['messages', 'temperature', 'tool_choice', 'tools']);
  assert.deepEqual(body['tools'], [{ name: 'x', input_schema: {} }]);
  // A choice without tools is refused by the API, and means nothing.
  assert.ok(!('tool_choice' in bodyOf({ ...simple, temperature: 1, toolChoice: { type: 'auto' } })));
});

test('the end of the conversation is marked for the prompt cache', () => {
  const [message] = bodyOf({ ...simple, temperature: 1 })['messages'] as { content: object[] }[];
  assert.deepEqual(message?.content, [
    { type: 'text', text: '/prompt @file', cache_control: { type: 'ephemeral' } },
  ]);
  const blank: Conversation = {
    ...simple,
    messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }],
  };
  assert.ok(!JSON.stringify(bodyOf(blank)).includes('cache_control'));
});

test('the CLI’s thinking is off where the API refuses it, and a caller’s thinking is passed on', () => {
  const isOff = (fields: Partial<Conversation>): boolean =>
    settingsOf({ ...simple, ...fields })?.env?.['CLAUDE_CODE_DISABLE_THINKING'] === '1';
  const tools = [{ name: 'x', input_schema: {} }];
  for (const fields of [
    { temperature: 1 },
    { topP: 0.9 },
    { topK: 3 },
    { tools, toolChoice: { type: 'any' } },
    { tools, toolChoice: { type: 'tool', name: 'x' } },
    { maxTokens: 50_000 },
    { maxTokens: 1024, effort: 'high' },
    { thinking: { type: 'disabled' } },
  ] satisfies Partial<Conversation>[]) {
    assert.ok(isOff(fields), JSON.stringify(fields));
  }
  for (const fields of [
    { effort: 'high' },
    { maxTokens: 1025, effort: 'high' },
    { stopSequences: ['x'] },
    { tools, toolChoice: { type: 'auto' } },
    { temperature: 1, thinking: { type: 'adaptive' } },
    { maxTokens: 10, thinking: { type: 'enabled', budget_tokens: 5 } },
  ] satisfies Partial<Conversation>[]) {
    assert.ok(!isOff(fields), JSON.stringify(fields));
  }
});
