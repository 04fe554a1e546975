/** Our own clients when something is wrong: with the URL, the key, the way there, the relay's room, or the connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Reply } from '../src/standin/reply.ts';
import { clientRuntimes, installPackage } from './support/clients.ts';
import { startCuttingProxy, type CuttingProxy } from './support/cutting-proxy.ts';
import { eventually, query, startTestRelay, type TestRelay } from './support/relay.ts';

const project = mkdtempSync(join(tmpdir(), 'relay-clients-'));
const runtimes = clientRuntimes(project);
const hello: Reply = { kind: 'text', text: ['hel', 'lo'] };
const options = { prompt: 'hi' };
let relay: TestRelay;
let proxy: CuttingProxy;

before(async () => {
  installPackage(project);
  // One process, and one place to wait for it: a third request is refused.
  relay = await startTestRelay({
    keep: 1000,
    settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '1', FETCH_RPM: '1' },
  });
  proxy = await startCuttingProxy(relay.url);
});
after(async () => {
  await proxy.close();
  await relay.stop();
  rmSync(project, { recursive: true, force: true });
});

/** What is not a relay, or stands in front of one. Resolves to its URL. */
async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume().on('end', () => answer(request, response, requests.length));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

function page(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/html', ...headers }).end('<h1>Something else</h1>');
}

const doneEvent = {
  type: 'done',
  ok: true,
  model: 'opus',
  resolved_model: 'claude-opus-5-5',
  duration_ms: 1,
  result: 'hello',
  stop_reason: 'end_turn',
  usage: {},
};

for (const { name, run } of runtimes) {
  describe(name, () => {
    const label = name.replaceAll(/\W+/g, '-');
    const at = (url: string, more: { maxRetries?: number; maxRetryWaitMs?: number } = {}) => ({
      client: { url, key: relay.key, ...more },
      options,
    });

    test('no URL, no key, or what is none: it says what to set', async () => {
      const key = 'crk_x';
      for (const [env, says] of [
        [{ CLAUDE_RELAY_KEY: key }, /No URL .* Set CLAUDE_RELAY_URL .*http:\/\/127\.0\.0\.1:8799/],
        [{ CLAUDE_RELAY_URL: 'localhost:8799', CLAUDE_RELAY_KEY: key }, /"localhost:8799" is not an http/],
        [{ CLAUDE_RELAY_URL: 'http://', CLAUDE_RELAY_KEY: key }, /"http:\/\/" is not a/],
        [{ CLAUDE_RELAY_URL: 'http://a:b@host', CLAUDE_RELAY_KEY: key }, /no user name and no password/],
        [{ CLAUDE_RELAY_URL: relay.url }, /No key .*bin\/genkey .*CLAUDE_RELAY_KEY/],
        [{ CLAUDE_RELAY_URL: relay.url, CLAUDE_RELAY_KEY: 'two\nlines' }, /The key is none/],
      ] as const) {
        const { error } = await run({ call: 'complete', options }, env).outcome;
        assert.equal(error?.code, 'bad_config');
        assert.match(error.message, says);
      }
    });

    test('the relay is down: it says where it looked', async (t) => {
      const { url } = await serve(t, () => {});
      const closed = createServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const down = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
      closed.close();
      await once(closed, 'close');
      assert.notEqual(url, down);
      for (const call of ['complete', 'stream', 'models'] as const) {
        const asked = { ...at(down, { maxRetries: 0 }), ...(call === 'models' ? { options: {} } : {}) };
        const { error } = await run({ call, ...asked }).outcome;
        assert.equal(error?.code, 'connection_failed');
        assert.ok(error.message.includes(down));
        assert.match(error.message, /Is it running, and is CLAUDE_RELAY_URL its URL\?/);
      }
    });

    test('something else is there: it says so, and sends the key nowhere else', async (t) => {
      const other = await serve(t, (_request, response) => page(response, 200));
      const site = await serve(t, (_request, response, count) => {
        if (count === 1) page(response, 404);
        else if (count === 2) page(response, 307, { location: `${other.url}/v1/complete` });
        else page(response, 200);
      });
      for (const says of [
        /answered 404/,
        /It redirects to http.* set CLAUDE_RELAY_URL to that/,
        /answered 200/,
      ]) {
        const { error } = await run({ call: 'complete', ...at(site.url) }).outcome;
        assert.equal(error?.code, 'not_a_relay');
        assert.match(error.message, /not as a claude-relay does/);
        assert.match(error.message, says);
      }
      assert.equal(site.requests.length, 3, 'once each');
      assert.equal(other.requests.length, 0);
    });

    test('something else that also says ok: each call knows that it is no relay', async (t) => {
      const bodies = ['{"ok":true}', '{"ok":true,"result":[]}', '['.repeat(100_000)];
      for (const call of ['complete', 'stream', 'models', 'usage', 'fetchPage'] as const) {
        const other = await serve(t, (_request, response, count) => {
          response.setHeader(
            'content-type',
            count > bodies.length ? 'text/event-stream' : 'application/json',
          );
          response.end(bodies[count - 1] ?? 'data: {"type":"done","ok":true}\n\n');
        });
        const asked = { ...at(other.url), ...(call === 'fetchPage' ? { options: { url: other.url } } : {}) };
        if (call === 'models' || call === 'usage') asked.options = {} as typeof options;
        for (let count = 0; count <= bodies.length; count += 1) {
          const { value, error } = await run({ call, ...asked }).outcome;
          assert.deepEqual([value, error?.code], [undefined, 'not_a_relay'], call);
        }
      }
    });

    for (const [where, begin] of [
      ['headers', 'HTTP/1.1 200 OK\r\nx-slow: '],
      ['the size of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'],
      ['a body', 'HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n'],
    ] as const) {
      test(`a byte now and then, in ${where}: the call's time ends it all the same`, async (t) => {
        const dripping = await serve(t, (_request, response) => {
          const { socket } = response;
          socket?.write(begin);
          const timer = setInterval(() => socket?.write('0'), 100);
          socket?.on('close', () => clearInterval(timer));
        });
        const client = { url: dripping.url, key: relay.key, timeoutMs: 700 };
        const startedAt = performance.now();
        const { error } = await run({ client, call: 'complete', options }).outcome;
        assert.equal(error?.code, 'client_timeout');
        assert.ok(performance.now() - startedAt < 8000, 'the dripping goes on for longer');
      });
    }

    test('an abort while it waits for a retry ends it at once', async (t) => {
      const busy = await serve(t, (_request, response) => {
        const headers = { 'retry-after': '20' };
        response.writeHead(503, headers).end('{"ok":false,"error":"not_ready","message":"Soon."}');
      });
      const running = run({ call: 'complete', ...at(busy.url) });
      await eventually('a request', () => busy.requests.length === 1);
      const startedAt = performance.now();
      setTimeout(running.abort, 200);
      assert.equal((await running.outcome).error?.code, 'aborted');
      assert.ok(performance.now() - startedAt < 10_000);
      assert.equal(busy.requests.length, 1);
    });

    test('a path that does not belong there: it names it', async () => {
      const { error } = await run({ call: 'complete', ...at(`${relay.url}/relay`) }).outcome;
      assert.equal(error?.code, 'not_found');
      assert.match(error.message, /Is the path of CLAUDE_RELAY_URL right \(http.*\/relay\)\?/);
    });

    test('a tunnel without its relay for a moment: it tries again, with the same idempotency key', async (t) => {
      const tunnel = await serve(t, (_request, response, count) => {
        if (count < 3) page(response, 502);
        else response.end(JSON.stringify(doneEvent));
      });
      const { value, error } = await run({ call: 'complete', ...at(tunnel.url) }).outcome;
      assert.deepEqual([value, error], ['hello', undefined]);
      const keys = tunnel.requests.map((request) => request.headers['idempotency-key']);
      assert.equal(keys.length, 3);
      assert.ok(String(keys[0]).length > 16);
      assert.equal(new Set(keys).size, 1);
      await run({ call: 'complete', ...at(tunnel.url) }).outcome;
      assert.notEqual(tunnel.requests.at(-1)?.headers['idempotency-key'], keys[0], 'each call has its own');
    });

    test('it tries again no more than it may', async (t) => {
      const down = await serve(t, (_request, response) => page(response, 503));
      const { error } = await run({ call: 'complete', ...at(down.url, { maxRetries: 1 }) }).outcome;
      assert.deepEqual([error?.code, error?.status], ['not_a_relay', 503]);
      assert.equal(down.requests.length, 2);
    });

    test('x-should-retry is obeyed, whatever the status', async (t) => {
      const headers = { 'content-type': 'application/json', 'x-should-retry': 'true', 'retry-after': '0' };
      const relayLike = await serve(t, (_request, response, count) => {
        if (count > 1) response.end(JSON.stringify(doneEvent));
        else response.writeHead(500, headers).end('{"ok":false,"error":"internal","message":"Oh."}');
      });
      assert.equal((await run({ call: 'complete', ...at(relayLike.url) }).outcome).value, 'hello');
      const failing = await serve(t, (_request, response) =>
        response.writeHead(500).end('{"ok":false,"error":"internal","message":"Oh."}'),
      );
      const { error } = await run({ call: 'complete', ...at(failing.url) }).outcome;
      assert.deepEqual([error?.code, failing.requests.length], ['internal', 1]);
    });

    test('a stream without an end, however it stops, is an error', async (t) => {
      const half = 'event: delta\ndata: {"type":"delta","text":"half"}\n\n';
      const server = await serve(t, (_request, response, count) => {
        response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
        if (count % 2 === 1) response.end(half);
        else response.write(half, () => setTimeout(() => response.destroy(), 50));
      });
      for (let count = 0; count < 2; count += 1) {
        const { deltas, error } = await run({ call: 'stream', ...at(server.url) }).outcome;
        assert.deepEqual([deltas, error?.code], [['half'], 'connection_lost']);
      }
      assert.equal(server.requests.length, 2, 'what was given out is not asked for again');
    });

    test('no room in the queue: it comes back after the time told, and gets through', async (t) => {
      const key = relay.command('genkey', label);
      relay.model.setReply(() => ({ kind: 'hang', after: 'text' }));
      // One runs, one waits, and the third was told that there is no room.
      const busy = new AbortController();
      t.after(() => busy.abort());
      const others = [1, 2, 3].map(() => relay.post(options, { signal: busy.signal }));
      assert.equal((await Promise.any(others)).status, 429);
      // Each key has one place in the queue in any case: this one's is taken, too.
      const headers = { authorization: `Bearer ${key}` };
      const own = [1, 2].map(() => relay.post(options, { signal: busy.signal, headers }));
      assert.equal((await Promise.any(own)).status, 429);
      const client = { url: relay.url, key };
      const running = run({ client, call: 'complete', options });
      const rows = (): Record<string, unknown>[] =>
        query(
          relay,
          'SELECT status FROM requests JOIN keys ON keys.id = key_id WHERE label = ? AND client_gone = 0 ORDER BY requests.id',
          label,
        );
      await eventually('it was refused', () => rows().length === 2, 30_000);
      relay.model.setReply(() => hello);
      busy.abort();
      await Promise.allSettled([...others, ...own]);
      const { value, error } = await running.outcome;
      assert.deepEqual([value, error], ['hello', undefined]);
      await eventually('all are written', () => rows().length === 3);
      assert.deepEqual(
        rows().map((row) => row['status']),
        [429, 429, 200],
      );
    });

    test('a limit that lasts longer than it may wait: told at once', async () => {
      relay.model.setReply(() => hello);
      const minute = { url: relay.url, key: relay.command('genkey', `${label}-minute`) };
      const page = {
        client: { ...minute, maxRetryWaitMs: 500 },
        call: 'fetchPage',
        options: 'http://[::1]/',
      } as const;
      assert.equal((await run(page).outcome).error?.code, 'blocked_address');
      const first = (await run(page).outcome).error;
      assert.deepEqual([first?.code, first?.status, first?.limit], ['rate_limited', 429, 'key_rpm']);
      assert.ok(Number(first?.retryAfter) > 0.5 && Number(first?.retryAfter) <= 60);

      const day = { url: relay.url, key: relay.command('genkey', `${label}-day`, '1') };
      const ask = { client: { ...day, maxRetryWaitMs: 86_400_000 }, call: 'complete', options } as const;
      assert.equal((await run(ask).outcome).value, 'hello');
      const asked = relay.model.requests.length;
      const second = (await run(ask).outcome).error;
      assert.deepEqual(
        [second?.code, second?.limit, second?.shouldRetry],
        ['rate_limited', 'key_daily', false],
      );
      assert.match(String(second?.requestId), /^req_/);
      assert.equal(relay.model.requests.length, asked);
    });

    test('a failure that may pass: it asks again, unless that was paid for', async () => {
      const replies: Reply[] = [
        {
          kind: 'error',
          status: 529,
          type: 'overloaded_error',
          message: 'full',
          headers: { 'retry-after': '1' },
        },
        hello,
      ];
      relay.model.setReply(() => replies.shift() ?? hello);
      assert.deepEqual(
        await run({ call: 'stream', ...at(relay.url) }).outcome.then(({ deltas }) => deltas.join('')),
        'hello',
      );
      assert.equal(replies.length, 0);
      relay.model.setReply(() => ({
        kind: 'stream_error',
        type: 'api_error',
        message: 'broken',
        afterText: 'half',
      }));
      const asked = relay.model.requests.length;
      const { error } = await run({ call: 'complete', ...at(relay.url) }).outcome;
      assert.deepEqual([error?.code, error?.shouldRetry], ['upstream_error', false]);
      assert.equal(relay.model.requests.length, asked + 1);
    });

    test('a connection that is cut: what nobody has seen is asked for again, and is paid for once', async () => {
      relay.model.setReply(() => ({ kind: 'text', text: ['hel', 'lo'], deltaDelayMs: 300 }));
      const asked = relay.model.requests.length;
      const before = proxy.connections();
      proxy.cutAt(/event: delta/);
      assert.deepEqual(await run({ call: 'complete', ...at(proxy.url) }).outcome, {
        deltas: [],
        value: 'hello',
      });
      assert.equal(proxy.connections(), before + 2);
      assert.equal(relay.model.requests.length, asked + 1);
      proxy.cutAt(/event: delta/);
      const { deltas, error } = await run({ call: 'stream', ...at(proxy.url) }).outcome;
      assert.equal(error?.code, 'connection_lost');
      assert.ok('hello'.startsWith(deltas.join('')));
      assert.equal(proxy.connections(), before + 3, 'what was given out is not asked for again');
    });
  });
}
