/** Answers as server-sent events: what is sent and when, through a tunnel that cuts silence, and every way in which one ends early. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { Reply } from './support/failing-model.ts';
import { readEvents } from './support/events.ts';
import { startTunnel } from './support/tunnel.ts';
import {
  clis,
  eventually,
  ledgerRow,
  query,
  sleep,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
} from './support/relay.ts';

const hang: Reply = { kind: 'hang', after: 'accept' };
const streamed = { prompt: 'hi', stream: true };

async function start(t: TestContext, options: TestRelayOptions = {}): Promise<TestRelay> {
  const relay = await startTestRelay(options);
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

async function onlyRow(relay: TestRelay): Promise<Record<string, unknown>> {
  await eventually('a row', () => query(relay, "SELECT 1 FROM requests WHERE route = 'complete'").length > 0);
  const [row] = query(relay, "SELECT request_id FROM requests WHERE route = 'complete' ORDER BY id DESC");
  return ledgerRow(relay, String(row?.['request_id']));
}

/** A client that goes is nobody's defect. */
function assertQuiet(relay: TestRelay): void {
  const { stdout, stderr } = relay.output();
  assert.doesNotMatch(stderr, /error|^\s+at /im);
  assert.doesNotMatch(stdout, /"internal"|"defect"|aborted/);
}

/** Sends a request over a socket of its own. */
async function send(relay: TestRelay, body: object): Promise<Socket> {
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
  for (const cli of clis) {
    test(`begins, comes in pieces and ends with the whole answer, on ${cli.version}`, async (t) => {
      const relay = await start(t, {
        claudeBin: cli.path,
        reply: () => ({ kind: 'text', text: ['  first\n', 'second ✓ '], usage: { output_tokens: 7 } }),
      });
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
        'text',
        'stop_reason',
        'usage',
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
  }

  test('every piece leaves by itself, when the model has said it', async (t) => {
    const words = ['one ', 'two ', 'three ', 'four ', 'five'];
    let text = '';
    const relay = await start(t, {
      // The model says nothing more until the client has what it said before.
      reply: () => ({
        kind: 'text',
        text: words,
        beforeDelta: (index) =>
          eventually('the piece before it is there', () => text.includes(words[index - 1] ?? ''), 60_000),
      }),
    });
    const socket = await send(relay, streamed);
    t.after(() => socket.destroy());
    const reads: string[] = [];
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      reads.push(chunk);
      text += chunk;
    });
    await eventually('all of it is there', () => text.includes('event: done'), 60_000);
    for (const word of words) {
      const read = reads.find((chunk) => chunk.includes(`"text":"${word}"}`));
      assert.equal(read?.match(/event: delta/g)?.length, 1, word);
    }
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n[\da-f]+\r\n(?:: ping\n\n\r\n8\r\n)*(?:event: start|: ping)\n/,
    );
  });

  test('the json form ends with a result', async (t) => {
    const relay = await start(t);
    const { events } = await readEvents(await relay.post({ ...streamed, output_format: 'json' }));
    assert.equal(events.at(-1)?.data['result'], 'hello');
    assert.ok(!('text' in (events.at(-1)?.data ?? {})));
  });
});

describe('through a tunnel that cuts after 5 s of silence', { concurrency: 3 }, () => {
  test('a model that is silent for 12 s, before its first word and between two', async (t) => {
    const relay = await start(t, {
      reply: async () => {
        await sleep(12_000);
        return { kind: 'text', text: ['late ', 'but whole'], deltaDelayMs: 12_000 };
      },
    });
    const tunnel = await startTunnel(relay.url, 5000);
    t.after(() => tunnel.close());
    const startedAt = performance.now();
    let firstAt: number | undefined;
    const response = await fetch(`${tunnel.url}/v1/complete`, {
      method: 'POST',
      headers: { 'x-api-key': relay.key, 'content-type': 'application/json' },
      body: JSON.stringify(streamed),
    });
    const { events, comments, whole } = await readEvents(response, () => (firstAt ??= performance.now()));
    assert.ok(whole);
    assert.equal(events.at(-1)?.data['text'], 'late but whole');
    assert.ok(Number(firstAt) - startedAt < 5000, 'the first ping is within 5 s');
    assert.ok(comments >= 4, `${comments} pings`);
    assert.equal(tunnel.cut(), 0);

    // The control: the same tunnel cuts an answer that comes in one piece.
    await assert.rejects(
      fetch(`${tunnel.url}/v1/complete`, {
        method: 'POST',
        headers: { 'x-api-key': relay.key, 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: 'hi' }),
      }),
    );
    assert.equal(tunnel.cut(), 1);
  });

  test('one that waits in the queue', async (t) => {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const relay = await start(t, {
      reply: (_request, index) => (index === 0 ? promise : { kind: 'text', text: 'at last' }),
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_TIMEOUT: '60' },
    });
    const tunnel = await startTunnel(relay.url, 5000);
    t.after(() => tunnel.close());
    const first = relay.complete({ prompt: 'runs' });
    await eventually('the model is asked', () => relay.model.requests.length === 1, 30_000);
    const waiting = fetch(`${tunnel.url}/v1/complete`, {
      method: 'POST',
      headers: { 'x-api-key': relay.key, 'content-type': 'application/json' },
      body: JSON.stringify(streamed),
    });
    await sleep(12_000);
    assert.equal(relay.model.requests.length, 1, 'it still waits');
    resolve({ kind: 'text', text: 'done' });
    const { events, comments, whole } = await readEvents(await waiting);
    assert.ok(whole && comments >= 2);
    assert.equal(events.at(-1)?.data['text'], 'at last');
    assert.equal((await first).status, 200);
    assert.equal(tunnel.cut(), 0);
  });
});

describe('a stream that fails', { concurrency: 3 }, () => {
  test('before its first word is an answer like any other', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'full' }),
    });
    let response = await relay.post(streamed);
    // On a busy machine the CLI may have started so late that a ping came before it. Not every time.
    for (let tries = 0; response.status === 200 && tries < 3; tries += 1) {
      assert.match(await response.text(), /^: ping\n\n/);
      response = await relay.post(streamed);
    }
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

  for (const cli of clis) {
    test(`in the middle ends with an error event, on ${cli.version}`, async (t) => {
      const relay = await start(t, {
        claudeBin: cli.path,
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
  }

  test('after a ping tells it as an event', async (t) => {
    const relay = await start(t, { reply: () => hang, settings: { REQ_TIMEOUT: '6' } });
    const { events, comments } = await readEvents(await relay.post(streamed));
    assert.ok(comments > 0);
    assert.deepEqual(
      events.map(({ event, data }) => [event, data['error']]),
      [['error', 'upstream_timeout']],
    );
  });

  test('a timeout of its own', async (t) => {
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
  for (const cli of clis) {
    test(`that leaves ends its process, on ${cli.version}`, async (t) => {
      const relay = await start(t, {
        claudeBin: cli.path,
        reply: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
        settings: { GLOBAL_CONCURRENCY: '1' },
      });
      const socket = await send(relay, streamed);
      let text = '';
      socket.on('data', (chunk) => (text += String(chunk)));
      await eventually('it was told the first words', () => text.includes('so far'), 30_000);
      assert.ok(relay.children().length > 0);
      socket.destroy();
      await eventually('its process is gone', () => relay.children().length === 0);
      const row = await onlyRow(relay);
      assert.deepEqual([row['client_gone'], row['error'], row['status']], [1, 'client_closed_request', 0]);
      assert.ok(Number(row['tokens_in']) > 0, 'what it cost is counted');
      assertQuiet(relay);
      relay.model.setReply(() => ({ kind: 'text', text: 'free' }));
      assert.equal((await relay.complete({ prompt: 'hi' })).body['text'], 'free');
    });
  }

  test('that stops reading is dropped, and its process ended', async (t) => {
    const piece = 'x'.repeat(16 * 1024);
    const relay = await start(t, {
      reply: () => ({ kind: 'text', text: Array<string>(4000).fill(piece), deltaDelayMs: 1 }),
      settings: { GLOBAL_CONCURRENCY: '1' },
    });
    const socket = await send(relay, streamed);
    t.after(() => socket.destroy());
    socket.pause();
    await eventually('the model is asked', () => relay.model.requests.length === 1, 30_000);
    await eventually('it is dropped', () => query(relay, 'SELECT 1 FROM requests').length === 1, 60_000);
    await eventually('its process is gone', () => relay.children().length === 0);
    const row = await onlyRow(relay);
    assert.deepEqual([row['client_gone'], row['error'], row['status']], [1, 'client_closed_request', 0]);
    assert.ok(Number(row['bytes_out']) < 32 * 1024 * 1024, 'long before the end');
    assertQuiet(relay);
    relay.model.setReply(() => ({ kind: 'text', text: 'free' }));
    assert.equal((await relay.complete({ prompt: 'hi' })).body['text'], 'free');
  });
});

describe('stopping the relay', { concurrency: 2 }, () => {
  test('waits for a stream', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'text', text: ['first ', 'last'], deltaDelayMs: 2000 }),
      settings: { DRAIN_TIMEOUT: '60' },
    });
    const response = await relay.post(streamed);
    const reading = readEvents(response);
    relay.process.kill('SIGTERM');
    const { events, whole } = await reading;
    assert.ok(whole);
    assert.equal(events.at(-1)?.data['text'], 'first last');
    if (relay.process.exitCode === null) await once(relay.process, 'exit');
    assert.equal(query(relay, 'SELECT status FROM requests')[0]?.['status'], 200);
  });

  test('ends one that takes too long with an event', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
      settings: { DRAIN_TIMEOUT: '1' },
    });
    const response = await relay.post(streamed);
    const reading = readEvents(response);
    relay.process.kill('SIGTERM');
    const { events, whole } = await reading;
    assert.ok(whole);
    assert.deepEqual([events.at(-1)?.event, events.at(-1)?.data['error']], ['error', 'shutting_down']);
    if (relay.process.exitCode === null) await once(relay.process, 'exit');
    assert.equal(relay.process.exitCode, 0);
  });
});
