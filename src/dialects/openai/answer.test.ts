import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answer, ModelEvent } from '../../conversation.ts';
import type { AnswerFacts } from '../dialect.ts';
import { openai } from './openai.ts';

const facts: AnswerFacts = { requestId: 'req_abc', model: 'opus', at: 1_700_000_000_900, durationMs: 5 };
const usage = {
  input_tokens: 10,
  output_tokens: 7,
  cache_read_input_tokens: 200,
  cache_creation_input_tokens: 3000,
};
const chatUsage = {
  prompt_tokens: 3210,
  completion_tokens: 7,
  total_tokens: 3217,
  prompt_tokens_details: { cached_tokens: 200, cache_write_tokens: 3000 },
};

function answer(content: Answer['content'], stopReason = 'end_turn'): Answer {
  const text = content.map((block) => (block.type === 'text' ? String(block['text']) : '')).join('');
  return {
    messageId: 'msg_1',
    content,
    text,
    stopReason,
    stopSequence: null,
    resolvedModel: 'claude-opus-5-5',
    usage,
    rawUsage: usage,
    costUsd: null,
  };
}

const { responder } = openai.parse({ messages: [{ role: 'user', content: 'hi' }] });
const { responder: responderWithUsage } = openai.parse({
  messages: [{ role: 'user', content: 'hi' }],
  stream_options: { include_usage: true },
});

const thinking = { type: 'thinking', thinking: 'hm', signature: 'x' };
const cited = { type: 'text', text: 'b', citations: [{ type: 'char_location', cited_text: 'c' }] };
const call = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } };
const emptyCall = { type: 'tool_use', id: 'toolu_2', name: 'time', input: {} };
const calls = [
  { id: 'toolu_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
  { id: 'toolu_2', type: 'function', function: { name: 'time', arguments: '{}' } },
];

describe('a chat completion', () => {
  test('of a text has every field of the API', () => {
    assert.deepEqual(responder.body(answer([thinking, { type: 'text', text: 'a' }, cited]), facts), {
      id: 'chatcmpl-abc',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'claude-opus-5-5',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'ab', refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: chatUsage,
    });
  });

  const cases: [string, Answer['content'], string, string | null, string, object[] | undefined][] = [
    ['calls alone', [thinking, call, emptyCall], 'tool_use', null, 'tool_calls', calls],
    [
      'text and calls',
      [{ type: 'text', text: 'so' }, call, emptyCall],
      'tool_use',
      'so',
      'tool_calls',
      calls,
    ],
    ['nothing', [], 'end_turn', '', 'stop', undefined],
    ['a stop sequence', [{ type: 'text', text: 'x' }], 'stop_sequence', 'x', 'stop', undefined],
    ['max_tokens', [{ type: 'text', text: 'x' }], 'max_tokens', 'x', 'length', undefined],
    [
      'a full window',
      [{ type: 'text', text: 'x' }],
      'model_context_window_exceeded',
      'x',
      'length',
      undefined,
    ],
    ['a pause', [{ type: 'text', text: 'x' }], 'pause_turn', 'x', 'length', undefined],
    ['a refusal', [], 'refusal', null, 'content_filter', undefined],
    ['a refusal in the middle', [{ type: 'text', text: 'x' }], 'refusal', 'x', 'content_filter', undefined],
    ['what is not known yet', [{ type: 'text', text: 'x' }], 'new_reason', 'x', 'stop', undefined],
  ];
  for (const [name, content, stopReason, text, finish, toolCalls] of cases) {
    test(`of ${name} has the content, the calls and the finish reason of the API`, () => {
      const { choices } = responder.body(answer(content, stopReason), facts) as {
        choices: [{ message: Record<string, unknown>; finish_reason: string }];
      };
      assert.deepEqual([choices[0].message['content'], choices[0].finish_reason], [text, finish]);
      assert.deepEqual(choices[0].message['tool_calls'], toolCalls);
    });
  }
});

const { responder: responderWithFunctions } = openai.parse({
  messages: [{ role: 'user', content: 'hi' }],
  functions: [{ name: 'weather' }],
});

test('a chat completion for a request with functions has a function_call', () => {
  const { choices } = responderWithFunctions.body(answer([call], 'tool_use'), facts) as {
    choices: [{ message: object; finish_reason: string }];
  };
  assert.deepEqual(choices[0].message, {
    role: 'assistant',
    content: null,
    refusal: null,
    annotations: [],
    function_call: calls[0]?.function,
  });
  assert.equal(choices[0].finish_reason, 'function_call');
});

describe('a streamed chat completion', () => {
  const start: ModelEvent = { type: 'message_start', message: { id: 'msg_1', model: 'claude-opus-5-5' } };
  const open = (index: number, block: object): ModelEvent => ({
    type: 'content_block_start',
    index,
    content_block: block,
  });
  const delta = (index: number, delta: object): ModelEvent => ({ type: 'content_block_delta', index, delta });
  const stop = (index: number): ModelEvent => ({ type: 'content_block_stop', index });

  /** What was sent, each event's data parsed. */
  function stream(events: ModelEvent[], end: Answer, of = responder): unknown[] {
    const speaking = of.stream(() => facts);
    const sent = events.map((event) => speaking.event(event)).join('') + speaking.end(end);
    assert.ok(sent.endsWith('data: [DONE]\n\n'));
    return sent
      .split('\n\n')
      .slice(0, -2)
      .map((frame) => JSON.parse(frame.replace(/^data: /, '')) as unknown);
  }
  const chunk = (delta: object, finish: string | null = null, more: object = {}): object => ({
    id: 'chatcmpl-abc',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'claude-opus-5-5',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...more,
  });
  const text = [
    start,
    open(0, { type: 'thinking', thinking: '', signature: '' }),
    delta(0, { type: 'thinking_delta', thinking: 'hm' }),
    delta(0, { type: 'signature_delta', signature: 'x' }),
    stop(0),
    open(1, { type: 'text', text: '' }),
    delta(1, { type: 'text_delta', text: 'a' }),
    delta(1, { type: 'citations_delta', citation: {} }),
    stop(1),
    open(2, { type: 'text', text: 'b' }),
    delta(2, { type: 'text_delta', text: '' }),
    stop(2),
  ];

  test('of a text sends the role, the pieces, the finish reason and [DONE]', () => {
    assert.deepEqual(stream(text, answer([thinking, { type: 'text', text: 'a' }, cited])), [
      chunk({ role: 'assistant', content: '', refusal: null }),
      chunk({ content: 'a' }),
      chunk({ content: 'b' }),
      chunk({}, 'stop'),
    ]);
  });

  test('with include_usage sends null in each chunk, and one more chunk with the usage', () => {
    const chunks = stream(text, answer([]), responderWithUsage) as { usage: unknown; choices: unknown[] }[];
    assert.deepEqual(
      chunks.slice(0, -1).map((chunk) => chunk.usage),
      [null, null, null, null],
    );
    assert.deepEqual(chunks.at(-1), {
      ...chunk({}),
      choices: [],
      usage: chatUsage,
    });
  });

  test('of calls sends index, id and name first, then the pieces of the arguments', () => {
    const events = [
      start,
      open(0, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }),
      delta(0, { type: 'input_json_delta', partial_json: '' }),
      delta(0, { type: 'input_json_delta', partial_json: '{"city":' }),
      delta(0, { type: 'input_json_delta', partial_json: '"Oslo"}' }),
      stop(0),
      open(1, { type: 'tool_use', id: 'toolu_2', name: 'time', input: {} }),
      stop(1),
    ];
    const piece = (index: number, args: string): object =>
      chunk({ tool_calls: [{ index, function: { arguments: args } }] });
    const opening = (index: number, id: string, name: string): object =>
      chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] });
    assert.deepEqual(stream(events, answer([call, emptyCall], 'tool_use')), [
      chunk({ role: 'assistant', content: null, refusal: null }),
      opening(0, 'toolu_1', 'weather'),
      piece(0, '{"city":'),
      piece(0, '"Oslo"}'),
      opening(1, 'toolu_2', 'time'),
      piece(1, '{}'),
      chunk({}, 'tool_calls'),
    ]);
  });

  test('for a request with functions sends a function_call', () => {
    const events = [
      start,
      open(0, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }),
      delta(0, { type: 'input_json_delta', partial_json: '{"city":"Oslo"}' }),
      stop(0),
    ];
    assert.deepEqual(stream(events, answer([call], 'tool_use'), responderWithFunctions), [
      chunk({ role: 'assistant', content: null, refusal: null }),
      chunk({ function_call: { name: 'weather', arguments: '' } }),
      chunk({ function_call: { arguments: '{"city":"Oslo"}' } }),
      chunk({}, 'function_call'),
    ]);
  });

  test('sends text before calls, and omits a block that this API does not have', () => {
    const events = [
      start,
      open(0, { type: 'text', text: '' }),
      delta(0, { type: 'text_delta', text: 'so' }),
      stop(0),
      open(1, { type: 'server_tool_use', id: 'srvtoolu_1', name: 'x', input: {} }),
      delta(1, { type: 'input_json_delta', partial_json: '{}' }),
      stop(1),
      open(2, { type: 'tool_use', id: 'toolu_2', name: 'time', input: {} }),
      stop(2),
      { type: 'new_event' },
    ];
    const deltas = stream(events, answer([emptyCall], 'tool_use')).map(
      (chunk) => (chunk as { choices: [{ delta: object }] }).choices[0].delta,
    );
    assert.deepEqual(deltas, [
      { role: 'assistant', content: '', refusal: null },
      { content: 'so' },
      {
        tool_calls: [
          { index: 0, id: 'toolu_2', type: 'function', function: { name: 'time', arguments: '' } },
        ],
      },
      { tool_calls: [{ index: 0, function: { arguments: '{}' } }] },
      {},
    ]);
  });

  test('of a refusal without text has null content', () => {
    assert.deepEqual(stream([start], answer([], 'refusal')), [
      chunk({ role: 'assistant', content: null, refusal: null }),
      chunk({}, 'content_filter'),
    ]);
  });

  test('of a refusal has its explanation, whole and streamed', () => {
    const stopDetails = { type: 'refusal', category: 'bio', explanation: 'It could do harm.' };
    const refused = { ...answer([], 'refusal'), stopDetails };
    const whole = responder.body(refused, facts) as { choices: [{ message: { refusal: unknown } }] };
    assert.equal(whole.choices[0].message.refusal, 'It could do harm.');
    assert.deepEqual(stream([start], refused).slice(1), [
      chunk({ refusal: 'It could do harm.' }),
      chunk({}, 'content_filter'),
    ]);
  });
});
