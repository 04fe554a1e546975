import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answer, ModelEvent } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import { WrittenJson } from '../exact-json.ts';
import type { AnswerFacts } from './dialect.ts';
import { native } from './native.ts';

const facts: AnswerFacts = { requestId: 'req_1', model: 'opus', at: 0, durationMs: 12 };
const usage = {
  input_tokens: 1,
  output_tokens: 2,
  cache_read_input_tokens: 3,
  cache_creation_input_tokens: 4,
};
const answer: Answer = {
  messageId: 'msg_1',
  content: [{ type: 'text', text: 'hi' }],
  text: 'hi',
  stopReason: 'end_turn',
  stopSequence: null,
  resolvedModel: 'claude-opus-5',
  usage,
  rawUsage: { ...usage, service_tier: 'standard' },
  costUsd: 0.5,
};
const json = {
  ok: true,
  model: 'opus',
  resolved_model: 'claude-opus-5',
  duration_ms: 12,
  result: 'hi',
  stop_reason: 'end_turn',
  usage: { ...usage, cost_usd: 0.5 },
};

function whole(request: object, given: Partial<Answer> = {}): object {
  const { responder } = native.parse({ prompt: 'x', ...request });
  return JSON.parse(JSON.stringify(responder.body({ ...answer, ...given }, facts))) as object;
}

type Sent = { type: string; [field: string]: unknown };

function streamed(request: object, events: ModelEvent[]): Sent[] {
  const responder = native.parse({ prompt: 'x', stream: true, ...request }).responder.stream(() => facts);
  const sent = events.map((event) => responder.event(event)).join('') + responder.end(answer);
  assert.ok(sent.endsWith('\n\n'));
  return sent
    .slice(0, -2)
    .split('\n\n')
    .map((frame) => {
      const [, name, data] = /^event: (\w+)\ndata: (.+)$/.exec(frame) ?? [];
      const event = JSON.parse(data ?? '') as Sent;
      assert.equal(event.type, name);
      return event;
    });
}

describe('a request to /v1/complete', () => {
  test('with a prompt alone becomes a conversation of one message', () => {
    assert.deepEqual(native.parse({ prompt: ' /x ' }).conversation, {
      system: [],
      messages: [{ role: 'user', content: [{ type: 'text', text: ' /x ' }] }],
    });
  });

  test('with every field becomes a conversation with every field', () => {
    const schema = { type: 'object' };
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
    const pdf = {
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' },
      title: 'a',
    };
    const notes = { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'n' } };
    const { conversation, ...ask } = native.parse({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
        { role: 'assistant', content: [{ type: 'text', text: 'c' }] },
        { role: 'user', content: [{ type: 'text', text: 'd' }, image, pdf, notes] },
      ],
      system: 's',
      model: 'haiku',
      effort: 'low',
      schema,
      max_tokens: 5,
      temperature: 0,
      stop: 'end',
      timeout: 7,
      stream: false,
    });
    assert.deepEqual(conversation, {
      system: ['s'],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'a' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'b' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'c' }] },
        { role: 'user', content: [{ type: 'text', text: 'd' }, image, pdf, notes] },
      ],
      effort: 'low',
      schema,
      maxTokens: 5,
      temperature: 0,
      stopSequences: ['end'],
    });
    assert.deepEqual(
      [ask.model, ask.stream, ask.async, ask.timeoutS, ask.ignored],
      ['haiku', false, false, 7, []],
    );
  });

  const refused: [body: object, message: string][] = [
    [{}, 'Field "prompt" must be a string and is required without "messages".'],
    [{ prompt: 'x', messages: [{ role: 'user', content: 'x' }] }, 'Send "prompt" or "messages", not both.'],
    [
      {
        messages: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: 'y' },
        ],
      },
      'Field "messages.1.role" must be user: the model answers the last turn.',
    ],
    [
      { prompt: 'x', schema: {}, output_format: 'text' },
      'Field "output_format" must be json with a "schema".',
    ],
    [{ prompt: 'x', stream: true, async: true }, 'Send "stream" or "async", not both.'],
    [
      { prompt: 'x', stop: ['a', 'b\ud800'] },
      'Field "stop.1" holds a lone surrogate, which is not valid Unicode text.',
    ],
    [
      { prompt: 'x', schema: { properties: { a: { description: '\udc00' } } } },
      'Field "schema.properties.a.description" holds a lone surrogate, which is not valid Unicode text.',
    ],
    [
      { prompt: 'x', schema: { properties: { '\ud800': {} } } },
      'Field "schema.properties" has a name that holds a lone surrogate, which is not valid Unicode text.',
    ],
    [{ prompt: 'x', schema: { maximum: Infinity } }, 'Field "schema.maximum" is a number that is too large.'],
  ];
  for (const [body, message] of refused) {
    test(`is refused: ${message}`, () => {
      assert.throws(() => native.parse(body), { code: 'bad_request', message });
    });
  }
});

describe('the answer of /v1/complete', () => {
  test('has the text form by default', () => {
    assert.deepEqual(whole({}), { ok: true, model: 'opus', duration_ms: 12, text: 'hi' });
    assert.deepEqual(whole({ stop: 'x' }, { stopReason: 'stop_sequence', stopSequence: 'x' }), {
      ok: true,
      model: 'opus',
      duration_ms: 12,
      text: 'hi',
      stop_reason: 'stop_sequence',
      stop_sequence: 'x',
    });
  });

  test('has the json form with output_format json', () => {
    assert.deepEqual(whole({ output_format: 'json' }), json);
    assert.equal(JSON.stringify(whole({ output_format: 'json' })), JSON.stringify(json), 'in this order');
  });

  test('has the value of a schema', () => {
    assert.deepEqual(whole({ schema: {} }, { structured: new WrittenJson('{"a":[1]}') }), {
      ...json,
      result: { a: [1] },
    });
    assert.deepEqual(whole({ schema: {} }, { structured: new WrittenJson('null') }), {
      ...json,
      result: null,
    });
  });

  test('without the value of its schema is an error', () => {
    const cut = { stopReason: 'max_tokens', text: '{"a' };
    const refusal = {
      code: 'invalid_output',
      message:
        'The answer does not satisfy the schema: the model stopped before the value was complete (max_tokens).',
    };
    assert.throws(() => whole({ schema: {} }, cut), refusal);
    const stream = native.parse({ prompt: 'x', schema: {}, stream: true }).responder.stream(() => facts);
    assert.throws(() => stream.end({ ...answer, ...cut }), refusal);
  });

  test('is streamed as start, delta and done events', () => {
    const events = [
      { type: 'message_start', message: { model: 'claude-opus-5' } },
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'h\n' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: '' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'i' } },
      { type: 'content_block_stop', index: 1 },
    ];
    const begun = [
      { type: 'start', request_id: 'req_1', model: 'opus', resolved_model: 'claude-opus-5' },
      { type: 'delta', text: 'h\n' },
      { type: 'delta', text: 'i' },
    ];
    const { result, ...rest } = json;
    assert.deepEqual(streamed({}, events), [...begun, { type: 'done', ...rest, text: result }]);
    assert.deepEqual(streamed({ output_format: 'json' }, events), [...begun, { type: 'done', ...json }]);
  });

  test('has errors of the same fields, whole and in a stream', () => {
    const error = new RelayError('rate_limited', 'Wait.', { retryAfter: 3, limit: 'key_rpm' });
    const body = {
      ok: false,
      error: 'rate_limited',
      message: 'Wait.',
      request_id: 'req_1',
      retry_after: 3,
      limit: 'key_rpm',
    };
    assert.deepEqual(native.errorBody(error, 'req_1'), body);
    assert.equal(
      native.errorEvents(error, 'req_1'),
      `event: error\ndata: ${JSON.stringify({ type: 'error', ...body })}\n\n`,
    );
  });
});

function refusal(body: unknown): string {
  let message = '';
  assert.throws(
    () => native.parse(body),
    (error) => {
      assert.ok(error instanceof RelayError && error.code === 'bad_request');
      message = error.message;
      return true;
    },
  );
  return message;
}

describe('a refused request to /v1/complete names the field', () => {
  const cases: [body: unknown, sentence: RegExp | string][] = [
    [undefined, 'The request body must be a JSON object.'],
    [null, 'The request body must be a JSON object.'],
    [[], 'The request body must be a JSON object.'],
    [{ prompt: 1 }, 'Field "prompt" must be a string.'],
    [{ prompt: '' }, 'Field "prompt" must not be empty.'],
    [{ prompt: '\n\u00a0' }, 'Field "prompt" must not be empty.'],
    [{ prompt: '\ud800' }, /^Field "prompt" holds a lone surrogate/],
    [{ prompt: 'x', system: '\udfff' }, /^Field "system" holds a lone surrogate/],
    [{ prompt: 'x\0' }, 'Field "prompt" holds a NUL character.'],
    [{ prompt: 'x', model: [] }, /^Field "model" must be a string/],
    [{ prompt: 'x', output_format: 'XML' }, 'Field "output_format" must be one of text, json.'],
    [{ prompt: 'x', nonsense: 1 }, 'Field "nonsense" is not a known field.'],
    [{ messages: [] }, 'Field "messages" must have at least 1 item.'],
    [{ messages: 'x' }, 'Field "messages" must be an array.'],
    [{ prompt: 'x', schema: 'x' }, 'Field "schema" must be an object.'],
    [{ prompt: 'x', schema: [] }, 'Field "schema" must be an object.'],
    [{ prompt: 'x', max_tokens: 1.5 }, 'Field "max_tokens" must be an integer.'],
    [{ prompt: 'x', max_tokens: 0 }, 'Field "max_tokens" must be at least 1.'],
    [{ prompt: 'x', temperature: 2 }, 'Field "temperature" must be at most 1.'],
    [{ prompt: 'x', stop: 5 }, 'Field "stop" must be a string or an array.'],
    [{ prompt: 'x', stop: '' }, 'Field "stop" must have at least 1 character.'],
    [{ prompt: 'x', stop: Array(17).fill('x') }, 'Field "stop" must have at most 16 items.'],
    [{ prompt: 'x', stream: 'yes' }, 'Field "stream" must be a boolean.'],
    [JSON.parse('{"prompt":"x","__proto__":{}}'), 'Field "__proto__" is not a known field.'],
  ];
  for (const [body, sentence] of cases) {
    test(`for the body ${JSON.stringify(body) ?? 'undefined'}`, () => {
      const said = refusal(body);
      if (typeof sentence === 'string') assert.equal(said, sentence);
      else assert.match(said, sentence);
      assert.match(said, /^[^.]+\.$/, 'one sentence');
    });
  }

  const places: [content: unknown, sentence: RegExp][] = [
    [undefined, /^Field "messages\.0\.content" is required\.$/],
    [5, /^Field "messages\.0\.content" must be a string or an array\.$/],
    ['', /^Field "messages\.0\.content" must not be empty\.$/],
    [[], /^Field "messages\.0\.content" must have at least 1 item\.$/],
    [[5], /^Field "messages\.0\.content\.0" must be an object\.$/],
    [
      [{ type: 'audio' }],
      /^Field "messages\.0\.content\.0\.type" must be one of text, image, document; "audio" is not supported\.$/,
    ],
    [[{ type: 'text', text: 'x', id: 1 }], /^Field "messages\.0\.content\.0\.id" is not a known field\.$/],
    [
      [{ type: 'image', source: { type: 'base64', media_type: 'image/bmp', data: 'AAAA' } }],
      /^Field "messages\.0\.content\.0\.source\.media_type" must be one of image\/png, image\/jpeg, image\/gif, image\/webp\.$/,
    ],
    [
      [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'A' } }],
      /^Field "messages\.0\.content\.0\.source\.data" must be base64/,
    ],
    [
      [{ type: 'image', source: { type: 'url', url: 'https://example.com/x.png' } }],
      /^Field "messages\.0\.content\.0\.source\.type" must be base64\.$/,
    ],
  ];
  for (const [content, sentence] of places) {
    test(`for the message content ${JSON.stringify(content)}`, () => {
      assert.match(refusal({ messages: [{ role: 'user', content }] }), sentence);
    });
  }

  test('and shortens a long name', () => {
    assert.ok(refusal({ prompt: 'x', ['y'.repeat(10_000)]: 1 }).length < 120);
  });
});
