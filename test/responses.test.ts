/** The Responses API: the test cases of Open Responses and the official OpenAI SDK. The model is a script. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import OpenAI, { NotFoundError } from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import type {
  FunctionTool,
  ResponseInputItem,
  ResponseOutputItem,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { z } from 'zod';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { images, pdf } from './support/media.ts';
import { requireEvents, requireResponse, type ResponseEvent } from './support/open-responses.ts';
import { eventually, ledgerRow } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { citiesAsked, structuredModel, weatherModel, weatherOf, weatherTurns } from './support/weather.ts';

const path = '/v1/responses';
const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'Get the current weather for a location',
  parameters: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
} as const;
const message = (role: string, content: unknown): object => ({ type: 'message', role, content });
const text = (text: string): object => ({ type: 'text', text });

let relay: InProcessRelay;
let reply: (request: SeenRequest) => ScriptedReply | Promise<ScriptedReply>;
before(async () => {
  relay = await startInProcess({ reply: (request) => reply(request) });
});
after(() => relay.stop());
const sent = (): Sent => sentBy(relay.model.requests.at(-1));

type Body = { status: string; output: Record<string, unknown>[] } & Record<string, unknown>;

async function ask(body: object): Promise<Body> {
  const response = await relay.post({ model: 'opus', ...body }, { path });
  const value = (await response.json()) as Body;
  assert.equal(response.status, 200, JSON.stringify(value));
  requireResponse(value);
  return value;
}

async function askStreamed(body: object): Promise<ResponseEvent[]> {
  const response = await relay.post({ model: 'opus', stream: true, ...body }, { path });
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  return requireEvents(await response.text());
}

const itemOf = (events: readonly ResponseEvent[]): unknown =>
  ((events.at(-1)?.['response'] ?? {}) as Body).output[0]?.['id'];

describe('a test case of Open Responses:', () => {
  const hello: ScriptedReply = { kind: 'text', text: ['Hello', ' there!'] };
  const call: ScriptedReply = {
    kind: 'tool_use',
    name: 'get_weather',
    input: { location: 'San Francisco, CA' },
  };

  test('a message gets an answer', async () => {
    reply = () => hello;
    const { status, output } = await ask({ input: [message('user', 'Say hello in exactly 3 words.')] });
    assert.deepEqual([status, output.length], ['completed', 1]);
  });

  test('a stream ends with the whole response', async () => {
    reply = () => hello;
    const events = await askStreamed({ input: [message('user', 'Count from 1 to 5.')] });
    const last = events.at(-1)?.['response'] as Body;
    requireResponse(last);
    assert.equal(last.status, 'completed');
  });

  test('a system message reaches the model', async () => {
    reply = () => hello;
    const input = [message('system', 'You are a pirate.'), message('user', 'Say hello.')];
    const { status } = await ask({ input });
    assert.deepEqual([status, sent().system], ['completed', 'You are a pirate.']);
  });

  const asksWeather = { input: [message('user', "What's the weather?")], tools: [weather] };

  test('a tool is called', async () => {
    reply = () => call;
    const { output } = await ask(asksWeather);
    assert.deepEqual(
      output.map(({ type }) => type),
      ['function_call'],
    );
  });

  test('a tool is called in a stream', async () => {
    reply = () => call;
    const events = await askStreamed(asksWeather);
    const types = new Set(
      events.map(({ type, item }) => `${type} ${(item as { type: string } | undefined)?.type ?? ''}`),
    );
    for (const type of [
      'response.output_item.added function_call',
      'response.function_call_arguments.delta ',
      'response.function_call_arguments.done ',
      'response.output_item.done function_call',
    ]) {
      assert.ok(types.has(type), type);
    }
  });

  test('the output of a call is answered', async () => {
    reply = () => call;
    const first = await ask({
      input: 'Use the weather tool.',
      tools: [weather],
      tool_choice: { type: 'function', name: 'get_weather' },
    });
    const called = first.output[0] ?? {};
    reply = () => ({ kind: 'text', text: '60 °F' });
    const result = {
      type: 'function_call_output',
      call_id: called['call_id'],
      output: '{"temperature":"60F"}',
    };
    const { status } = await ask({
      input: [message('user', 'Use the weather tool.'), ...first.output, result],
      tools: [weather],
    });
    assert.equal(status, 'completed');
    assert.deepEqual(sent().messages.slice(1), [
      {
        role: 'assistant',
        content: [
          {
            type: 'tool_use',
            id: called['call_id'],
            name: 'get_weather',
            input: { location: 'San Francisco, CA' },
          },
        ],
      },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: called['call_id'], content: '{"temperature":"60F"}' }],
      },
    ]);
  });

  test('an image and a file are seen', async () => {
    reply = () => hello;
    const { status } = await ask({
      input: [
        message('user', [
          { type: 'input_text', text: 'What do you see?' },
          { type: 'input_image', image_url: `data:image/png;base64,${images.png.data}` },
          { type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` },
        ]),
      ],
    });
    assert.equal(status, 'completed');
    assert.deepEqual(
      sent().messages[0]?.content.map(({ type }) => type),
      ['text', 'image', 'document'],
    );
  });

  test('a conversation goes on', async () => {
    reply = () => hello;
    const { status } = await ask({
      input: [
        message('user', 'My name is Alice.'),
        message('assistant', 'Hello Alice!'),
        message('user', 'What is my name?'),
      ],
    });
    assert.equal(status, 'completed');
    assert.deepEqual(sent().messages, [
      { role: 'user', content: [text('My name is Alice.')] },
      { role: 'assistant', content: [text('Hello Alice!')] },
      { role: 'user', content: [text('What is my name?')] },
    ]);
  });
});

describe('the Responses API of the OpenAI SDK', () => {
  let client: OpenAI;
  before(() => {
    client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
  });

  test('gets a text, its usage and its id', async () => {
    reply = () => ({
      kind: 'text',
      text: 'hello there',
      usage: { input_tokens: 10, output_tokens: 7, cache_read_input_tokens: 100 },
    });
    const { data, response, request_id } = await client.responses
      .create({ model: 'opus', instructions: 'Be brief.', input: 'hi', store: true, user: 'u' })
      .withResponse();
    assert.equal(data.output_text, 'hello there');
    assert.deepEqual([data.usage?.input_tokens, data.usage?.total_tokens], [110, 117]);
    assert.equal(data.usage?.input_tokens_details.cached_tokens, 100);
    assert.equal(data.id, request_id?.replace('req_', 'resp_'));
    assert.equal(response.headers.get('x-relay-ignored-params'), 'store, user');
    assert.deepEqual([sent().system, sent().messages.length], ['Be brief.', 1]);
    assert.equal((await ledgerRow(relay, request_id ?? ''))['route'], 'responses');
  });

  test('streams a text, and puts the whole response together', async () => {
    reply = () => ({ kind: 'text', text: ['hel', 'lo'] });
    const stream = client.responses.stream({ model: 'opus', input: 'hi' });
    const deltas: string[] = [];
    stream.on('response.output_text.delta', ({ delta }) => deltas.push(delta));
    const final = await stream.finalResponse();
    assert.deepEqual([deltas, final.output_text, final.status], [['hel', 'lo'], 'hello', 'completed']);
  });

  test('parses an answer with a schema', async () => {
    const City = z.object({ city: z.string() });
    reply = (request) => structuredModel(request, { city: 'Oslo' });
    const response = await client.responses.parse({
      model: 'opus',
      input: 'Where?',
      text: { format: zodTextFormat(City, 'city') },
    });
    assert.deepEqual(response.output_parsed, { city: 'Oslo' });
  });

  test('carries a conversation with a tool and thinking, whole and streamed', async () => {
    const tool: FunctionTool = { ...weather, name: 'weather', strict: false };
    const thought = { type: 'thinking', thinking: 'I think.', signature: 'c2ln' } as const;
    reply = (request) => {
      const answer = weatherModel(request);
      return answer.kind === 'blocks' ? { ...answer, blocks: [thought, ...answer.blocks] } : answer;
    };
    for (const stream of [false, true]) {
      const input: ResponseInputItem[] = [{ role: 'user', content: 'Where does it rain?' }];
      const asked: unknown[] = [];
      for (;;) {
        const body = { model: 'opus', input, tools: [tool], reasoning: { summary: 'auto' as const } };
        const response = stream
          ? await client.responses.stream(body).finalResponse()
          : await client.responses.create(body);
        assert.deepEqual(response.output[0]?.type, 'reasoning');
        input.push(...(response.output as ResponseInputItem[]));
        const output: readonly ResponseOutputItem[] = response.output;
        const calls = output.filter((item) => item.type === 'function_call');
        if (calls.length === 0) {
          assert.equal(response.output_text, 'It rains.');
          break;
        }
        for (const call of calls) {
          const { city } = JSON.parse(call.arguments) as { city: string };
          asked.push(city);
          input.push({ type: 'function_call_output', call_id: call.call_id, output: weatherOf[city] ?? '' });
        }
      }
      assert.deepEqual(asked, citiesAsked);
      const turns = weatherTurns(text('Where does it rain?')).map(({ role, content }) => ({
        role,
        content: role === 'assistant' ? [thought, ...content] : content,
      }));
      assert.deepEqual(sent().messages, turns);
    }
  });

  test('runs in the background until it is asked for', async () => {
    const { promise, resolve } = Promise.withResolvers<ScriptedReply>();
    reply = () => promise;
    const begun = await client.responses.create({ model: 'opus', input: 'hi', background: true });
    assert.match(begun.status ?? '', /^(?:queued|in_progress)$/);
    assert.deepEqual([begun.background, begun.output], [true, []]);
    requireResponse(begun);
    const got = (): ReturnType<typeof client.responses.retrieve> => client.responses.retrieve(begun.id);
    await eventually('it runs', async () => (await got()).status === 'in_progress');
    const stranger = new OpenAI({
      baseURL: `${relay.url}/v1`,
      apiKey: relay.mint('stranger'),
      maxRetries: 0,
    });
    await assert.rejects(stranger.responses.retrieve(begun.id), NotFoundError);
    resolve({ kind: 'text', text: 'done' });
    await eventually('it has ended', async () => (await got()).status === 'completed');
    const ended = await got();
    requireResponse(ended);
    assert.deepEqual([ended.id, ended.background, ended.output[0]?.type], [begun.id, true, 'message']);
    assert.equal((await client.responses.cancel(begun.id)).status, 'completed');
    await client.responses.delete(begun.id);
    await assert.rejects(
      got(),
      (error) =>
        error instanceof NotFoundError && /keeps only responses with "background"/.test(error.message),
    );
  });

  test('is cancelled, fails or is deleted in the background', async () => {
    reply = () => ({ kind: 'hang', after: 'accept' });
    const background = { model: 'opus', input: 'hi', background: true } as const;
    const first = await client.responses.create(background);
    const cancelled = await client.responses.cancel(first.id);
    requireResponse(cancelled);
    assert.deepEqual([cancelled.id, cancelled.status, cancelled.error], [first.id, 'cancelled', null]);
    const second = await client.responses.create(background);
    await client.responses.delete(second.id);
    await assert.rejects(client.responses.retrieve(second.id), NotFoundError);
    reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
    const third = await client.responses.create(background);
    await eventually(
      'it failed',
      async () => (await client.responses.retrieve(third.id)).status === 'failed',
    );
    const { error } = await client.responses.retrieve(third.id);
    assert.deepEqual([error?.code], ['upstream_overloaded']);
    await eventually('no turn is left', () => relay.model.running() === 0);
  });

  test('streams a request with background, which has no effect then', async () => {
    reply = () => ({ kind: 'text', text: 'hello' });
    const { data, response } = await client.responses
      .create({ model: 'opus', input: 'hi', background: true, stream: true })
      .withResponse();
    assert.equal(response.headers.get('x-relay-ignored-params'), 'background');
    const events: ResponseStreamEvent[] = [];
    for await (const event of data) events.push(event);
    assert.equal(events.at(-1)?.type, 'response.completed');
  });

  test('gets the errors of the API', async () => {
    await assert.rejects(client.responses.create({ model: 'gpt-4o', input: 'hi' }), {
      status: 404,
      code: 'model_not_found',
    });
    await assert.rejects(
      client.responses.create({ model: 'opus', input: 'hi', previous_response_id: 'resp_1' }),
      {
        status: 400,
        param: 'previous_response_id',
      },
    );
    await assert.rejects(client.responses.retrieve('resp_unknown'), { status: 404, code: 'not_found' });
    await assert.rejects(client.responses.inputItems.list('resp_unknown'), { status: 404 });
    reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
    await assert.rejects(client.responses.create({ model: 'opus', input: 'hi', stream: true }), {
      status: 503,
      code: 'upstream_overloaded',
    });
  });
});

test('an item is referred to by the same key, unless nothing was to be stored', async () => {
  reply = () => ({ kind: 'text', text: 'Hello!' });
  for (const stream of [false, true]) {
    const id = async (body: object): Promise<unknown> =>
      stream ? itemOf(await askStreamed(body)) : (await ask(body)).output[0]?.['id'];
    const kept = await id({ input: 'hi' });
    const referring = (reference: unknown): object => ({
      input: [message('user', 'hi'), { type: 'item_reference', id: reference }, message('user', 'go on')],
    });
    await ask(referring(kept));
    assert.deepEqual(sent().messages[1], { role: 'assistant', content: [text('Hello!')] });
    const refused = async (body: object, key = relay.key): Promise<void> => {
      const response = await relay.post(body, { path, headers: { authorization: `Bearer ${key}` } });
      assert.equal(response.status, 400);
      assert.match(await response.text(), /'input\[1\]\.id' is not an item that the relay keeps/);
    };
    await refused(referring(kept), relay.mint(`other-${stream}`));
    await refused(referring(await id({ input: 'hi', store: false })));
  }
});

describe('a stream of responses', () => {
  test('that breaks ends with response.failed, also for a repeat', async () => {
    reply = () => ({ kind: 'drop', after: 'text', text: 'half an' });
    const headers = { 'idempotency-key': 'breaks' };
    const texts: string[] = [];
    for (const replayed of [null, 'true']) {
      const response = await relay.post({ model: 'opus', input: 'hi', stream: true }, { path, headers });
      assert.equal(response.headers.get('idempotent-replayed'), replayed);
      texts.push(await response.text());
    }
    const events = requireEvents(texts[0] ?? '');
    const { status, error } = (events.at(-1)?.['response'] ?? {}) as Body;
    assert.deepEqual(
      [events.at(-1)?.type, status, (error as { code: string }).code],
      ['response.failed', 'failed', 'upstream_error'],
    );
    assert.equal(texts[1], texts[0]);
  });

  test('is a job of the relay with Prefer: respond-async', async () => {
    reply = () => ({ kind: 'text', text: 'hello' });
    const response = await relay.post({ input: 'hi' }, { path, headers: { prefer: 'respond-async' } });
    assert.equal(response.status, 202);
    const { job } = (await response.json()) as { job: { id: string } };
    const other = await fetch(`${relay.url}${path}/${job.id}`, { headers: { 'x-api-key': relay.key } });
    assert.equal(other.status, 404);
    await eventually('no turn is left', () => relay.model.running() === 0);
  });
});

test('a WebSocket is refused at once with 426, which sends Codex to POST', async () => {
  const request = httpRequest(`${relay.url}${path}`, {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'I2vV65gI4KdqY3vucCm5qw==',
    },
  });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  const body = (await response.toArray()).join('');
  assert.equal(response.statusCode, 426);
  assert.match(body, /"message":"This relay has no WebSockets\. This path answers POST over HTTP\."/);
});
