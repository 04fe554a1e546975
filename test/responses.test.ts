/**
 * The Responses API with the official OpenAI SDK, and what the relay keeps of it. The model is a script. The specification is in
 * test/open-responses.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import OpenAI, { AuthenticationError, NotFoundError } from 'openai';
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
import {
  askResponse,
  requireEvents,
  requireResponse,
  streamResponse,
  type ResponseBody,
  type ResponseEvent,
} from './support/open-responses.ts';
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

const ask = (body: object): Promise<ResponseBody> => askResponse(relay, body);
const askStreamed = (body: object): Promise<ResponseEvent[]> => streamResponse(relay, body);

const itemOf = (events: readonly ResponseEvent[]): unknown =>
  ((events.at(-1)?.['response'] ?? {}) as ResponseBody).output[0]?.['id'];

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

  test('gets a value of a schema in a stream', async () => {
    const City = z.object({ city: z.string() });
    reply = (request) => structuredModel(request, { city: 'Oslo' });
    const format = zodTextFormat(City, 'city');
    const stream = client.responses.stream({ model: 'opus', input: 'Where?', text: { format } });
    assert.deepEqual((await stream.finalResponse()).output_parsed, { city: 'Oslo' });
  });

  test('throws an error for a wrong key at once, whole and streamed', async () => {
    const wrong = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: 'crk_wrong', maxRetries: 5 });
    const body = { model: 'opus', input: 'hi' };
    for (const ask of [
      () => wrong.responses.create(body),
      () => wrong.responses.create({ ...body, stream: true }),
      () => wrong.responses.retrieve('resp_1'),
    ]) {
      await assert.rejects(
        ask,
        (error) => error instanceof AuthenticationError && error.headers?.get('x-should-retry') === 'false',
      );
    }
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
    await assert.rejects(client.responses.retrieve('resp_unknown', { stream: true }), { status: 400 });
    await assert.rejects(client.responses.inputItems.list('resp_unknown'), { status: 404 });
    await assert.rejects(client.responses.compact({ model: 'opus', input: 'hi' }), {
      status: 404,
      message: /This relay has no \/v1\/responses\/compact\. Send an item/,
    });
    await assert.rejects(client.responses.inputTokens.count({ model: 'opus', input: 'hi' }), {
      status: 404,
      message: /count_tokens/,
    });
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
    const { status, error } = (events.at(-1)?.['response'] ?? {}) as ResponseBody;
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
