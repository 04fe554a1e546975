import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noTokens, type Answer, type Conversation, type ModelEvent } from '../../conversation.ts';
import { RelayError } from '../../errors.ts';
import { WrittenJson } from '../../exact-json.ts';
import type { AnswerFacts, Dialect, ParsedRequest } from '../dialect.ts';
import { taggedName } from './model-name.ts';
import { ollamaChat, ollamaGenerate } from './ollama.ts';

const hi = [{ role: 'user', content: 'hi' }];
const png = 'iVBORw0KGgo=';
const text = (value: string): object => ({ type: 'text', text: value });
const image = (type: string, data: string): object => ({
  type: 'image',
  source: { type: 'base64', media_type: type, data },
});
const call = (name: string, args: object = {}, id?: string): object => ({
  ...(id === undefined ? {} : { id }),
  function: { name, arguments: args },
});

const chat = (fields: object): ParsedRequest =>
  ollamaChat.parse({ model: 'opus:latest', messages: hi, ...fields });
const asked = (fields: object): Conversation => chat(fields).conversation;

function refusal(dialect: Dialect, body: unknown): string {
  try {
    dialect.parse(body);
  } catch (error) {
    assert.ok(error instanceof RelayError, String(error));
    assert.equal(error.code, 'bad_request');
    return error.message;
  }
  return assert.fail('it was accepted');
}

describe('a chat of Ollama', () => {
  test('streams unless it says otherwise, and its model has no tag latest', () => {
    const { conversation, model, stream, ignored } = chat({});
    assert.deepEqual(conversation, { system: [], messages: [{ role: 'user', content: [text('hi')] }] });
    assert.deepEqual([model, stream, ignored], ['opus', true, []]);
    assert.deepEqual([chat({ stream: false }).stream, chat({ stream: null }).stream], [false, true]);
    assert.deepEqual(
      ['haiku', 'a:b', '', null, undefined].map((name) => chat({ model: name }).model),
      ['haiku', 'a:b', undefined, undefined, undefined],
    );
    assert.deepEqual([taggedName('opus'), taggedName('x-v1:0')], ['opus:latest', 'x-v1:0']);
  });

  test('of Home Assistant keeps its rounds of tools, whose results have neither id nor name', () => {
    const { conversation, ignored } = chat({
      messages: [
        { role: 'system', content: 'You control a house.' },
        { role: 'user', content: 'Light and heating off.', images: null },
        {
          role: 'assistant',
          content: 'Both.',
          thinking: 'hm',
          tool_calls: [call('HassTurnOff', { name: 'light' }), call('HassTurnOff', { name: 'heating' })],
        },
        { role: 'tool', content: '{"data":1}' },
        { role: 'tool', content: '' },
      ],
      tools: [
        {
          type: 'function',
          function: { name: 'HassTurnOff', parameters: { type: 'object', properties: {} } },
        },
      ],
      stream: true,
      keep_alive: '-1s',
      options: { num_ctx: 8192 },
      think: false,
      format: null,
    });
    assert.deepEqual(conversation, {
      system: ['You control a house.'],
      messages: [
        { role: 'user', content: [text('Light and heating off.')] },
        {
          role: 'assistant',
          content: [
            text('Both.'),
            { type: 'tool_use', id: 'call', name: 'HassTurnOff', input: { name: 'light' } },
            { type: 'tool_use', id: 'call_2', name: 'HassTurnOff', input: { name: 'heating' } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'call', content: '{"data":1}' },
            { type: 'tool_result', tool_use_id: 'call_2', content: '' },
          ],
        },
      ],
      tools: [{ name: 'HassTurnOff', input_schema: { type: 'object', properties: {} } }],
      thinking: { type: 'off' },
    });
    assert.deepEqual(ignored.toSorted(), ['keep_alive', 'messages.thinking', 'options.num_ctx']);
  });

  test('matches results by id, by name and then by order', () => {
    const { messages } = asked({
      messages: [
        ...hi,
        { role: 'assistant', tool_calls: [call('a'), call('b'), call('c', {}, 'x!')] },
        { role: 'tool', tool_call_id: 'x!', content: '1', images: [png] },
        { role: 'tool', tool_name: 'b', content: '2' },
        { role: 'tool', tool_name: 'other', content: '3' },
        { role: 'tool', content: 'one too many' },
      ],
    });
    assert.deepEqual(messages.slice(2), [
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'call', content: '3' },
          { type: 'tool_result', tool_use_id: 'call_2', content: '2' },
          { type: 'tool_result', tool_use_id: 'x_', content: [image('image/png', png), text('1')] },
        ],
      },
      { role: 'user', content: [text('one too many')] },
    ]);
  });

  test('that was cut between a call and its result keeps the result as text', () => {
    const { messages } = asked({ messages: [{ role: 'tool', content: '{"data":1}' }, ...hi] });
    assert.deepEqual(messages, [
      { role: 'user', content: [text('{"data":1}')] },
      { role: 'user', content: [text('hi')] },
    ]);
  });

  test('has its images before its text, with the type of their first bytes', () => {
    const images = [png, '/9j/4AAQ', 'R0lGODlh', 'UklGRgAA', `data:image/png;base64,${png}`];
    const { messages } = asked({ messages: [{ role: 'user', content: 'look', images }] });
    assert.deepEqual(messages[0]?.content, [
      image('image/png', png),
      image('image/jpeg', '/9j/4AAQ'),
      image('image/gif', 'R0lGODlh'),
      image('image/webp', 'UklGRgAA'),
      image('image/png', png),
      text('look'),
    ]);
  });

  test('has the options, the format and the thinking of the model', () => {
    const options = {
      num_predict: 9,
      temperature: 1.5,
      top_p: 0.5,
      top_k: 7,
      stop: ['END'],
      seed: 1,
      mirostat: 0,
    };
    const { conversation, ignored } = chat({ options, format: 'json', think: 'low' });
    const { system: _system, messages: _messages, ...settings } = conversation;
    assert.deepEqual(settings, {
      maxTokens: 9,
      temperature: 1,
      topP: 0.5,
      topK: 7,
      stopSequences: ['END'],
      effort: 'low',
      schema: { type: 'object' },
    });
    assert.deepEqual(ignored, ['options.seed', 'options.mirostat', 'options.temperature']);
    const none = { num_predict: -1, top_k: 0, stop: [], temperature: null };
    assert.deepEqual(Object.keys(asked({ options: none, format: '', think: null })), ['system', 'messages']);
    assert.equal(asked({ think: true }).effort, 'high');
    assert.throws(() => chat({ format: 'xml' }), { message: "'format' must be json or a JSON Schema." });
    assert.deepEqual(asked({ format: { type: 'array' }, options: { stop: 'x' } }), {
      ...asked({}),
      schema: { type: 'array' },
      stopSequences: ['x'],
    });
  });

  test('names no ignored field that its client left at the default', () => {
    assert.deepEqual(chat({ raw: false, x: '', y: [], z: null, known: true }).ignored, ['known']);
  });

  for (const [name, fields, message] of [
    [
      'a role that it has not',
      { messages: [{ role: 'function' }] },
      /^'messages\[0\]\.role' must be one of system/,
    ],
    [
      'a blank message',
      { messages: [{ role: 'user', content: ' ' }] },
      /^'messages\[0\]\.content' must not be blank\.$/,
    ],
    ['a system message alone', { messages: [{ role: 'system', content: 'x' }] }, /^'messages' must contain/],
    [
      'an answer to continue',
      { messages: [...hi, { role: 'assistant', content: 'x' }] },
      /^'messages\[1\]' must have the role user or tool/,
    ],
    [
      'a call without a result',
      {
        messages: [
          ...hi,
          { role: 'assistant', tool_calls: [call('a'), call('b')] },
          { role: 'tool', content: '1' },
          ...hi,
        ],
      },
      /^'messages\[1\]\.tool_calls\[1\]' has no result: send a message with the role tool/,
    ],
    [
      'arguments that are text',
      { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'a', arguments: '{}' } }] }] },
      /arguments' must be an object/,
    ],
    [
      'an image of an unknown type',
      { messages: [{ role: 'user', images: [btoa('abc')] }] },
      /^'messages\[0\]\.images\[0\]' must be a PNG/,
    ],
    [
      'an image that is not base64',
      { messages: [{ role: 'user', images: ['/tmp/a.png'] }] },
      /images\[0\]' is not valid base64/,
    ],
    [
      'an image of the system',
      { messages: [{ role: 'system', images: [png] }, ...hi] },
      /^'messages\[0\]\.images' belong to/,
    ],
    [
      'a tool with an impossible name',
      { tools: [{ function: { name: 'a b' } }] },
      /^'tools\[0\]\.function\.name' must be 1 to 128/,
    ],
    [
      'two tools of one name',
      { tools: [call('a'), call('a')] },
      /^'tools\[1\]\.function\.name' is the name of another/,
    ],
    [
      'a tool whose input is no object',
      { tools: [{ function: { name: 'a', parameters: { type: 'array' } } }] },
      /parameters\.type' must be object/,
    ],
    [
      'a blank stop',
      { options: { stop: ['\n'] } },
      /^'options\.stop\[0\]' must not be blank: the model does not stop/,
    ],
    ['probabilities', { logprobs: true }, /^'logprobs' is not supported/],
    ['a lone surrogate', { messages: [{ role: 'user', content: '\ud800' }] }, /lone surrogate/],
  ] as const) {
    test(`with ${name} is refused by name`, () => {
      assert.match(refusal(ollamaChat, { messages: hi, ...fields }), message);
    });
  }
});

describe('a generate request of Ollama', () => {
  test('becomes one message, with the system prompt and images', () => {
    const { conversation, ignored, stream } = ollamaGenerate.parse({
      model: 'opus',
      prompt: 'look',
      system: 'brief',
      images: [png],
      context: [1, 2],
      raw: true,
      suffix: '',
      options: { num_predict: 5 },
    });
    assert.deepEqual(conversation, {
      system: ['brief'],
      messages: [{ role: 'user', content: [image('image/png', png), text('look')] }],
      maxTokens: 5,
    });
    assert.deepEqual([ignored, stream], [['context', 'raw'], true]);
  });

  test('that asks to fill a gap, or has a blank prompt, is refused by name', () => {
    assert.match(refusal(ollamaGenerate, { prompt: 'a', suffix: 'b' }), /^'suffix' is not supported/);
    assert.match(refusal(ollamaGenerate, { prompt: ' ' }), /^'prompt' must not be blank/);
  });
});

const facts: AnswerFacts = { requestId: 'req_1', model: 'opus', at: Date.UTC(2030, 0, 1), durationMs: 250 };
const answer: Answer = {
  messageId: 'msg_1',
  content: [{ type: 'text', text: 'Hello' }],
  text: 'Hello',
  stopReason: 'end_turn',
  stopSequence: null,
  resolvedModel: 'claude-opus-5-5',
  usage: { ...noTokens, input_tokens: 3, output_tokens: 5, cache_read_input_tokens: 10 },
  rawUsage: {},
  costUsd: 0,
};
const used = answer.content[0] ?? { type: 'text' };
const head = { model: 'opus:latest', created_at: '2030-01-01T00:00:00.250Z' };
const end = {
  done: true,
  done_reason: 'stop',
  total_duration: 250_000_000,
  load_duration: 0,
  prompt_eval_count: 13,
  prompt_eval_duration: 0,
  eval_count: 5,
  eval_duration: 250_000_000,
};

function lines(parsed: ParsedRequest, events: ModelEvent[], ended: Answer): unknown[] {
  let durationMs = 100;
  const stream = parsed.responder.stream(() => ({ ...facts, durationMs }));
  const pieces = events.map((event) => stream.event(event));
  durationMs = 250;
  const sent = [...pieces, stream.end(ended)].join('');
  assert.ok(sent.endsWith('\n') && !sent.includes('\n\n'), 'each line is one object, none is empty');
  return sent
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

const delta = (fields: object): ModelEvent => ({ type: 'content_block_delta', index: 0, delta: fields });
const events: ModelEvent[] = [
  { type: 'message_start', message: {} },
  { type: 'ping' },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  delta({ type: 'text_delta', text: 'Hel' }),
  delta({ type: 'text_delta', text: 'lo' }),
  { type: 'content_block_stop', index: 0 },
];
const began = '2030-01-01T00:00:00.100Z';
const streamedEnd = { ...end, prompt_eval_duration: 100_000_000, eval_duration: 150_000_000 };

describe('an answer of Ollama', () => {
  test('to a chat is one message with counts and nanoseconds', () => {
    assert.deepEqual(chat({}).responder.body(answer, facts), {
      ...head,
      message: { role: 'assistant', content: 'Hello' },
      ...end,
    });
  });

  test('to a generate request is text', () => {
    const parsed = ollamaGenerate.parse({ model: 'opus:latest', prompt: 'hi' });
    assert.deepEqual(parsed.responder.body(answer, facts), { ...head, response: 'Hello', ...end });
    assert.deepEqual(lines(parsed, events, answer), [
      { ...head, created_at: began, response: 'Hel', done: false },
      { ...head, created_at: began, response: 'lo', done: false },
      { ...head, response: '', ...streamedEnd },
    ]);
  });

  test('in a stream has text and thinking as they come, then whole calls, then the end', () => {
    const input = new WrittenJson('{"id":12345678901234567890}');
    const calls: Answer = {
      ...answer,
      stopReason: 'tool_use',
      content: [
        { type: 'thinking', thinking: 'hm' },
        used,
        { type: 'tool_use', id: 'toolu_1', name: 'a', input },
        { type: 'tool_use', id: 'toolu_2', name: 'b', input: new WrittenJson('{}') },
      ],
    };
    const message = (content: string, more: object = {}): object => ({
      message: { role: 'assistant', content, ...more },
    });
    assert.deepEqual(lines(chat({}), [...events, delta({ type: 'thinking_delta', thinking: 'hm' })], calls), [
      { ...head, created_at: began, ...message('Hel'), done: false },
      { ...head, created_at: began, ...message('lo'), done: false },
      { ...head, created_at: began, ...message('', { thinking: 'hm' }), done: false },
      {
        ...head,
        ...message('', {
          tool_calls: [
            {
              id: 'toolu_1',
              function: { index: 0, name: 'a', arguments: { id: Number('12345678901234567890') } },
            },
            { id: 'toolu_2', function: { index: 1, name: 'b', arguments: {} } },
          ],
        }),
        done: false,
      },
      { ...head, ...message(''), ...streamedEnd },
    ]);
    const whole = JSON.stringify(chat({}).responder.body(calls, facts));
    assert.match(whole, /"arguments":\{"id":12345678901234567890\}/, 'the digits of the model');
    assert.match(whole, /"content":"Hello","thinking":"hm","tool_calls":\[/);
  });

  test('that was cut off or refused says why it is done', () => {
    const reasonOf = (stopReason: string): unknown =>
      (chat({}).responder.body({ ...answer, stopReason }, facts) as typeof end).done_reason;
    assert.deepEqual(
      ['end_turn', 'stop_sequence', 'tool_use', 'max_tokens', 'model_context_window_exceeded', 'refusal'].map(
        reasonOf,
      ),
      ['stop', 'stop', 'stop', 'length', 'length', 'refusal'],
    );
    const refused = {
      ...answer,
      text: '',
      content: [],
      stopReason: 'refusal',
      stopDetails: { explanation: 'No.' },
    };
    assert.deepEqual(
      lines(chat({}), [], refused).map((line) => (line as { message: object }).message),
      [
        { role: 'assistant', content: 'No.' },
        { role: 'assistant', content: '' },
      ],
    );
  });

  test('to a request without a prompt loads or unloads nothing, and asks no model', () => {
    const reply = (dialect: Dialect, fields: object): unknown =>
      dialect.parse({ model: 'opus:latest', ...fields }).reply?.(facts);
    const loaded = { ...head, message: { role: 'assistant', content: '' }, done: true, done_reason: 'load' };
    assert.deepEqual(reply(ollamaChat, {}), loaded);
    assert.deepEqual(reply(ollamaChat, { messages: [], keep_alive: 0 }), {
      ...loaded,
      done_reason: 'unload',
    });
    assert.deepEqual(reply(ollamaGenerate, { prompt: '', keep_alive: -1 }), {
      ...head,
      response: '',
      done: true,
      done_reason: 'load',
    });
    assert.equal(chat({}).reply, undefined);
  });

  test('is an error in one field, whole or as the last line', () => {
    const error = new RelayError('rate_limited', 'Try later.');
    assert.deepEqual(ollamaChat.errorBody(error, 'req_1'), { error: 'Try later.' });
    assert.equal(ollamaChat.errorEvents(error, 'req_1'), '{"error":"Try later."}\n');
  });
});
