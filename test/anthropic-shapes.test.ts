/** Shapes of the Messages API's stream, replayed by a scripted CLI: each comes out of POST /v1/messages as it went in, streamed and whole. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ApiEvent } from './support/failing-model.ts';
import { readEvents } from './support/events.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually } from './support/relay.ts';

const usage = {
  input_tokens: 25,
  cache_creation_input_tokens: 4,
  cache_read_input_tokens: 6,
  cache_creation: { ephemeral_5m_input_tokens: 4, ephemeral_1h_input_tokens: 0 },
  output_tokens: 1,
  service_tier: 'standard',
  inference_geo: 'global',
};

const start: ApiEvent = {
  type: 'message_start',
  message: {
    model: 'claude-opus-5-5-20260801',
    id: 'msg_01XFDUDYJgAACzvnptvVoYEL',
    type: 'message',
    role: 'assistant',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage,
  },
};
const ping: ApiEvent = { type: 'ping' };
const opened = (index: number, content_block: object): ApiEvent => ({
  type: 'content_block_start',
  index,
  content_block,
});
const delta = (index: number, change: object): ApiEvent => ({
  type: 'content_block_delta',
  index,
  delta: change,
});
const closed = (index: number): ApiEvent => ({ type: 'content_block_stop', index });
const text = (index: number, ...pieces: string[]): ApiEvent[] => [
  opened(index, { type: 'text', text: '' }),
  ...pieces.map((piece) => delta(index, { type: 'text_delta', text: piece })),
  closed(index),
];
const toolUse = (index: number, id: string, ...pieces: string[]): ApiEvent[] => [
  opened(index, { type: 'tool_use', id, name: 'get_weather', input: {}, caller: { type: 'direct' } }),
  ...['', ...pieces].map((partial_json) => delta(index, { type: 'input_json_delta', partial_json })),
  closed(index),
];

/** A call, or an answer by a schema, with numbers that no double holds as they are. */
function digits(request: string): ApiEvent[] {
  const wrapped = request.includes('"value":{"anyOf"');
  const name = request.includes('"structured_output"') ? 'structured_output' : 'get_weather';
  const input = '{"id":12345678901234567890,"ratio":1.0}';
  return [
    start,
    opened(0, { type: 'tool_use', id: 'toolu_1', name, input: {} }),
    delta(0, { type: 'input_json_delta', partial_json: wrapped ? `{"value":${input}}` : input }),
    closed(0),
    { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: finalUsage },
    { type: 'message_stop' },
  ];
}

type Shape = {
  events: ApiEvent[];
  content: object[];
  /** What `message_delta` tells. */
  end: { stop_reason: string; stop_sequence?: string; stop_details?: object };
};

const citation = {
  type: 'char_location',
  cited_text: 'The grass is green.',
  document_index: 0,
  document_title: 'Grass',
  start_char_index: 0,
  end_char_index: 20,
  file_id: null,
};

const shapes: Record<string, Shape> = {
  'a text with pings': {
    events: [
      opened(0, { type: 'text', text: '' }),
      ping,
      delta(0, { type: 'text_delta', text: 'Hello' }),
      ping,
      delta(0, { type: 'text_delta', text: ' 🙂\n' }),
      closed(0),
    ],
    content: [{ type: 'text', text: 'Hello 🙂\n' }],
    end: { stop_reason: 'end_turn' },
  },
  'thinking, shown and hidden': {
    events: [
      opened(0, { type: 'thinking', thinking: '', signature: '' }),
      ping,
      delta(0, { type: 'thinking_delta', thinking: '1071 = 2 * ' }),
      delta(0, { type: 'thinking_delta', thinking: '462 + 147' }),
      delta(0, { type: 'signature_delta', signature: 'EqQBCgIYAhIM1gbcDa9GJwZA2b3h' }),
      closed(0),
      opened(1, { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3pzix' }),
      closed(1),
      ...text(2, '21'),
    ],
    content: [
      { type: 'thinking', thinking: '1071 = 2 * 462 + 147', signature: 'EqQBCgIYAhIM1gbcDa9GJwZA2b3h' },
      { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3pzix' },
      { type: 'text', text: '21' },
    ],
    end: { stop_reason: 'end_turn' },
  },
  'two tools at once, their input in pieces': {
    events: [
      ...text(0, 'Okay.'),
      ...toolUse(1, 'toolu_01T1x1fJ34qAmk2tNTrN7Up6', '{"city":', ' "San', ' Francisco"', '}'),
      ...toolUse(2, 'toolu_02', '{}'),
    ],
    content: [
      { type: 'text', text: 'Okay.' },
      {
        type: 'tool_use',
        id: 'toolu_01T1x1fJ34qAmk2tNTrN7Up6',
        name: 'get_weather',
        input: { city: 'San Francisco' },
        caller: { type: 'direct' },
      },
      { type: 'tool_use', id: 'toolu_02', name: 'get_weather', input: {}, caller: { type: 'direct' } },
    ],
    end: { stop_reason: 'tool_use' },
  },
  'a text with citations': {
    events: [
      opened(0, { type: 'text', text: '', citations: [] }),
      delta(0, { type: 'citations_delta', citation }),
      delta(0, { type: 'text_delta', text: 'It is green' }),
      closed(0),
      ...text(1, '.'),
    ],
    content: [
      { type: 'text', text: 'It is green', citations: [citation] },
      { type: 'text', text: '.' },
    ],
    end: { stop_reason: 'end_turn' },
  },
  'a refusal in the middle': {
    events: text(0, 'First you'),
    content: [{ type: 'text', text: 'First you' }],
    end: { stop_reason: 'refusal', stop_details: { type: 'refusal', category: 'cyber', explanation: 'No.' } },
  },
  'a turn that pauses': {
    events: [...text(0, 'I look it up.')],
    content: [{ type: 'text', text: 'I look it up.' }],
    end: { stop_reason: 'pause_turn' },
  },
  'an answer that is too long': {
    events: text(0, 'And so on and'),
    content: [{ type: 'text', text: 'And so on and' }],
    end: { stop_reason: 'max_tokens' },
  },
  'a context that is full': {
    events: text(0, 'And'),
    content: [{ type: 'text', text: 'And' }],
    end: { stop_reason: 'model_context_window_exceeded' },
  },
  'a stop sequence': {
    events: text(0, 'One, two'),
    content: [{ type: 'text', text: 'One, two' }],
    end: { stop_reason: 'stop_sequence', stop_sequence: 'three' },
  },
};

const finalUsage = {
  input_tokens: 25,
  cache_creation_input_tokens: 4,
  cache_read_input_tokens: 6,
  output_tokens: 15,
  output_tokens_details: { thinking_tokens: 3 },
};

describe('a shape of the Messages API', () => {
  let relay: InProcessRelay;
  const asked = (name: string, stream: boolean): Promise<Response> =>
    relay.post(
      {
        model: 'opus',
        max_tokens: 1000,
        stream,
        stop_sequences: ['three'],
        tools: [{ name: 'get_weather', input_schema: { type: 'object' } }],
        messages: [{ role: 'user', content: `${name}, ${stream ? 'streamed' : 'whole'}` }],
      },
      { path: '/v1/messages' },
    );
  before(async () => {
    relay = await startInProcess({
      reply: ({ body }) => {
        if (body.includes('"digits"')) return { kind: 'events', events: digits(body) };
        const name = Object.keys(shapes).find((each) => body.includes(each));
        const shape = name === undefined ? undefined : shapes[name];
        if (shape === undefined)
          return {
            kind: 'events',
            events: [
              start,
              ping,
              ...text(0, 'It begins').slice(0, -1),
              { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
            ],
          };
        const { stop_sequence = null, ...end } = shape.end;
        const last = { type: 'message_delta', delta: { stop_sequence, ...end }, usage: finalUsage };
        return { kind: 'events', events: [start, ...shape.events, last, { type: 'message_stop' }] };
      },
    });
  });
  after(() => relay.stop());

  for (const [name, shape] of Object.entries(shapes)) {
    test(`comes out of a stream unchanged: ${name}`, async () => {
      const response = await asked(name, true);
      assert.equal(response.status, 200);
      const { events, whole } = await readEvents(response);
      assert.ok(whole);
      assert.ok(events.every(({ event, data }) => event === data['type']));
      const passed = events.map(({ data }) => data);
      assert.deepEqual(passed.slice(0, -2), [start, ...shape.events.filter(({ type }) => type !== 'ping')]);
      assert.deepEqual(passed.slice(-2), [
        {
          type: 'message_delta',
          delta: { stop_sequence: null, stop_details: null, container: null, ...shape.end },
          usage: finalUsage,
        },
        { type: 'message_stop' },
      ]);
    });

    test(`comes out of a whole answer unchanged: ${name}`, async () => {
      const response = await asked(name, false);
      const prompt = `${name}, whole`;
      assert.equal(relay.model.requests.filter(({ body }) => body.includes(prompt)).length, 1);
      const body = (await response.json()) as Record<string, unknown>;
      assert.equal(response.status, 200, JSON.stringify(body));
      assert.deepEqual(body['content'], shape.content);
      const { id, model, type, role, stop_reason, stop_sequence, stop_details } = body;
      assert.deepEqual(
        { id, model, type, role, stop_reason, stop_sequence, stop_details },
        {
          id: 'msg_01XFDUDYJgAACzvnptvVoYEL',
          model: 'claude-opus-5-5-20260801',
          type: 'message',
          role: 'assistant',
          stop_sequence: null,
          stop_details: null,
          ...shape.end,
        },
      );
      assert.deepEqual(body['usage'], { ...usage, ...finalUsage });
    });
  }

  test('keeps every digit of a number, on every route', async () => {
    const input = '{"id":12345678901234567890,"ratio":1.0}';
    const schema = { type: 'object', properties: { id: { type: 'integer' } } };
    const messages = [{ role: 'user', content: 'digits' }];
    const cases: [string, object, string][] = [
      [
        '/v1/messages',
        { max_tokens: 9, messages, tools: [{ name: 'get_weather', input_schema: { type: 'object' } }] },
        `"input":${input}`,
      ],
      [
        '/v1/chat/completions',
        { messages, tools: [{ type: 'function', function: { name: 'get_weather' } }] },
        `"arguments":${JSON.stringify(input)}`,
      ],
      ['/v1/complete', { messages, schema }, `"result":${input}`],
      ['/v1/complete', { messages, schema: { anyOf: [schema] } }, `"result":${input}`],
    ];
    for (const [path, fields, expected] of cases) {
      const body = { model: 'opus', ...fields };
      const whole = await relay.post(body, { path });
      assert.ok((await whole.text()).includes(expected), expected);
      const accepted = await relay.post(body, { path, headers: { prefer: 'respond-async' } });
      const url = relay.url + (accepted.headers.get('location') ?? '');
      let told = '';
      await eventually('the job is done', async () => {
        told = await (await fetch(url, { headers: { 'x-api-key': relay.key } })).text();
        return told.includes('"status":"done"');
      });
      assert.ok(told.includes(expected), told);
    }
  });

  test('that ends with an error event ends with it on the route, too', async () => {
    const { events } = await readEvents(await asked('no shape', true));
    assert.deepEqual(
      events.map(({ event }) => event),
      ['message_start', 'content_block_start', 'content_block_delta', 'error'],
    );
    const { type, error, request_id: id } = events.at(-1)?.data ?? {};
    assert.equal(type, 'error');
    assert.equal((error as { type: string }).type, 'overloaded_error');
    assert.match(String(id), /^req_/);
    const whole = await asked('no shape', false);
    assert.equal(whole.status, 529);
    assert.equal(((await whole.json()) as { error: { type: string } }).error.type, 'overloaded_error');
  });
});
