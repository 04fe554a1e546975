import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  requireEvents,
  requireResponse,
  type ResponseEvent,
} from '../../../../test/support/open-responses.ts';
import type { Answer, ModelEvent } from '../../../conversation.ts';
import { RelayError } from '../../../errors.ts';
import { WrittenJson } from '../../../exact-json.ts';
import type { AnswerFacts, StreamResponder } from '../../dialect.ts';
import { unpack } from './packed.ts';
import { responses } from './responses.ts';

const facts: AnswerFacts = { requestId: 'req_abc', model: 'opus', at: 1_700_000_000_900, durationMs: 5 };
const tools = [
  { type: 'function', name: 'weather' },
  { type: 'custom', name: 'apply_patch' },
];

type Streamed = {
  text: string;
  /** The answer in one piece, for the same request. */
  whole: Record<string, unknown>;
};

function streamFor(fields: object): { responder: StreamResponder; body: (answer: Answer) => object } {
  const { responder } = responses.parse({ input: 'hi', stream: true, tools, ...fields });
  return { responder: responder.stream(() => facts), body: (answer) => responder.body(answer, facts) };
}

const start: ModelEvent = {
  type: 'message_start',
  message: { id: 'msg_1', model: 'claude-opus-5-5', usage: { input_tokens: 3 } },
};
const begins = (index: number, content_block: object): ModelEvent => ({
  type: 'content_block_start',
  index,
  content_block,
});
const piece = (index: number, delta: object): ModelEvent => ({ type: 'content_block_delta', index, delta });
const stops = (index: number): ModelEvent => ({ type: 'content_block_stop', index });

/** A block of the answer and the events that bring it. */
type Played = { block: Answer['content'][number]; events: ModelEvent[] };

const textBlock = (index: number, ...pieces: string[]): Played => ({
  block: { type: 'text', text: pieces.join('') },
  events: [
    begins(index, { type: 'text', text: '' }),
    ...pieces.map((text) => piece(index, { type: 'text_delta', text })),
    stops(index),
  ],
});
const thinkingBlock = (index: number, ...pieces: string[]): Played => ({
  block: { type: 'thinking', thinking: pieces.join(''), signature: 's1' },
  events: [
    begins(index, { type: 'thinking', thinking: '', signature: '' }),
    ...pieces.map((thinking) => piece(index, { type: 'thinking_delta', thinking })),
    piece(index, { type: 'signature_delta', signature: 's1' }),
    stops(index),
  ],
});
const callBlock = (index: number, name: string, ...pieces: string[]): Played => {
  const use = { type: 'tool_use', id: `toolu_${index}`, name, input: {} };
  const json = pieces.join('');
  return {
    block: json === '' ? use : { ...use, input: new WrittenJson(json, {}) },
    events: [
      begins(index, use),
      ...pieces.map((partial_json) => piece(index, { type: 'input_json_delta', partial_json })),
      stops(index),
    ],
  };
};

function streamed(fields: object, blocks: readonly Played[], more: Partial<Answer> = {}): Streamed {
  const { responder, body } = streamFor(fields);
  const usage = {
    input_tokens: 3,
    output_tokens: 2,
    cache_read_input_tokens: 1,
    cache_creation_input_tokens: 0,
  };
  const answer: Answer = {
    messageId: 'msg_1',
    content: blocks.map(({ block }) => block),
    text: '',
    stopReason: 'end_turn',
    stopSequence: null,
    resolvedModel: 'claude-opus-5-5',
    usage,
    rawUsage: usage,
    costUsd: null,
    ...more,
  };
  const text = [
    ...[start, ...blocks.flatMap(({ events }) => events)].map((event) => responder.event(event)),
    responder.end(answer),
  ].join('');
  return { text, whole: JSON.parse(JSON.stringify(body(answer))) as Record<string, unknown> };
}

const responseOf = (event: ResponseEvent | undefined): Record<string, unknown> =>
  (event?.['response'] ?? {}) as Record<string, unknown>;

const itemEvents = (events: readonly ResponseEvent[], type: string): ResponseEvent[] =>
  events.filter((event) => event.type === `response.${type}`);

/** What must hold for every stream, whatever is in it. Returns its events. */
function requireWhole({ text, whole }: Streamed): ResponseEvent[] {
  const events = requireEvents(text);
  const [created, inProgress] = events;
  assert.deepEqual([created?.type, inProgress?.type], ['response.created', 'response.in_progress']);
  for (const event of [created, inProgress]) {
    assert.deepEqual(event?.['response'], {
      ...whole,
      status: 'in_progress',
      completed_at: null,
      incomplete_details: null,
      output: [],
      usage: null,
    });
  }
  const last = events.at(-1);
  assert.equal(last?.type, `response.${String(whole['status'])}`);
  assert.deepEqual(last?.['response'], whole);
  requireResponse(whole);
  const output = whole['output'] as { id: string }[];
  assert.deepEqual(
    itemEvents(events, 'output_item.done').map((event) => event['item']),
    output,
  );
  for (const event of events) {
    const index = event['output_index'] as number | undefined;
    if ('item_id' in event) assert.equal(event['item_id'], output[index ?? -1]?.id);
  }
  return events;
}

const types = (events: readonly ResponseEvent[]): string[] =>
  events.map(({ type }) => type.replace('response.', ''));

describe('a streamed response', () => {
  test('of a text has every event of the specification, in its order', () => {
    const events = requireWhole(streamed({ tools: [] }, [textBlock(0, 'hel', '', 'lo')]));
    assert.deepEqual(types(events), [
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    const item = { type: 'message', id: 'msg_abc_0', role: 'assistant' };
    const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
    const of = { item_id: 'msg_abc_0', output_index: 0, content_index: 0 };
    assert.deepEqual(
      events.slice(2, -1).map(({ type: _type, sequence_number: _number, ...fields }) => fields),
      [
        { output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
        { ...of, part },
        { ...of, delta: 'hel', logprobs: [] },
        { ...of, delta: 'lo', logprobs: [] },
        { ...of, text: 'hello', logprobs: [] },
        { ...of, part: { ...part, text: 'hello' } },
        { output_index: 0, item: { ...item, status: 'completed', content: [{ ...part, text: 'hello' }] } },
      ],
    );
  });

  test('shows thinking as a summary if the request asks for it, and carries it anyway', () => {
    const blocks = [thinkingBlock(0, 'h', 'm'), textBlock(1, 'a')];
    const shown = requireWhole(streamed({ tools: [], reasoning: { summary: 'auto' } }, blocks));
    assert.deepEqual(types(shown).slice(2, 9), [
      'output_item.added',
      'reasoning_summary_part.added',
      'reasoning_summary_text.delta',
      'reasoning_summary_text.delta',
      'reasoning_summary_text.done',
      'reasoning_summary_part.done',
      'output_item.done',
    ]);
    const hidden = requireWhole(streamed({ tools: [] }, blocks));
    assert.deepEqual(types(hidden).slice(2, 5), [
      'output_item.added',
      'output_item.done',
      'output_item.added',
    ]);
    const data = { type: 'redacted_thinking', data: 'r' };
    const redacted = [{ block: data, events: [begins(0, data), stops(0)] }, textBlock(1, 'a')];
    requireWhole(streamed({ tools: [], reasoning: { summary: 'auto' } }, redacted));
  });

  test('has the arguments of calls piece by piece, and {} for a call without any', () => {
    const events = requireWhole(
      streamed({ tools: tools.slice(0, 1) }, [
        callBlock(0, 'weather', '{"city":', '', '"Rome"}'),
        callBlock(1, 'weather'),
      ]),
    );
    const of = (type: string, field: string): unknown[] =>
      itemEvents(events, `function_call_arguments.${type}`).map((event) => [
        event['output_index'],
        event[field],
      ]);
    assert.deepEqual(of('delta', 'delta'), [
      [0, '{"city":'],
      [0, '"Rome"}'],
      [1, '{}'],
    ]);
    assert.deepEqual(of('done', 'arguments'), [
      [0, '{"city":"Rome"}'],
      [1, '{}'],
    ]);
  });

  test('has the text of a custom tool in one piece', () => {
    const { text, whole } = streamed({}, [callBlock(0, 'apply_patch', '{"input": "*** ', 'Begin\\n"}')]);
    const events = text
      .split('\n\n')
      .filter((event) => event.startsWith('event: '))
      .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)) as ResponseEvent);
    assert.deepEqual(types(events).slice(2, -1), [
      'output_item.added',
      'custom_tool_call_input.delta',
      'custom_tool_call_input.done',
      'output_item.done',
    ]);
    const item = { type: 'custom_tool_call', id: 'ctc_abc_0', call_id: 'toolu_0', name: 'apply_patch' };
    assert.deepEqual(
      [events[2]?.['item'], events[3]?.['delta'], events[4]?.['input'], events[5]?.['item']],
      [
        { ...item, input: '', status: 'in_progress' },
        '*** Begin\n',
        '*** Begin\n',
        { ...item, input: '*** Begin\n', status: 'completed' },
      ],
    );
    assert.deepEqual(events.at(-1)?.['response'], whole);
  });

  const plain = { tools: [] };

  test('has one message for texts that follow each other, with a part for each', () => {
    const events = requireWhole(
      streamed(plain, [textBlock(0, 'a'), textBlock(1), textBlock(2, 'b', 'c'), thinkingBlock(3)]),
    );
    assert.deepEqual(
      itemEvents(events, 'content_part.done').map((event) => [event['content_index'], event['part']]),
      [
        [0, { type: 'output_text', text: 'a', annotations: [], logprobs: [] }],
        [1, { type: 'output_text', text: 'bc', annotations: [], logprobs: [] }],
      ],
    );
  });

  test('that is cut off, declined or empty ends as its whole answer does', () => {
    const declined = { stopReason: 'refusal', stopDetails: { explanation: 'No.' } };
    const cases: [blocks: Played[], more: Partial<Answer>, last: string][] = [
      [[textBlock(0, 'a')], { stopReason: 'max_tokens' }, 'incomplete'],
      [[], { stopReason: 'max_tokens' }, 'incomplete'],
      [[callBlock(0, 'weather', '{"city": "Ro')], { stopReason: 'max_tokens' }, 'incomplete'],
      [[textBlock(0, 'a')], declined, 'incomplete'],
      [[], declined, 'incomplete'],
      [[], {}, 'completed'],
    ];
    for (const [blocks, more, last] of cases) {
      const events = requireWhole(streamed(plain, blocks, more));
      assert.equal(events.at(-1)?.type, `response.${last}`);
    }
    const refusals = itemEvents(requireWhole(streamed(plain, [], declined)), 'refusal.done');
    assert.deepEqual(
      refusals.map((event) => event['refusal']),
      ['No.'],
    );
  });

  test('of a summary has it in one item, without its pieces', () => {
    const input = [{ role: 'user', content: 'hi' }, { type: 'compaction_trigger' }];
    const events = requireWhole(
      streamed({ ...plain, input }, [thinkingBlock(0, 'hm'), textBlock(1, 'All ', 'well.')], {
        text: 'All well.',
      }),
    );
    assert.deepEqual(types(events), [
      'created',
      'in_progress',
      'output_item.added',
      'output_item.done',
      'completed',
    ]);
    const { type, id, encrypted_content: content } = (events[3]?.['item'] ?? {}) as Record<string, unknown>;
    assert.deepEqual(
      [type, id, unpack(content)],
      ['compaction', 'cmp_abc_0', { type: 'summary', text: 'All well.' }],
    );
    assert.throws(() => streamed({ ...plain, input }, []), { code: 'invalid_output' });
  });

  test('that fails says so in its last event, wherever it was', () => {
    const error = new RelayError('rate_limited', 'The plan is used up. Try again in 60 s.', {
      retryAfter: 60,
    });
    const failed = (...events: ModelEvent[]): ResponseEvent[] => {
      const { responder } = streamFor(plain);
      const text = events.map((event) => responder.event(event)).join('');
      return requireEvents(text + (responder.fail?.(error) ?? assert.fail('it has no end')));
    };
    const first = failed();
    assert.deepEqual(types(first), ['created', 'in_progress', 'error', 'failed']);
    const later = failed(start, ...textBlock(0, 'a').events, ...callBlock(1, 'weather', '{').events);
    for (const events of [first, later]) {
      const { status, error: reported } = responseOf(events.at(-1));
      assert.deepEqual(
        [status, reported],
        ['failed', { code: 'rate_limit_exceeded', message: error.message }],
      );
    }
    assert.equal((responseOf(later.at(-1))['output'] as object[]).length, 1);
  });
});
