/** The official OpenAI SDK against the relay with nothing changed but its base URL. The model is a script: test/sdk-smoke.test.ts asks the real CLI. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import type {
  ChatCompletion,
  ChatCompletionFunctionTool,
  ChatCompletionMessageParam,
  ChatCompletionMessageFunctionToolCall,
} from 'openai/resources';
import { z } from 'zod';
import { RelayError } from '../src/errors.ts';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { recordedMessage, recordedToolUse, recordings } from './support/recordings.ts';
import { eventually, ledgerRow, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { images, pdf } from './support/media.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { citiesAsked, structuredModel, weatherModel, weatherOf, weatherTurns } from './support/weather.ts';

const png = images.png.data;
const hi: ChatCompletionMessageParam[] = [{ role: 'user', content: 'hi' }];
const text = (text: string): object => ({ type: 'text', text });

const weatherTool: ChatCompletionFunctionTool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    },
  },
};

describe('the OpenAI SDK', () => {
  let relay: InProcessRelay;
  let client: OpenAI;
  let reply: (request: SeenRequest) => ScriptedReply;
  before(async () => {
    relay = await startInProcess({ reply: (request) => reply(request) });
    client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
  });
  after(() => relay.stop());

  const sent = (): Sent => sentBy(relay.model.requests.at(-1));

  test('gets a text with its usage, its id and its headers', async () => {
    reply = () => ({
      kind: 'text',
      text: ['  hello\n', 'there ✓ '],
      usage: {
        input_tokens: 10,
        output_tokens: 7,
        cache_read_input_tokens: 100,
        cache_creation_input_tokens: 1000,
      },
    });
    const { data, response, request_id } = await client.chat.completions
      .create({
        model: 'opus',
        messages: [
          { role: 'system', content: 'You are brief.' },
          { role: 'developer', content: [{ type: 'text', text: 'And polite.' }] },
          ...hi,
        ],
        seed: 7,
        user: 'someone',
      })
      .withResponse();
    const { id, created, model, ...rest } = data;
    assert.deepEqual(rest, {
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: '  hello\nthere ✓ ', refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 1110,
        completion_tokens: 7,
        total_tokens: 1117,
        prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 1000 },
      },
    });
    assert.equal(request_id?.replace('req_', 'chatcmpl-'), id);
    assert.ok(Math.abs(created - Date.now() / 1000) < 60);
    assert.match(model, /^claude-opus-/);
    assert.equal(response.headers.get('x-relay-ignored-params'), 'seed, user');
    assert.equal((await ledgerRow(relay, request_id ?? ''))['route'], 'chat_completions');
    assert.equal(sent().system, 'You are brief.\n\nAnd polite.');
    assert.deepEqual(sent().messages, [{ role: 'user', content: [text('hi')] }]);
  });

  test('can send what the API does not have, and reads the names in a header', async () => {
    reply = () => ({ kind: 'text', text: 'hello' });
    const cache_control = { type: 'ephemeral' };
    const messages = [
      { role: 'user', content: 'hi', cache_control },
      { role: 'assistant', content: [{ type: 'text', text: 'yes?', annotations: [] }] },
      { role: 'user', content: 'hi' },
    ] as ChatCompletionMessageParam[];
    const extra: object = { top_k: 3, größe: 1 };
    const { response } = await client.chat.completions
      .create({ model: 'opus', messages, ...extra })
      .withResponse();
    assert.equal(response.headers.get('x-relay-ignored-params'), 'messages.content.annotations, gr__e');
    const { body } = sent();
    assert.equal(body['top_k'], 3);
    assert.deepEqual(body['messages'], [
      { role: 'user', content: [{ ...text('hi'), cache_control }] },
      { role: 'assistant', content: [text('yes?')] },
      { role: 'user', content: [text('hi')] },
    ]);
  });

  test('can use the old function calling', async () => {
    reply = () => ({ kind: 'tool_use', name: 'weather', input: { city: 'Oslo' } });
    const { name, parameters = {} } = weatherTool.function;
    const asked = { model: 'opus', functions: [{ name, parameters }], function_call: { name } };
    const { choices } = await client.chat.completions.create({ ...asked, messages: hi });
    const [choice] = choices;
    assert.equal(choice?.finish_reason, 'function_call');
    assert.deepEqual(choice.message.function_call, { name, arguments: '{"city":"Oslo"}' });
    reply = () => ({ kind: 'text', text: 'It rains.' });
    const result: ChatCompletionMessageParam = { role: 'function', name, content: 'rain' };
    const next = await client.chat.completions.create({
      ...asked,
      function_call: 'auto',
      messages: [...hi, choice.message, result],
    });
    assert.equal(next.choices[0]?.message.content, 'It rains.');
    assert.deepEqual(sent().messages.at(-1)?.content, [
      { type: 'tool_result', tool_use_id: 'function_call', content: 'rain' },
    ]);
  });

  test('gets a stream with the usage at its end', async () => {
    reply = () => ({ kind: 'text', text: ['one ', 'two'], usage: { input_tokens: 5, output_tokens: 2 } });
    const stream = await client.chat.completions.create({
      model: 'opus',
      messages: hi,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(
      chunks.map(({ choices: [choice], usage }) => [
        choice?.delta,
        choice?.finish_reason,
        usage?.total_tokens,
      ]),
      [
        [{ role: 'assistant', content: '', refusal: null }, null, undefined],
        [{ content: 'one ' }, null, undefined],
        [{ content: 'two' }, null, undefined],
        [{}, 'stop', undefined],
        [undefined, undefined, 7],
      ],
    );
    assert.equal(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1);
  });

  test('gets the pieces of a stream through its helper', async () => {
    reply = () => ({ kind: 'text', text: ['one ', 'two'] });
    const pieces: string[] = [];
    const stream = client.chat.completions
      .stream({ model: 'opus', messages: hi })
      .on('content', (piece) => pieces.push(piece));
    const whole = await stream.finalChatCompletion();
    assert.deepEqual(pieces, ['one ', 'two']);
    assert.equal(whole.choices[0]?.message.content, 'one two');
    assert.equal(whole.choices[0]?.finish_reason, 'stop');
  });

  test('sends many turns and every parameter that has an effect', async () => {
    reply = () => ({ kind: 'text', text: 'four' });
    await client.chat.completions.create({
      model: 'sonnet',
      messages: [
        { role: 'system', content: 'Count.' },
        { role: 'user', content: 'one @/etc/passwd' },
        { role: 'assistant', content: 'two\n' },
        {
          role: 'user',
          content: [
            { type: 'text', text: '/cost' },
            { type: 'text', text: 'three' },
          ],
        },
        { role: 'assistant', content: [{ type: 'text', text: 'hm' }], refusal: null },
        { role: 'user', content: 'go on' },
      ],
      max_completion_tokens: 77,
      temperature: 0.25,
      stop: ['END', 'STOP'],
    });
    assert.equal(sent().system, 'Count.');
    assert.deepEqual(sent().messages, [
      { role: 'user', content: [text('one @/etc/passwd')] },
      { role: 'assistant', content: [text('two\n')] },
      { role: 'user', content: [text('/cost'), text('three')] },
      { role: 'assistant', content: [text('hm')] },
      { role: 'user', content: [text('go on')] },
    ]);
    const { body } = sent();
    assert.match(String(body['model']), /^claude-sonnet-/);
    assert.deepEqual(
      [body['max_tokens'], body['temperature'], body['stop_sequences']],
      [77, 0.25, ['END', 'STOP']],
    );
  });

  test('sends reasoning_effort as effort or disabled thinking', async () => {
    reply = () => ({ kind: 'text', text: 'x' });
    await client.chat.completions.create({ model: 'opus', messages: hi, reasoning_effort: 'low' });
    assert.deepEqual(sent().body['output_config'], { effort: 'low' });
    await client.chat.completions.create({ model: 'opus', messages: hi, reasoning_effort: 'none' });
    assert.ok(
      ['disabled', undefined].includes((sent().body['thinking'] as { type: string } | undefined)?.type),
    );
  });

  test('sends an image and a PDF', async () => {
    reply = () => ({ kind: 'text', text: 'a dot' });
    const { choices } = await client.chat.completions.create({
      model: 'opus',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is in the first?' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
            { type: 'text', text: 'And in the second?' },
            { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` } },
          ],
        },
      ],
    });
    assert.equal(choices[0]?.message.content, 'a dot');
    assert.deepEqual(sent().messages, [
      {
        role: 'user',
        content: [
          text('What is in the first?'),
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
          text('And in the second?'),
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: pdf },
            title: 'a.pdf',
          },
        ],
      },
    ]);
  });

  describe('with structured output', () => {
    const Person = z.object({ name: z.string(), age: z.number() });
    const ada = { name: 'Ada', age: 36 };

    test('parses the value of a zod schema', async () => {
      reply = (request) => structuredModel(request, ada);
      const { choices } = await client.chat.completions.parse({
        model: 'opus',
        messages: hi,
        response_format: zodResponseFormat(Person, 'person'),
      });
      assert.deepEqual(choices[0]?.message.parsed, ada);
      assert.equal(choices[0]?.finish_reason, 'stop');
    });

    test('parses the value of a streamed answer', async () => {
      reply = (request) => structuredModel(request, ada);
      const whole = await client.chat.completions
        .stream({ model: 'opus', messages: hi, response_format: zodResponseFormat(Person, 'person') })
        .finalChatCompletion();
      assert.deepEqual(whole.choices[0]?.message.parsed, ada);
    });

    test('gets an object for json_object', async () => {
      reply = (request) => structuredModel(request, { any: ['thing'] });
      const { choices } = await client.chat.completions.create({
        model: 'opus',
        messages: hi,
        response_format: { type: 'json_object' },
      });
      assert.deepEqual(JSON.parse(choices[0]?.message.content ?? ''), { any: ['thing'] });
    });

    test('gets an error for an invalid answer and does not retry', async () => {
      reply = (request) => structuredModel(request, { name: 5 });
      const retrying = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 2 });
      const asked = relay.model.requests.length;
      await assert.rejects(
        retrying.chat.completions.parse({
          model: 'opus',
          messages: hi,
          response_format: zodResponseFormat(Person, 'person'),
        }),
        (error: unknown) =>
          error instanceof InternalServerError && error.code === 'invalid_output' && error.status === 502,
      );
      assert.equal(relay.model.requests.length, asked + 1);
    });

    test('throws its own errors for an answer that was cut off or declined', async () => {
      const structured = {
        model: 'opus',
        messages: hi,
        response_format: zodResponseFormat(Person, 'person'),
      };
      const cut = recordedToolUse(0, 'toolu_1', 'structured_output', '{"name": "Jo');
      reply = () => ({ kind: 'events', events: recordedMessage('max_tokens', [cut]) });
      const { choices } = await client.chat.completions.create(structured);
      assert.deepEqual([choices[0]?.message.content, choices[0]?.finish_reason], ['{"name": "Jo', 'length']);
      await assert.rejects(client.chat.completions.parse(structured), LengthFinishReasonError);
      await assert.rejects(
        client.chat.completions.stream(structured).finalChatCompletion(),
        LengthFinishReasonError,
      );
      reply = () => ({ kind: 'events', events: recordings.refusal });
      await assert.rejects(client.chat.completions.parse(structured), ContentFilterFinishReasonError);
    });
  });

  describe('with tools', () => {
    const allTurns = weatherTurns(text('hi'));
    const ownTool = {
      name: 'weather',
      description: 'The weather of a city.',
      input_schema: weatherTool.function.parameters,
    };

    test('runs three rounds with parallel calls that are answered in another order', async () => {
      reply = weatherModel;
      const messages = [...hi];
      for (let round = 0; ; round += 1) {
        const { choices }: ChatCompletion = await client.chat.completions.create({
          model: 'opus',
          messages,
          tools: [weatherTool],
        });
        assert.deepEqual(sent().messages, allTurns.slice(0, 1 + 2 * round));
        assert.deepEqual(sent().tools, [ownTool]);
        const [choice] = choices;
        assert.ok(choice);
        messages.push(choice.message);
        const { tool_calls: calls = [] } = choice.message;
        assert.equal(choice.finish_reason, round < 3 ? 'tool_calls' : 'stop');
        if (round === 0) assert.equal(choice.message.content, 'I look.');
        if (round === 1) assert.equal(choice.message.content, null);
        if (round === 3) {
          assert.equal(choice.message.content, 'It rains.');
          assert.equal(calls.length, 0);
          break;
        }
        for (const call of calls.toReversed()) {
          assert.ok(call.type === 'function');
          const { city } = JSON.parse(call.function.arguments) as { city: string };
          messages.push({ role: 'tool', tool_call_id: call.id, content: weatherOf[city] ?? '' });
        }
      }
    });

    for (const stream of [false, true]) {
      test(`runs three rounds by runTools${stream ? ', streamed' : ''}`, async () => {
        reply = weatherModel;
        const asked: string[] = [];
        const tools = [
          zodFunction({
            name: 'weather',
            parameters: z.object({ city: z.string() }),
            function: ({ city }) => {
              asked.push(city);
              return weatherOf[city] ?? '';
            },
          }),
        ];
        const params = { model: 'opus', messages: hi, tools };
        const runner = stream
          ? client.chat.completions.runTools({ ...params, stream: true })
          : client.chat.completions.runTools(params);
        assert.equal(await runner.finalContent(), 'It rains.');
        assert.deepEqual(asked, citiesAsked);
        assert.deepEqual(sent().messages, allTurns);
      });
    }

    test('sends a strict zod tool, a required tool and one call at a time', async () => {
      reply = () => ({ kind: 'tool_use', name: 'weather', input: { city: 'Oslo' } });
      const { choices } = await client.chat.completions.parse({
        model: 'opus',
        messages: hi,
        tools: [zodFunction({ name: 'weather', parameters: z.object({ city: z.string() }) })],
        tool_choice: { type: 'function', function: { name: 'weather' } },
        parallel_tool_calls: false,
      });
      const [call] = choices[0]?.message.tool_calls ?? [];
      assert.ok(call?.type === 'function');
      assert.deepEqual(call.function.parsed_arguments, { city: 'Oslo' });
      assert.equal(sent().tools[0]?.['strict'], true);
      assert.deepEqual(sent().body['tool_choice'], {
        type: 'tool',
        name: 'weather',
        disable_parallel_tool_use: true,
      });
    });
  });

  describe('with a recorded stream', () => {
    const call = (id: string, name: string, args: string): object => ({
      id,
      type: 'function',
      function: { name, arguments: args },
    });
    const bern = call('toolu_1', 'get_weather', '{"city":"Bern"}');
    const cases: [keyof typeof recordings, string | null, string, object[]?][] = [
      ['text', 'Hello, world!', 'stop'],
      ['thinking', 'Thought over.', 'stop'],
      ['redactedThinking', 'Hidden thoughts.', 'stop'],
      ['citations', 'The grass is green.', 'stop'],
      ['toolUse', 'Let me look.', 'tool_calls', [call('toolu_1', 'get_weather', '{"city": "Zürich"}')]],
      ['parallelToolUse', null, 'tool_calls', [bern, call('toolu_2', 'get_time', '{}')]],
      ['thinkingToolUse', null, 'tool_calls', [bern]],
      ['stopSequence', 'one two ', 'stop'],
      ['maxTokens', 'cut off in the mid', 'length'],
      ['refusal', 'I cannot', 'content_filter'],
      ['pauseTurn', 'One moment.', 'length'],
      ['contextWindow', 'no more room', 'length'],
      ['unknownDelta', 'known', 'stop'],
      ['unknownBlock', 'known', 'stop'],
      ['pings', 'between pings', 'stop'],
      ['empty', '', 'stop'],
    ];
    const tools: ChatCompletionFunctionTool[] = ['get_weather', 'get_time'].map((name) => ({
      type: 'function',
      function: { name },
    }));
    for (const [name, content, finish, toolCalls] of cases) {
      test(name, async () => {
        reply = () => ({ kind: 'events', events: recordings[name] });
        const asked = relay.model.requests.length;
        const params = { model: 'opus', messages: hi, ...(toolCalls === undefined ? {} : { tools }) };
        const { choices, usage } = await client.chat.completions.create(params);
        assert.equal(choices[0]?.message.content, content);
        assert.deepEqual(choices[0]?.message.tool_calls, toolCalls);
        assert.equal(choices[0]?.finish_reason, finish);
        assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [28, 15]);

        const stream = client.chat.completions.stream({
          ...params,
          stream_options: { include_usage: true },
        });
        const whole = await stream.finalChatCompletion();
        assert.equal(whole.choices[0]?.message.content, content);
        assert.equal(whole.choices[0]?.finish_reason, finish);
        assert.deepEqual(whole.choices[0]?.message.tool_calls?.map(called), toolCalls?.map(called));
        assert.deepEqual(whole.usage, usage);
        assert.equal(relay.model.requests.length, asked + 2, 'each asked the model once');
      });
    }

    test('gets the finish reason length for a call that was cut off', async () => {
      reply = () => ({ kind: 'events', events: recordings.maxTokensInTool });
      const stream = await client.chat.completions.create({
        model: 'opus',
        messages: hi,
        tools,
        stream: true,
      });
      let args = '';
      let finish: string | null | undefined;
      for await (const { choices } of stream) {
        args += choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? '';
        finish = choices[0]?.finish_reason;
      }
      assert.deepEqual([args, finish], ['{"city": "Zü', 'length']);
    });

    test('throws the error that ends the stream', async () => {
      reply = () => ({ kind: 'events', events: recordings.errorMidStream });
      await assert.rejects(
        client.chat.completions.create({ model: 'opus', messages: hi }),
        (error: unknown) =>
          error instanceof InternalServerError &&
          error.status === 503 &&
          error.code === 'upstream_overloaded',
      );
      const stream = await client.chat.completions.create({ model: 'opus', messages: hi, stream: true });
      const pieces: unknown[] = [];
      await assert.rejects(
        async () => {
          for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content);
        },
        (error: unknown) =>
          error instanceof APIError &&
          error.code === 'upstream_overloaded' &&
          error.type === 'server_error' &&
          error.requestID?.startsWith('req_') === true,
      );
      assert.deepEqual(pieces, ['', 'half an ']);
    });
  });

  describe('throws', () => {
    beforeEach(() => {
      reply = () => ({ kind: 'text', text: 'hello' });
    });
    const ask = (options: object = {}, params: object = {}): Promise<unknown> =>
      client
        .withOptions(options)
        .chat.completions.create({ model: 'opus', messages: hi, ...params } as Parameters<
          typeof client.chat.completions.create
        >[0]);

    test('an AuthenticationError for a wrong key', async () => {
      await assert.rejects(
        ask({ apiKey: 'crk_wrong' }),
        (error: unknown) =>
          error instanceof AuthenticationError &&
          error.code === 'invalid_api_key' &&
          error.type === 'invalid_request_error' &&
          error.requestID?.startsWith('req_') === true,
      );
    });

    test('a BadRequestError with the place for an invalid request', async () => {
      for (const stream of [false, true]) {
        await assert.rejects(
          ask(
            {},
            {
              stream,
              messages: [
                {
                  role: 'user',
                  content: [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }],
                },
              ],
            },
          ),
          (error: unknown) =>
            error instanceof BadRequestError &&
            error.param === 'messages[0].content[0].image_url.url' &&
            error.message.includes('data URL'),
        );
      }
      await assert.rejects(
        ask({}, { n: 2 }),
        (error: unknown) =>
          error instanceof BadRequestError &&
          error.param === 'n' &&
          error.message === "400 'n' must be 1: a request has one answer.",
      );
    });

    test('context_length_exceeded for a prompt that is too long', async () => {
      const error = new RelayError('bad_request', 'Too long.', { reason: 'prompt_too_long' });
      reply = () => ({ kind: 'relay_error', error });
      await assert.rejects(
        ask(),
        (error: unknown) => error instanceof BadRequestError && error.code === 'context_length_exceeded',
      );
    });

    test('model_not_found for an unknown model', async () => {
      await assert.rejects(
        ask({}, { model: 'gpt-4o' }),
        (error: unknown) => error instanceof NotFoundError && error.code === 'model_not_found',
      );
    });

    test('the status 413 for a body that is too large', async () => {
      await assert.rejects(
        ask({}, { messages: [{ role: 'user', content: 'x'.repeat(2_000_000) }] }),
        (error: unknown) =>
          error instanceof APIError && error.status === 413 && error.code === 'payload_too_large',
      );
    });

    test('insufficient_quota for a used-up day, without a retry', async () => {
      const apiKey = relay.mint('daily', { dailyLimit: 1 });
      await ask({ apiKey });
      await assert.rejects(
        ask({ apiKey, maxRetries: 5 }),
        (error: unknown) =>
          error instanceof RateLimitError &&
          error.code === 'insufficient_quota' &&
          error.headers?.get('x-ratelimit-remaining-requests') === '0',
      );
      const statuses = (): unknown[] =>
        query(
          relay,
          "SELECT status FROM requests JOIN keys ON keys.id = key_id WHERE label = 'daily' ORDER BY requests.id",
        ).map((row) => row['status']);
      await eventually('both are written', () => statuses().length >= 2);
      assert.deepEqual(statuses(), [200, 429]);
    });

    test('an InternalServerError for an overload, whole and streamed', async () => {
      reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
      await assert.rejects(
        ask(),
        (error: unknown) =>
          error instanceof InternalServerError &&
          error.status === 503 &&
          error.code === 'upstream_overloaded' &&
          error.headers?.get('retry-after') === '10',
      );
      await assert.rejects(
        async () => {
          const params = { model: 'opus', messages: hi, stream: true } as const;
          for await (const chunk of await client.chat.completions.create(params)) assert.fail(chunk.id);
        },
        (error: unknown) => error instanceof InternalServerError && error.code === 'upstream_overloaded',
      );
    });

    test('the status of an unknown path and of an unknown method', async () => {
      await assert.rejects(
        client.chat.completions.retrieve('chatcmpl-1'),
        (error: unknown) => error instanceof NotFoundError && error.code === 'not_found',
      );
      await assert.rejects(
        client.chat.completions.list(),
        (error: unknown) =>
          error instanceof APIError && error.status === 405 && error.code === 'method_not_allowed',
      );
    });
  });

  describe('aborts a request', () => {
    const gone = async (route: string, clientGone: number): Promise<void> => {
      await eventually('no turn is left', () => relay.model.running() === 0);
      await eventually('the ledger says so', () => {
        const [row] = query(relay, 'SELECT * FROM requests WHERE route = ? ORDER BY id DESC LIMIT 1', route);
        return row?.['client_gone'] === clientGone;
      });
    };

    test('before the answer, which ends the turn', async () => {
      reply = () => ({ kind: 'hang', after: 'accept' });
      const controller = new AbortController();
      const asked = relay.model.requests.length;
      const pending = client.chat.completions.create(
        { model: 'opus', messages: hi },
        { signal: controller.signal },
      );
      pending.catch(() => {});
      await eventually('it asks', () => relay.model.requests.length > asked);
      controller.abort();
      await assert.rejects(pending, APIUserAbortError);
      await relay.model.requests.at(-1)?.closed;
      await gone('chat_completions', 1);
    });

    test('in the middle of a stream, which ends the turn', async () => {
      reply = () => ({ kind: 'hang', after: 'text', text: 'The answer begins' });
      const stream = await client.chat.completions.create({ model: 'opus', messages: hi, stream: true });
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'The answer begins') break;
      await relay.model.requests.at(-1)?.closed;
      await gone('chat_completions', 1);
    });
  });
});

describe('the OpenAI SDK with a retry-after', () => {
  test('retries a 429 after the time that the relay names', async () => {
    const error = new RelayError('rate_limited', 'Wait.', { limit: 'plan', retryAfter: 1 });
    const relay = await startInProcess({
      reply: (_request, index) =>
        index === 0 ? { kind: 'relay_error', error } : { kind: 'text', text: 'hello' },
    });
    try {
      const client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 1 });
      const { choices } = await client.chat.completions.create({ model: 'opus', messages: hi });
      assert.equal(choices[0]?.message.content, 'hello');
      const [first, second] = relay.model.requests;
      assert.ok(Number(second?.receivedAt) - Number(first?.receivedAt) >= 1000);
    } finally {
      await relay.stop();
    }
  });
});

/** A call, its arguments parsed. */
function called(call: object): unknown[] {
  assert.ok(isFunctionCall(call));
  return [call.id, call.function.name, JSON.parse(call.function.arguments)];
}

function isFunctionCall(call: object): call is ChatCompletionMessageFunctionToolCall {
  return 'function' in call;
}
