/** Answers as server-sent events: what the relay sends and when, pings through a tunnel, and every early end of a stream. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { defaultTimes } from '../src/http/times.ts';
import { readEvents } from './support/events.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import { eventually, ledgerRow, query, startTestRelay } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { startTunnel } from './support/tunnel.ts';

type Relay = { url: string; key: string; dataDir: string };

const hang: ScriptedReply = { kind: 'hang', after: 'accept' };
const streamed = { prompt: 'hi', stream: true };

async function start(t: TestContext, options: InProcessOptions = {}): Promise<InProcessRelay> {
  const relay = await startInProcess(options);
  t.after(() => relay.stop());
  return relay;
}

async function onlyRow(relay: Relay): Promise<Record<string, unknown>> {
  await eventually('a row', () => query(relay, "SELECT 1 FROM requests WHERE route = 'complete'").length > 0);
  const [row] = query(relay, "SELECT request_id FROM requests WHERE route = 'complete' ORDER BY id DESC");
  return ledgerRow(relay, String(row?.['request_id']));
}

/** A client that leaves is no defect. */
function assertQuiet(log: string): void {
  assert.doesNotMatch(log, /"internal"|"defect"|aborted|^\s+at /m);
}

/** Sends a request over a new socket. */
async function send(relay: Relay, body: object): Promise<Socket> {
  const text = JSON.stringify(body);
  const { hostname, port } = new URL(relay.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(
    `POST /v1/complete HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${relay.key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}

describe('a stream', { concurrency: 2 }, () => {
  test('begins, comes in pieces and ends with the whole answer, from the real CLI', async (t) => {
    const relay = await startTestRelay({
      proof: false,
      reply: () => ({ kind: 'text', text: ['  first\n', 'second ✓ '], usage: { output_tokens: 7 } }),
    });
    t.after(() => relay.stop('SIGKILL'));
    const response = await relay.post({ ...streamed, model: 'sonnet' });
    assert.equal(response.status, 200);
    const { headers } = response;
    assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('x-accel-buffering'), 'no');
    assert.equal(headers.get('content-length'), null);
    const requestId = headers.get('request-id') ?? '';
    assert.match(requestId, /^req_/);
    assert.match(headers.get('server-timing') ?? '', /^queue;dur=/);

    const { events, whole, text } = await readEvents(response);
    assert.ok(whole);
    assert.deepEqual(
      events.map(({ event, data }) => [event, data['type']]),
      [
        ['start', 'start'],
        ['delta', 'delta'],
        ['delta', 'delta'],
        ['done', 'done'],
      ],
    );
    const [begun, first, second, done] = events.map(({ data }) => data);
    assert.equal(begun?.['request_id'], requestId);
    assert.equal(begun['model'], 'sonnet');
    assert.match(String(begun['resolved_model']), /^claude-sonnet-/);
    assert.deepEqual([first?.['text'], second?.['text']], ['  first\n', 'second ✓ ']);
    assert.deepEqual(Object.keys(done ?? {}), [
      'type',
      'ok',
      'model',
      'resolved_model',
      'duration_ms',
      'stop_reason',
      'usage',
      'text',
    ]);
    assert.equal(done?.['text'], '  first\nsecond ✓ ');
    assert.equal((done['usage'] as Record<string, unknown>)['output_tokens'], 7);

    const row = await ledgerRow(relay, requestId);
    assert.deepEqual(
      [row['status'], row['error'], row['client_gone'], row['tokens_out'], row['stop_reason']],
      [200, null, 0, 7, 'end_turn'],
    );
    assert.equal(row['bytes_out'], Buffer.byteLength(text));
    // The connection can be used again.
    assert.equal((await relay.complete({ prompt: 'hi' })).body['text'], '  first\nsecond ✓ ');
  });

  test('sends every piece when the model has said it', async (t) => {
    const words = ['one ', 'two ', 'three ', 'four ', 'five'];
    let text = '';
    const relay = await start(t, {
      // The model says nothing more until the client has what it said before.
      reply: () => ({
        kind: 'text',
        text: words,
        beforeDelta: (index) =>
          eventually('the piece before it is there', () => text.includes(words[index - 1] ?? '')),
      }),
    });
    const socket = await send(relay, streamed);
    t.after(() => socket.destroy());
    const reads: string[] = [];
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      reads.push(chunk);
      text += chunk;
    });
    await eventually('all of it is there', () => text.includes('event: done'));
    for (const word of words) {
      const read = reads.find((chunk) => chunk.includes(`"text":"${word}"}`));
      assert.equal(read?.match(/event: delta/g)?.length, 1, word);
    }
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n[\da-f]+\r\n(?:: ping\n\n\r\n8\r\n)*(?:event: start|: ping)\n/,
    );
  });

  test('ends with a result in the json form', async (t) => {
    const relay = await start(t);
    const { events } = await readEvents(await relay.post({ ...streamed, output_format: 'json' }));
    assert.equal(events.at(-1)?.data['result'], 'hello');
    assert.ok(!('text' in (events.at(-1)?.data ?? {})));
  });
});

describe('pings', { concurrency: 3 }, () => {
  const idleMs = 3000;
  const times = { pingAfterMs: 100 };
  /** So many mean a silence that the tunnel does not allow. */
  const pings = (1.2 * idleMs) / times.pingAfterMs;

  const ask = (url: string, key: string, body: object): Promise<Response> =>
    fetch(`${url}/v1/complete`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  test('come sooner by default than the strictest tunnel closes a silent connection', () => {
    assert.ok(defaultTimes.pingAfterMs < 5000);
  });

  test('keep a tunnel open while the model is silent, before its first word and between two', async (t) => {
    const heard = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const relay = await start(t, {
      overrides: { times },
      reply: async () => {
        await heard[0].promise;
        return { kind: 'text', text: ['late ', 'but whole'], beforeDelta: (index) => heard[index]?.promise };
      },
    });
    const tunnel = await startTunnel(relay.url, idleMs);
    t.after(() => tunnel.close());
    const response = await ask(tunnel.url, relay.key, streamed);
    const { events, whole } = await readEvents(response, (text) => {
      const [before = '', between] = text.split('event: delta');
      if (before.split(': ping').length > pings) heard[0].resolve();
      if (between !== undefined && between.split(': ping').length > pings) heard[1].resolve();
    });
    assert.ok(whole);
    assert.equal(events.at(-1)?.data['text'], 'late but whole');
    assert.equal(tunnel.cut(), 0);
  });

  test('are not sent in an answer that comes in one piece, which the same tunnel cuts', async (t) => {
    const relay = await start(t, { overrides: { times }, reply: () => hang });
    const tunnel = await startTunnel(relay.url, idleMs);
    t.after(() => tunnel.close());
    await assert.rejects(ask(tunnel.url, relay.key, { prompt: 'hi' }));
    assert.equal(tunnel.cut(), 1);
  });

  test('keep a tunnel open while a request waits in the queue', async (t) => {
    const { promise, resolve } = Promise.withResolvers<ScriptedReply>();
    const relay = await start(t, {
      overrides: { times },
      reply: (_request, index) => (index === 0 ? promise : { kind: 'text', text: 'at last' }),
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_TIMEOUT: '60' },
    });
    const tunnel = await startTunnel(relay.url, idleMs);
    t.after(() => tunnel.close());
    const first = relay.complete({ prompt: 'runs' });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    const waiting = await ask(tunnel.url, relay.key, streamed);
    const { events, whole } = await readEvents(waiting, (text) => {
      if (text.split(': ping').length <= pings) return;
      assert.equal(relay.model.requests.length, text.includes('event:') ? 2 : 1, 'it waits');
      resolve({ kind: 'text', text: 'done' });
    });
    assert.ok(whole);
    assert.equal(events.at(-1)?.data['text'], 'at last');
    assert.equal((await first).status, 200);
    assert.equal(tunnel.cut(), 0);
  });
});

describe('a stream that fails', { concurrency: 3 }, () => {
  test('before its first word gets a JSON error with its status', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'full' }),
    });
    const response = await relay.post(streamed);
    assert.equal(response.status, 503);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.equal(((await response.json()) as Record<string, unknown>)['error'], 'upstream_overloaded');
    for (const [body, status] of [
      [{ ...streamed, prompt: '' }, 400],
      [{ ...streamed, model: 'nonsense' }, 400],
    ] as const) {
      assert.equal((await relay.post(body)).status, status);
    }
  });

  test('in the middle ends with an error event', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'stream_error', type: 'api_error', message: 'broken', afterText: 'half a' }),
    });
    const response = await relay.post(streamed);
    assert.equal(response.status, 200);
    const { events, whole } = await readEvents(response);
    assert.ok(whole);
    assert.equal(events[1]?.data['text'], 'half a');
    const last = events.at(-1);
    assert.equal(last?.event, 'error');
    assert.deepEqual([last.data['ok'], last.data['error']], [false, 'upstream_error']);
    const requestId = response.headers.get('request-id') ?? '';
    assert.equal(last.data['request_id'], requestId);
    const row = await ledgerRow(relay, requestId);
    assert.deepEqual([row['status'], row['error'], row['client_gone']], [200, 'upstream_error', 0]);
    assert.ok(Number(row['tokens_in']) > 0);
  });

  test('after a ping ends with an error event', async (t) => {
    const times = { pingAfterMs: 50, requestTimeoutMs: 500 };
    const relay = await start(t, { reply: () => hang, overrides: { times } });
    const { events, comments } = await readEvents(await relay.post(streamed));
    assert.ok(comments > 0);
    assert.deepEqual(
      events.map(({ event, data }) => [event, data['error']]),
      [['error', 'upstream_timeout']],
    );
  });

  test('after the timeout of the request gets upstream_timeout', async (t) => {
    const relay = await start(t, { reply: () => hang });
    const response = await relay.post({ ...streamed, timeout: 1 });
    assert.equal(response.status, 504);
    assert.match(await response.text(), /"upstream_timeout"/);
    const refused = await relay.post({ prompt: 'hi', timeout: 301 });
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /\\"timeout\\" must be at most 300 \(REQ_TIMEOUT\)/);
  });
});

describe('a client', { concurrency: 3 }, () => {
  test('that leaves ends its CLI process', async (t) => {
    const relay = await startTestRelay({
      proof: false,
      reply: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
    });
    t.after(() => relay.stop('SIGKILL'));
    const socket = await send(relay, streamed);
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    await eventually('it got the first words', () => text.includes('so far'));
    assert.ok(relay.children().length > 0);
    socket.destroy();
    await eventually('its process is gone', () => relay.children().length === 0);
    const row = await onlyRow(relay);
    assert.deepEqual([row['client_gone'], row['error'], row['status']], [1, 'client_closed_request', 0]);
    assert.ok(Number(row['tokens_in']) > 0, 'what it cost is counted');
    const { stdout, stderr } = relay.output();
    assertQuiet(stdout + stderr);
  });

  test('that stops reading is dropped, and its turn ended', async (t) => {
    const piece = 'x'.repeat(16 * 1024);
    const relay = await start(t, {
      overrides: { times: { maxUnreadMs: 500 } },
      reply: () => ({ kind: 'text', text: Array<string>(4000).fill(piece), deltaDelayMs: 1 }),
      settings: { GLOBAL_CONCURRENCY: '1' },
    });
    const socket = await send(relay, streamed);
    t.after(() => socket.destroy());
    socket.pause();
    const row = await onlyRow(relay);
    await eventually('its turn has ended', () => relay.model.running() === 0);
    assert.deepEqual([row['client_gone'], row['error'], row['status']], [1, 'client_closed_request', 0]);
    assert.ok(Number(row['bytes_out']) < 32 * 1024 * 1024, 'long before the end');
    assertQuiet(relay.log());
    relay.model.say({ kind: 'text', text: 'free' });
    assert.equal((await relay.complete({ prompt: 'hi' })).body['text'], 'free');
  });
});

describe('a relay that stops', () => {
  test('waits for a stream', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const relay = await startInProcess({
      reply: () => ({
        kind: 'text',
        text: ['first ', 'last'],
        beforeDelta: (index) => (index === 0 ? undefined : promise),
      }),
    });
    const response = await relay.post(streamed);
    const reading = readEvents(response);
    const stopped = relay.stop();
    resolve();
    const { events, whole } = await reading;
    assert.ok(whole);
    assert.equal(events.at(-1)?.data['text'], 'first last');
    await stopped;
  });

  test('ends a stream that takes too long with an error event', async () => {
    const relay = await startInProcess({
      reply: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
      overrides: { times: { drainTimeoutMs: 200 } },
    });
    const response = await relay.post(streamed);
    const reading = readEvents(response);
    const stopped = relay.stop();
    const { events, whole } = await reading;
    assert.ok(whole);
    assert.deepEqual([events.at(-1)?.event, events.at(-1)?.data['error']], ['error', 'shutting_down']);
    await stopped;
  });
});
