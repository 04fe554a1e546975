import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { recordedMessage, recordedText, recordedToolUse } from '../../test/support/recordings.ts';
import type { Answer, Conversation, ModelEvent, Tool } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import { ModelMessage } from './message.ts';
import { structuredBy, type Structured } from './structured.ts';

const asked: Conversation = {
  system: [],
  messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }],
  schema: { type: 'object', properties: { a: { type: 'number' } } },
};

function by(fields: Partial<Conversation> = {}): Structured {
  const structured = structuredBy({ ...asked, ...fields });
  assert.ok(structured);
  return structured;
}

/** The events and the answer of a recorded stream. */
function told(
  structured: Structured,
  events: readonly ModelEvent[],
): { events: ModelEvent[]; answer: Answer } {
  const message = new ModelMessage();
  const out: ModelEvent[] = [];
  for (const event of events) {
    message.add(event);
    out.push(...structured.event(event));
  }
  const { usage, rawUsage, stopSequence } = message;
  const answer = structured.answer({
    messageId: message.id,
    content: message.content(),
    text: message.text(),
    stopReason: message.stopReason ?? '',
    stopSequence,
    resolvedModel: message.model,
    usage,
    rawUsage,
    costUsd: null,
  });
  return { events: out.filter(({ type }) => type.startsWith('content_block_')), answer };
}

const textOf = (events: readonly ModelEvent[]): string =>
  events.map(({ delta }) => (delta as { text?: string } | undefined)?.text ?? '').join('');

test('a conversation without a schema is not structured', () => {
  const { schema: _, ...rest } = asked;
  assert.equal(structuredBy(rest), undefined);
});

describe('the conversation for a schema', () => {
  const wrapped: [string, Record<string, unknown>][] = [
    ['an array', { type: 'array' }],
    ['no type', {}],
    ['a choice at the top', { type: 'object', anyOf: [{ required: ['a'] }] }],
    ['a reference at the top', { $ref: '#/$defs/a', $defs: { a: { type: 'object' } } }],
  ];
  for (const [name, schema] of wrapped) {
    test(`a schema with ${name} is wrapped in an object`, () => {
      const [tool] = by({ schema }).conversation.tools ?? [];
      assert.equal(tool?.input_schema['type'], 'object');
      assert.deepEqual(tool?.input_schema['required'], ['value']);
    });
  }

  test('a wrapped schema has its references moved and its data unchanged', () => {
    const schema = {
      type: 'array',
      items: { $ref: '#/$defs/a' },
      default: { $ref: '#/x' },
      $defs: { a: { properties: { $ref: { type: 'string' }, next: { $ref: '#' } } } },
    };
    const [tool] = by({ schema }).conversation.tools ?? [];
    assert.deepEqual(tool?.input_schema['properties'], {
      value: {
        type: 'array',
        items: { $ref: '#/properties/value/$defs/a' },
        default: { $ref: '#/x' },
        $defs: { a: { properties: { $ref: { type: 'string' }, next: { $ref: '#/properties/value' } } } },
      },
    });
  });

  test('the tool choice forces the answer or one of the caller’s tools', () => {
    const tools: Tool[] = [{ name: 'mine', input_schema: {} }];
    const ours = { type: 'tool', name: 'structured_output', disable_parallel_tool_use: true };
    const rows: [Partial<Conversation>, object][] = [
      [{}, ours],
      [{ tools, toolChoice: { type: 'none' } }, ours],
      [{ tools }, { type: 'any' }],
      [
        { tools, toolChoice: { type: 'auto', disable_parallel_tool_use: true } },
        { type: 'any', disable_parallel_tool_use: true },
      ],
      [
        { tools, toolChoice: { type: 'tool', name: 'mine' } },
        { type: 'tool', name: 'mine' },
      ],
    ];
    for (const [fields, expected] of rows) assert.deepEqual(by(fields).conversation.toolChoice, expected);
    assert.equal(by().conversation.schema, undefined);
  });
});

describe('the answer by a schema', () => {
  const call = (index: number, ...pieces: string[]) =>
    recordedToolUse(index, 'toolu_1', 'structured_output', ...pieces);

  test('an answer drops other text and renumbers its blocks', () => {
    const { events, answer } = told(
      by(),
      recordedMessage('tool_use', [recordedText(0, 'Here it is:'), call(1, '{"a"', ':1}')]),
    );
    assert.deepEqual(
      events.map(({ index }) => index),
      [0, 0, 0, 0],
    );
    assert.equal(textOf(events), '{"a":1}');
    assert.deepEqual(
      [answer.text, answer.structured?.text, answer.stopReason],
      ['{"a":1}', '{"a":1}', 'end_turn'],
    );
  });

  test('a wrapped value is one piece without its wrapping', () => {
    const structured = by({ schema: { type: 'array' } });
    const { events, answer } = told(
      structured,
      recordedMessage('tool_use', [call(0, '{"value":', ' [1, 2]}')]),
    );
    assert.equal(textOf(events), '[1,2]');
    assert.equal(answer.text, '[1,2]');
    assert.deepEqual(answer.structured?.value, [1, 2]);
  });

  test('an empty input is an empty object', () => {
    assert.equal(told(by(), recordedMessage('tool_use', [call(0)])).answer.text, '{}');
  });

  const failures: [string, ReturnType<typeof call>[], string, RegExp][] = [
    ['two answers', [call(0, '{}'), call(1, '{}')], 'tool_use', /more than one/],
    ['no answer', [], 'end_turn', /with text/],
  ];
  for (const [name, blocks, stop, message] of failures) {
    test(`a message with ${name} is invalid_output`, () => {
      assert.throws(
        () => told(by(), recordedMessage(stop, blocks)),
        (error: unknown) =>
          error instanceof RelayError && error.code === 'invalid_output' && message.test(error.message),
      );
    });
  }

  test('a cut-off value has its text and stop reason and nothing to judge', () => {
    const { answer, events } = told(by(), recordedMessage('max_tokens', [call(0, '{"a')]));
    assert.equal(textOf(events), '{"a');
    assert.deepEqual(answer.content, [{ type: 'text', text: '{"a' }]);
    assert.deepEqual([answer.text, answer.stopReason], ['{"a', 'max_tokens']);
    assert.ok(!('structured' in answer));
  });

  test('a missing wrapped value is invalid_output', () => {
    const structured = by({ schema: { type: 'array' } });
    assert.throws(() => told(structured, recordedMessage('tool_use', [call(0, '{}')])), /missing/);
  });

  test('a value with a call of the caller’s tool has both and nothing to judge', () => {
    const structured = by({ tools: [{ name: 'mine', input_schema: {} }] });
    const { answer, events } = told(
      structured,
      recordedMessage('tool_use', [call(0, '{"a":1}'), recordedToolUse(1, 'toolu_2', 'mine')]),
    );
    assert.deepEqual(answer.content, [
      { type: 'text', text: '{"a":1}' },
      { type: 'tool_use', id: 'toolu_2', name: 'mine', input: {} },
    ]);
    assert.equal(answer.stopReason, 'tool_use');
    assert.ok(!('structured' in answer));
    assert.equal(events.at(-1)?.['index'], 1);
  });
});
