import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversation } from '../conversation.ts';
import { restLine, turnLines } from './turn-lines.ts';

const simple: Conversation = {
  system: ['The system prompt.'],
  messages: [{ role: 'user', content: [{ type: 'text', text: '/prompt @file' }] }],
};

type Line = {
  type: string;
  request_id?: string;
  request?: { subtype: string; settings?: { effortLevel?: string | null; env?: Record<string, string> } };
  message?: { content: unknown };
};

function linesOf(conversation: Conversation): Line[] {
  return parsed(turnLines(conversation));
}

function parsed(text: string): Line[] {
  assert.ok(text.endsWith('\n'));
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function settingsOf(
  conversation: Conversation,
): { effortLevel?: string | null; env?: Record<string, string> } | undefined {
  return linesOf(conversation).find(({ request }) => request?.subtype === 'apply_flag_settings')?.request
    ?.settings;
}

function bodyOf(conversation: Conversation): Record<string, unknown> {
  return JSON.parse(settingsOf(conversation)?.env?.['CLAUDE_CODE_EXTRA_BODY'] ?? '{}') as Record<
    string,
    unknown
  >;
}

const namesOf = (line: Line | undefined): string[] => Object.keys(line?.request?.settings?.env ?? {});

test('a first turn is three lines, and a later one does not set the system prompt', () => {
  const kinds = (text: string): string[] => parsed(text).map(({ type, request }) => request?.subtype ?? type);
  assert.deepEqual(kinds(turnLines(simple)), ['apply_flag_settings', 'initialize', 'user']);
  const later = turnLines({ ...simple, system: ['Not sent.'] }, 'settings-7', false);
  assert.deepEqual(kinds(later), ['apply_flag_settings', 'user']);
  assert.equal(parsed(later)[0]?.request_id, 'settings-7');
  assert.ok(!later.includes('Not sent.'));
});

test('a turn sets every setting, also to nothing', () => {
  assert.deepEqual(settingsOf(simple), {
    effortLevel: null,
    env: {
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: '',
      CLAUDE_CODE_DISABLE_THINKING: '',
      ENABLE_PROMPT_CACHING_1H: '',
      FORCE_PROMPT_CACHING_5M: '',
      CLAUDE_CODE_EXTRA_BODY: JSON.stringify(bodyOf(simple)),
    },
  });
  assert.deepEqual(Object.keys(bodyOf(simple)), ['messages']);
  const full = settingsOf({ ...simple, effort: 'low', maxTokens: 5 });
  assert.equal(full?.effortLevel, 'low');
  assert.equal(full?.env?.['CLAUDE_CODE_MAX_OUTPUT_TOKENS'], '5');
  assert.equal(full?.env?.['CLAUDE_CODE_DISABLE_THINKING'], '1');
});

test('a rest takes back every setting of a turn', () => {
  const [turn] = linesOf({ ...simple, effort: 'low', maxTokens: 5, temperature: 1 });
  const [rest, ...others] = parsed(restLine('rest-3'));
  assert.deepEqual(others, []);
  assert.equal(rest?.request_id, 'rest-3');
  assert.deepEqual(Object.keys(rest?.request?.settings ?? {}), Object.keys(turn?.request?.settings ?? {}));
  assert.deepEqual(namesOf(rest), namesOf(turn));
  assert.equal(rest?.request?.settings?.effortLevel, null);
  assert.deepEqual(new Set(Object.values(rest?.request?.settings?.env ?? {})), new Set(['']));
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
    tools: [{ name: 'x', input_schema: {}, type: 'web_search_20250305', defer_loading: true }],
    toolChoice: { type: 'auto' },
  } as unknown as Conversation;
  const body = bodyOf(odd);
  assert.deepEqual(Object.keys(body).toSorted(), ['messages', 'temperature', 'tool_choice', 'tools']);
  assert.deepEqual(body['tools'], [{ name: 'x', input_schema: {} }]);
  // A choice without tools is refused by the API, and means nothing.
  assert.ok(!('tool_choice' in bodyOf({ ...simple, temperature: 1, toolChoice: { type: 'auto' } })));
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
    { thinking: { type: 'off' } },
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
  assert.ok(
    !('thinking' in bodyOf({ ...simple, thinking: { type: 'off' } })),
    'newer models refuse `disabled`',
  );
});
