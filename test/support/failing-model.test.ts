import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FailingModel, type Reply, startFailingModel } from './failing-model.ts';

const request = { model: 'claude-test', max_tokens: 10, messages: [{ role: 'user', content: 'hello' }] };
const open: FailingModel[] = [];
after(async () => {
  for (const model of open) await model.close();
});

async function modelWith(reply: Reply): Promise<FailingModel> {
  const model = await startFailingModel({ reply: () => reply });
  open.push(model);
  return model;
}

function ask(model: FailingModel, extra: object = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${model.url}/v1/messages?beta=true`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...request, ...extra }),
    ...(signal === undefined ? {} : { signal }),
  });
}

type Event = { type: string; [key: string]: unknown };

function events(stream: string): Event[] {
  return stream
    .split('\n\n')
    .filter((frame) => frame !== '')
    .map((frame) => {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/s.exec(frame) ?? [];
      const event = JSON.parse(data ?? '') as Event;
      assert.equal(event.type, name);
      return event;
    });
}

function modelOf(got: readonly Event[]): unknown {
  const message = got[0]?.['message'] as { model: string } | undefined;
  return message?.model;
}

async function streamed(reply: Reply): Promise<Event[]> {
  const response = await ask(await modelWith(reply), { stream: true });
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  return events(await response.text());
}

/** The text that was read before the connection was cut. */
async function readUntilCut(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body ?? [])
      text += decoder.decode(chunk as Uint8Array, { stream: true });
  } catch {
    return text;
  }
  throw new Error('the answer came to its end');
}

describe('answers', () => {
  test('an answer has the usage, model and stop reason of its reply', async () => {
    const got = await streamed({
      kind: 'text',
      text: 'no',
      stopReason: 'refusal',
      model: 'claude-other',
      usage: { input_tokens: 7, output_tokens: 9 },
    });
    assert.deepEqual(got.at(-2), {
      type: 'message_delta',
      delta: { stop_reason: 'refusal', stop_sequence: null },
      usage: {
        input_tokens: 7,
        output_tokens: 9,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
      },
    });
    assert.equal(modelOf(got), 'claude-other');
  });

  test('an answer with a tool use has its whole input and stops for it', async () => {
    const got = await streamed({ kind: 'tool_use', name: 'Bash', input: { command: 'true' }, text: 'so' });
    const starts = got.filter((event) => event.type === 'content_block_start');
    assert.deepEqual(
      starts.map((event) => (event['content_block'] as { type: string }).type),
      ['text', 'tool_use'],
    );
    const partial = got
      .map((event) => event['delta'] as { type: string; partial_json: string } | undefined)
      .filter((delta) => delta?.type === 'input_json_delta')
      .map((delta) => delta?.partial_json)
      .join('');
    assert.deepEqual(JSON.parse(partial), { command: 'true' });
    assert.deepEqual(got.at(-2)?.['delta'], { stop_reason: 'tool_use', stop_sequence: null });
  });

  test('an answer keeps the order of its blocks, with and without a stream', async () => {
    const model = await modelWith({
      kind: 'blocks',
      blocks: [
        { type: 'thinking', thinking: 'hm' },
        { type: 'text', text: ['a', 'b'] },
        { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { file_path: '/x' } },
      ],
    });
    const answer = (await (await ask(model)).json()) as { content: object[]; stop_reason: string };
    assert.deepEqual(answer.content.slice(1), [
      { type: 'text', text: 'ab' },
      { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { file_path: '/x' } },
    ]);
    assert.equal(answer.stop_reason, 'tool_use');
    const got = events(await (await ask(model, { stream: true })).text());
    assert.deepEqual(
      got.filter((event) => event.type === 'content_block_start').map((event) => event['index']),
      [0, 1, 2],
    );
  });
});

describe('failures', () => {
  test('an error reply has its status, body and headers', async () => {
    const response = await ask(
      await modelWith({
        kind: 'error',
        status: 429,
        type: 'rate_limit_error',
        message: 'slow',
        headers: { 'retry-after': '7' },
      }),
    );
    assert.equal(response.status, 429);
    assert.equal(response.headers.get('retry-after'), '7');
    assert.deepEqual(await response.json(), {
      type: 'error',
      error: { type: 'rate_limit_error', message: 'slow' },
    });
  });

  test('a stream_error reply fails after its text', async () => {
    const got = await streamed({
      kind: 'stream_error',
      afterText: 'so far',
      type: 'overloaded_error',
      message: 'full',
    });
    assert.deepEqual(got.at(-1), { type: 'error', error: { type: 'overloaded_error', message: 'full' } });
    assert.deepEqual(got.at(-2)?.['delta'], { type: 'text_delta', text: 'so far' });
  });

  test('a drop reply cuts the connection before anything, after the headers or in the text', async () => {
    await assert.rejects(ask(await modelWith({ kind: 'drop', after: 'accept' })));
    const headers = await ask(await modelWith({ kind: 'drop', after: 'headers' }), { stream: true });
    assert.equal(await readUntilCut(headers), '');
    const text = await ask(await modelWith({ kind: 'drop', after: 'text', text: 'half' }), {
      stream: true,
    });
    assert.ok((await readUntilCut(text)).includes('"half"'));
  });

  test('a hang reply lasts until the client leaves', async () => {
    for (const hang of ['accept', 'headers', 'text'] as const) {
      const model = await modelWith({ kind: 'hang', after: hang });
      const client = new AbortController();
      const answer = ask(model, { stream: true }, client.signal).then(readUntilCut);
      answer.catch(() => {});
      while (model.requests.length === 0) await sleep(5);
      const clientLeft = model.requests[0]?.closed.then(() => client.signal.aborted);
      client.abort();
      assert.equal(await clientLeft, true);
    }
  });

  test('a raw reply sends its bytes as they are', async () => {
    const response = await ask(
      await modelWith({
        kind: 'raw',
        status: 200,
        headers: { 'content-type': 'text/event-stream' },
        body: new Uint8Array([0xff, 0x00]),
      }),
    );
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), new Uint8Array([0xff, 0x00]));
  });
});

describe('the server', () => {
  test('a long request is shown byte for byte', async () => {
    const model = await modelWith({ kind: 'text', text: 'ok' });
    const prompt = '\u0001 ünï → \u202e 👩‍👩‍👧 '.repeat(30_000);
    await (await ask(model, { messages: [{ role: 'user', content: prompt }] })).text();
    const seen = model.requests[0];
    assert.equal(seen?.json?.messages[0]?.content, prompt);
    assert.ok(Buffer.byteLength(seen.body) > 900_000);
  });

  test('only the last requests are kept, and all are counted', async () => {
    const indexes: number[] = [];
    const model = await startFailingModel({
      keep: 2,
      reply: (_request, index) => {
        indexes.push(index);
        return { kind: 'text', text: 'ok' };
      },
    });
    open.push(model);
    for (const content of ['a', 'b', 'c'])
      await (await ask(model, { messages: [{ role: 'user', content }] })).text();
    assert.deepEqual(indexes, [0, 1, 2]);
    assert.deepEqual(
      model.requests.map((seen) => seen.json?.messages[0]?.content),
      ['b', 'c'],
    );
  });

  test('other routes are answered, and unknown ones with 404', async () => {
    const model = await modelWith({ kind: 'text', text: 'ok' });
    const models = (await (await fetch(`${model.url}/v1/models`)).json()) as { data: { id: string }[] };
    assert.ok(models.data.length > 0);
    const count = await fetch(`${model.url}/v1/messages/count_tokens`, {
      method: 'POST',
      body: JSON.stringify(request),
    });
    assert.ok(((await count.json()) as { input_tokens: number }).input_tokens > 0);
    assert.equal((await fetch(model.url, { method: 'HEAD' })).status, 404);
    assert.deepEqual(model.otherRequests, ['GET /v1/models', 'POST /v1/messages/count_tokens', 'HEAD /']);
    assert.equal(model.requests.length, 0);
  });

  test('a body that is not a Messages request is a 400', async () => {
    const model = await modelWith({ kind: 'text', text: 'ok' });
    const response = await fetch(`${model.url}/v1/messages`, { method: 'POST', body: 'nonsense' });
    assert.equal(response.status, 400);
    assert.equal(model.requests[0]?.json, undefined);
  });

  test('the reply can be changed while the model runs', async () => {
    const model = await modelWith({ kind: 'text', text: 'first' });
    model.setReply(() => ({ kind: 'text', text: 'second' }));
    assert.ok((await (await ask(model)).text()).includes('second'));
  });

  test('closing the model ends hanging and idle connections', async () => {
    const model = await startFailingModel({ reply: () => ({ kind: 'hang', after: 'text' }) });
    const { port } = new URL(model.url);
    const idle = connect(Number(port), '127.0.0.1');
    const ended = new Promise((resolve) => idle.on('close', resolve));
    idle.on('error', () => {});
    const response = await ask(model, { stream: true });
    const cut = readUntilCut(response);
    await model.close();
    await model.close();
    await Promise.all([ended, cut]);
    await assert.rejects(ask(model));
  });
});
