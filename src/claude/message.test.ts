import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  recordedBlock,
  recordedMessage,
  recordedText,
  recordedToolUse,
  recordings,
} from '../../test/support/recordings.ts';
import type { ModelEvent } from '../conversation.ts';
import { MalformedEvent, ModelMessage } from './message.ts';

function read(events: readonly ModelEvent[]): ModelMessage {
  const message = new ModelMessage();
  for (const event of events) message.add(event);
  return message;
}

const asJson = (message: ModelMessage): { input?: unknown }[] =>
  JSON.parse(JSON.stringify(message.content())) as { input?: unknown }[];

describe('a message', () => {
  const rows: [keyof typeof recordings, object[]][] = [
    ['text', [{ type: 'text', text: 'Hello, world!' }]],
    [
      'thinking',
      [
        { type: 'thinking', thinking: 'Let me think.', signature: 'EqQBCgIYAhIM' },
        { type: 'text', text: 'Thought over.' },
      ],
    ],
    [
      'redactedThinking',
      [
        { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3p' },
        { type: 'text', text: 'Hidden thoughts.' },
      ],
    ],
    [
      'toolUse',
      [
        { type: 'text', text: 'Let me look.' },
        { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: { city: 'Zürich' } },
      ],
    ],
    [
      'parallelToolUse',
      [
        { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: { city: 'Bern' } },
        { type: 'tool_use', id: 'toolu_2', name: 'get_time', input: {} },
      ],
    ],
    ['maxTokensInTool', [{ type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} }]],
    ['unknownDelta', [{ type: 'text', text: 'known' }]],
    [
      'unknownBlock',
      [
        { type: 'future_block', future: 1 },
        { type: 'text', text: 'known' },
      ],
    ],
    ['empty', []],
    ['errorMidStream', [{ type: 'text', text: 'half an ' }]],
  ];
  for (const [name, content] of rows) {
    test(`the recorded ${name} becomes its blocks`, () =>
      assert.deepEqual(asJson(read(recordings[name])), content));
  }

  test('a message has its citations, stop reason, usage and text', () => {
    const [block] = read(recordings.citations).content();
    assert.ok(block !== undefined && Array.isArray(block['citations']));
    assert.equal(block['citations'].length, 1);
    const message = read(recordings.stopSequence);
    assert.deepEqual(
      [message.id, message.model, message.stopReason, message.stopSequence, message.text()],
      ['msg_recorded', 'claude-opus-recorded-1', 'stop_sequence', 'three', 'one two '],
    );
    assert.deepEqual(message.usage, {
      input_tokens: 25,
      output_tokens: 15,
      cache_read_input_tokens: 3,
      cache_creation_input_tokens: 0,
    });
    assert.deepEqual(message.rawUsage, { ...message.usage, service_tier: 'standard' });
    assert.equal(read(recordings.text).usesTool, false);
    assert.equal(read(recordings.toolUse).usesTool, true);
  });
});

describe('malformed events', () => {
  const [start = { type: 'none' }, , ...rest] = recordings.text;
  const open = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
  const delta = (fields: object, index: unknown = 0): ModelEvent => ({
    type: 'content_block_delta',
    index,
    delta: fields,
  });
  const rows: Record<string, readonly ModelEvent[]> = {
    'an event before the start': rest,
    'a second start': [start, start],
    'a start without a message': [{ type: 'message_start' }],
    'a block out of order': [start, { ...open, index: 1 }],
    'a block without a type': [start, { ...open, content_block: {} }],
    'an index that is not a number': [start, open, delta({ type: 'text_delta', text: 'x' }, '0')],
    'a delta of an unknown block': [start, delta({ type: 'text_delta', text: 'x' })],
    'a delta after the end of its block': [
      start,
      ...recordedText(0, 'x'),
      delta({ type: 'text_delta', text: 'x' }),
    ],
    'an empty delta': [start, open, { type: 'content_block_delta', index: 0 }],
    'a text that is not a string': [start, open, delta({ type: 'text_delta', text: 1 })],
    'an input that is not a string': [start, open, delta({ type: 'input_json_delta', partial_json: {} })],
    'an end of an unknown block': [start, { type: 'content_block_stop', index: 3 }],
    'a stop reason that is not a string': [start, { type: 'message_delta', delta: { stop_reason: 7 } }],
  };
  for (const [name, events] of Object.entries(rows)) {
    test(`${name} is malformed`, () => assert.throws(() => read(events), MalformedEvent));
  }

  test('an input that is not an object is malformed, unless the message was cut off', () => {
    for (const json of ['{"a":', '[1]', 'null', '"x"']) {
      const blocks = [recordedToolUse(0, 'toolu_1', 'get_weather', json)];
      assert.throws(() => read(recordedMessage('tool_use', blocks)).content(), MalformedEvent);
      assert.deepEqual(asJson(read(recordedMessage('max_tokens', blocks)))[0]?.input, {});
    }
  });

  test('a message with too much text or too many blocks is malformed', () => {
    const piece = 'x'.repeat(1024 * 1024);
    const endless = (): ModelMessage =>
      read([
        start,
        ...recordedBlock(
          0,
          { type: 'text', text: '' },
          ...Array.from({ length: 20 }, () => ({ type: 'text_delta', text: piece })),
        ),
      ]);
    assert.throws(endless, MalformedEvent);
    const blocks = Array.from({ length: 20_000 }, (_, index) => recordedText(index));
    assert.throws(() => read([start, ...blocks.flat()]), MalformedEvent);
  });
});
