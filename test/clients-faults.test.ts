/** Our clients on a broken relay or another server: the same error after the same number of attempts, in each of their runtimes. */
import { mkdtempSync, rmSync } from 'node:fs';
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { gzipSync } from 'node:zlib';
import { checkCases, clientKey, type ClientCase } from './support/client-cases.ts';
import { clientRuntimes } from './support/clients.ts';
import { serveHttp, serveTcp, type Answering } from './support/faulty-server.ts';
import { closedPort } from './support/ports.ts';

const project = mkdtempSync(join(tmpdir(), 'relay-clients-'));
after(() => rmSync(project, { recursive: true, force: true }));

const done = {
  type: 'done',
  ok: true,
  model: 'opus',
  resolved_model: 'claude-opus-5-5',
  duration_ms: 1,
  result: 'hello',
  stop_reason: 'end_turn',
  usage: {},
};
const half = 'event: delta\ndata: {"type":"delta","text":"half"}\n\n';
const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
const refusal = { ok: false, error: 'internal', message: 'Oh.' };

const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Answering =>
  (_request, response) =>
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(typeof body === 'string' ? body : JSON.stringify(body));
const html = (status: number, headers: Record<string, string> = {}): Answering =>
  json('<h1>Something else</h1>', status, { 'content-type': 'text/html', ...headers });
const stream =
  (write: (response: ServerResponse) => void): Answering =>
  (_request, response) =>
    write(response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }));
/** The first attempt gets `first`, the others get `next`. */
const then =
  (first: Answering, next: Answering): Answering =>
  (request, response, count) =>
    (count === 1 ? first : next)(request, response, count);
const talk = (answer: (socket: Socket) => void) => () => serveTcp({ atFirst: answer });
const resetLater = (socket: Socket): void => void setTimeout(() => socket.resetAndDestroy(), 50);

const idempotencyKeys = new Set<unknown>();
const down = `http://127.0.0.1:${closedPort}`;

const connections: ClientCase[] = [
  ...(['complete', 'stream', 'models'] as const).map((call): ClientCase => ({
    name: `${call} on a relay that is down names the URL`,
    call,
    client: { url: down },
    expect: {
      code: 'connection_failed',
      says: /^No connection to the relay at http:\/\/127\.0\.0\.1:\d+: .*refused.* Is it running, and is CLAUDE_RELAY_URL its URL\?$/i,
    },
  })),
  {
    name: 'a host name that does not exist is connection_failed',
    client: { url: 'http://relay.invalid' },
    expect: { code: 'connection_failed', says: /relay\.invalid/ },
  },
  {
    name: 'a reset right after the connection is retried',
    serve: () => serveTcp({ atOnce: (socket) => socket.resetAndDestroy() }),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a reset after the request is retried',
    serve: talk((socket) => socket.resetAndDestroy()),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a stream whose request may have arrived is not retried',
    call: 'stream',
    serve: talk((socket) => socket.end()),
    expect: { code: 'connection_failed', attempts: 1 },
  },
  {
    name: 'a connection that ends without an answer is retried',
    call: 'models',
    serve: talk((socket) => socket.end()),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a connection that ends in the status line is retried',
    serve: talk((socket) => socket.end('HTTP/1.1 20')),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a connection that ends in a header is retried',
    serve: talk((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a connection that ends between the headers is retried',
    serve: talk((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n')),
    expect: { code: 'connection_failed', attempts: 2 },
  },
  ...Object.entries({
    'a connection that ends before content-length': [`${head}content-length: 999\r\n\r\n${half}`, false],
    'a connection that ends in a chunk': [`${head}transfer-encoding: chunked\r\n\r\n999\r\n${half}`, false],
    'a connection that ends between two chunks': [
      `${head}transfer-encoding: chunked\r\n\r\n${half.length.toString(16)}\r\n${half}\r\n`,
      false,
    ],
    'a chunk without a size': [
      `${head}transfer-encoding: chunked\r\n\r\n${half.length.toString(16)}\r\n${half}\r\nzz\r\n`,
      false,
    ],
    'a reset in the body': [`${head}content-length: 999\r\n\r\n${half}`, true],
    'a stream without its end': [`${head}content-length: ${half.length}\r\n\r\n${half}`, false],
    'a stream without its end or a length': [`${head}\r\n${half}`, false],
  } as const).flatMap(([name, [text, reset]]): ClientCase[] => {
    const serve = talk((socket) => (reset ? socket.write(text, () => resetLater(socket)) : socket.end(text)));
    return [
      { name: `${name} is retried by complete`, serve, expect: { code: 'connection_lost', attempts: 2 } },
      {
        name: `${name} is not retried by a stream that has begun`,
        call: 'stream',
        serve,
        expect: { code: 'connection_lost', deltas: ['half'], attempts: 1 },
      },
    ];
  }),
  {
    name: 'an IPv6 address is called with its host header',
    serve: () => serveHttp(json(done), { host: '::1' }),
    expect: { value: 'hello' },
    check: ({ requests, port }) => assert.equal(requests[0]?.headers.host, `[::1]:${port}`),
  },
  {
    name: 'localhost is reached if only one of its addresses answers',
    serve: () => serveHttp(json(done)),
    url: (server) => `http://localhost:${server?.port}`,
    expect: { value: 'hello' },
  },
];

const answers: ClientCase[] = [
  ...[200, 203, 404, 403, 500, 504].map((status): ClientCase => ({
    name: `a page of another server with status ${status} is not_a_relay`,
    serve: () => serveHttp(html(status)),
    expect: {
      code: 'not_a_relay',
      status,
      attempts: 1,
      says: new RegExp(`answered ${status}, but not as a claude-relay does`),
    },
  })),
  ...[429, 502, 503].map((status): ClientCase => ({
    name: `a tunnel whose relay is down is retried up to maxRetries with status ${status}`,
    serve: () => serveHttp(html(status, { 'retry-after': '0' })),
    client: { maxRetries: 2 },
    expect: { code: 'not_a_relay', status, attempts: 3, error: { retryAfter: 0 } },
  })),
  {
    name: 'a retry has the idempotency key of its first attempt, and each call another key',
    serve: () => serveHttp(then(html(502), json(done))),
    expect: { value: 'hello', attempts: 2 },
    check: ({ requests }) => {
      const keys = requests.map(({ headers }) => headers['idempotency-key']);
      assert.ok(String(keys[0]).length > 16);
      assert.equal(keys[0], keys[1]);
      assert.ok(!idempotencyKeys.has(keys[0]), 'each call has a different key');
      idempotencyKeys.add(keys[0]);
    },
  },
  {
    name: "every attempt has the caller's idempotency key",
    options: { prompt: 'hi', idempotencyKey: 'mine' },
    serve: () => serveHttp(then(html(503, { 'retry-after': '0' }), json(done))),
    expect: { value: 'hello', attempts: 2 },
    check: ({ requests }) =>
      assert.deepEqual(
        requests.map(({ headers }) => headers['idempotency-key']),
        ['mine', 'mine'],
      ),
  },
  {
    name: 'a call without retries sends the required headers and no idempotency key',
    client: { maxRetries: 0 },
    serve: () => serveHttp(json(done)),
    url: (server) => `${server?.url}/base/path/`,
    expect: { value: 'hello' },
    check: ({ requests: [request], port }) => {
      assert.equal(request?.url, '/base/path/v1/complete');
      const { 'content-length': length, connection: _, ...headers } = request.headers;
      assert.ok(Number(length) > 10);
      assert.deepEqual(headers, {
        host: `127.0.0.1:${port}`,
        authorization: `Bearer ${clientKey}`,
        'accept-encoding': 'identity',
        'user-agent': 'claude-relay-client',
        'content-type': 'application/json',
      });
    },
  },
  ...[204, 304].map((status): ClientCase => ({
    name: `an answer with status ${status} and no body is not_a_relay`,
    serve: () => serveHttp((_request, response) => response.writeHead(status).end()),
    expect: { code: 'not_a_relay', status, attempts: 1 },
  })),
  {
    name: 'a switch to another protocol is not_a_relay',
    serve: talk((socket) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ),
    expect: { code: 'not_a_relay', status: 101, attempts: 1 },
  },
  ...[
    'SSH-2.0-OpenSSH_9.2\r\n',
    '\x15\x03\x01\x00\x02\x02\x16\n\n',
    'HTTP/1.1 banana\r\n\r\n',
    '{"ok":true}\n',
  ].map((text): ClientCase => ({
    name: `an answer that is not HTTP is not_a_relay: ${JSON.stringify(text)}`,
    serve: talk((socket) => socket.end(text)),
    expect: {
      code: 'not_a_relay',
      attempts: 1,
      says: /answered, but not as a claude-relay does: .*CLAUDE_RELAY_URL/,
    },
  })),
  {
    name: 'an answer without a content type and with headers of 40 kB is read',
    serve: () =>
      serveHttp((_request, response) =>
        response.writeHead(200, { x: 'x'.repeat(40_000) }).end(JSON.stringify(done)),
      ),
    expect: { value: 'hello' },
  },
  {
    name: 'headers of 200 kB are not_a_relay',
    serve: () => serveHttp(json(done, 200, { x: 'x'.repeat(200_000) })),
    expect: { code: 'not_a_relay', attempts: 1 },
  },
  {
    name: 'an answer of more than 64 MiB is not_a_relay',
    serve: () =>
      serveHttp((_request, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(' '.repeat(1_000_000)));
        };
        response.on('drain', more);
        more();
      }),
    expect: { code: 'not_a_relay', status: 200, attempts: 1, says: /more than 64 MiB/ },
  },
  {
    name: 'JSON with another content type is read',
    serve: () => serveHttp(json(done, 200, { 'content-type': 'text/html' })),
    expect: { value: 'hello' },
  },
  {
    name: 'a gzip body that the client did not ask for is not_a_relay',
    serve: () =>
      serveHttp((_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(done))),
      ),
    expect: { code: 'not_a_relay', status: 200, attempts: 1 },
  },
  {
    name: 'a byte order mark before JSON is ignored',
    serve: () => serveHttp(json(`\ufeff${JSON.stringify(done)}`)),
    expect: { value: 'hello' },
  },
  {
    name: 'a byte order mark before a stream is ignored',
    serve: () => serveHttp(stream((response) => response.end(`\ufeffdata: ${JSON.stringify(done)}\n\n`))),
    expect: { value: 'hello' },
  },
  {
    name: 'bytes that are not UTF-8 become replacement characters',
    serve: () =>
      serveHttp((_request, response) =>
        response.end(
          Buffer.from(JSON.stringify({ ...done, result: 'a\u00ff\u00c3(\u00f0\u009f\u0092b' }), 'latin1'),
        ),
      ),
    expect: { value: 'a\ufffd\ufffd(\ufffdb' },
  },
  ...[
    '',
    'null',
    '[]',
    '{"ok":true}',
    '{"ok":true,"result":[]}',
    '{"ok":true,"stop_reason":"end_turn","result":"half of it"}',
    JSON.stringify({ ...done, ok: 'true' }),
    JSON.stringify({ ...done, duration_ms: 'NaN' }).replace('"NaN"', 'NaN'),
    '['.repeat(100_000),
  ].flatMap((body): ClientCase[] => [
    {
      name: `a body that is not from a relay is not_a_relay: ${body.slice(0, 60)}`,
      serve: () => serveHttp(json(body)),
      expect: { code: 'not_a_relay', status: 200, attempts: 1 },
    },
    {
      name: `a last event that is not from a relay is an error: ${body.slice(0, 60)}`,
      call: 'stream',
      serve: () =>
        serveHttp(
          stream((response) =>
            response.end(`data: ${body.replace('{', '{"type":"done",') || '{"type":"done"}'}\n\n`),
          ),
        ),
      expect:
        (body.startsWith('{') && !body.includes('NaN')) || body === ''
          ? { code: 'not_a_relay', status: 200, attempts: 1 }
          : // No event that is known.
            { code: 'connection_lost', attempts: 1 },
    },
  ]),
  ...(['models', 'fetchPage'] as const).flatMap((call) =>
    [
      '{"ok":true}',
      '{"ok":true,"data":{}}',
      '{"ok":true,"data":[1]}',
      '{"ok":true,"data":[{"id":1}]}',
      '<p>',
    ].map((body): ClientCase => ({
      name: `a body that is not from a relay is not_a_relay for ${call}: ${body}`,
      call,
      options: call === 'fetchPage' ? { url: 'https://example.com/' } : {},
      serve: () => serveHttp(json(body)),
      expect: { code: 'not_a_relay', status: 200, attempts: 1 },
    })),
  ),
  {
    name: 'unknown events are ignored',
    call: 'stream',
    serve: () =>
      serveHttp(
        stream((response) => {
          response.write(
            ': ping\n\ndata: {"type":"delta"}\n\ndata: {"type":"delta","text":7}\n\ndata: what\r\n\r\nid: 1\n\n',
          );
          response.end(`data:{"type":"delta","text":"hel"}\r\n\r\ndata: ${JSON.stringify(done)}\n\n`);
        }),
      ),
    expect: { deltas: ['hel'] },
  },
];

const retries: ClientCase[] = [
  {
    name: 'x-should-retry: true is obeyed, whatever the status',
    serve: () =>
      serveHttp(then(json(refusal, 500, { 'x-should-retry': 'true', 'retry-after': '0' }), json(done))),
    expect: { value: 'hello', attempts: 2 },
  },
  {
    name: 'x-should-retry: false is obeyed, whatever the error',
    serve: () => serveHttp(json({ ...refusal, error: 'not_ready' }, 503, { 'x-should-retry': 'false' })),
    expect: { code: 'not_ready', status: 503, attempts: 1, error: { shouldRetry: false } },
  },
  {
    name: 'a replayed error is not retried',
    serve: () =>
      serveHttp(json({ ...refusal, error: 'upstream_error' }, 502, { 'idempotent-replayed': 'true' })),
    expect: { code: 'upstream_error', status: 502, attempts: 1 },
  },
  {
    name: 'a defect of the relay is not retried',
    serve: () => serveHttp(json(refusal, 500)),
    expect: { code: 'internal', status: 500, attempts: 1, says: /^Oh\.$/ },
  },
  {
    name: 'a retry-after date in the past causes a retry at once',
    serve: () => serveHttp(then(html(503, { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }), json(done))),
    expect: { value: 'hello', attempts: 2 },
  },
  {
    name: 'a retry-after date that is too far away causes no retry',
    serve: () => serveHttp(html(503, { 'retry-after': 'Fri, 31 Dec 2100 23:59:59 GMT' })),
    expect: { code: 'not_a_relay', status: 503, attempts: 1 },
    check: (_server, { error }) => assert.ok(Number(error?.retryAfter) > 1e6),
  },
  {
    name: 'a retry-after longer than maxRetryWait causes no retry',
    serve: () =>
      serveHttp(json({ ...refusal, error: 'rate_limited', limit: 'key_rpm', retry_after: 61 }, 429)),
    expect: { code: 'rate_limited', status: 429, attempts: 1, error: { retryAfter: 61, limit: 'key_rpm' } },
  },
  {
    name: "a retry-after longer than the call's timeout causes no retry",
    client: { timeoutMs: 20_000 },
    serve: () => serveHttp(html(503, { 'retry-after': '30' })),
    expect: { code: 'not_a_relay', status: 503, attempts: 1, error: { retryAfter: 30 } },
  },
  ...['-5', '1.5', 'soon', '2026-11-28', '1e3', '0x10'].map((after): ClientCase => ({
    name: `a retry-after of ${after} is ignored`,
    serve: () => serveHttp(html(503, { 'retry-after': after })),
    client: { maxRetries: 0 },
    expect: { code: 'not_a_relay', status: 503, attempts: 1, error: { retryAfter: undefined } },
  })),
  {
    name: 'fields of an error that have another type are ignored',
    serve: () =>
      serveHttp(
        json(
          { ok: false, error: 'dns_error', message: 7, request_id: 7, retry_after: '9', limit: 7, hop: '1' },
          502,
        ),
      ),
    expect: {
      code: 'dns_error',
      status: 502,
      attempts: 1,
      says: /^No reason was given\.$/,
      error: { requestId: undefined, retryAfter: undefined, limit: undefined, hop: undefined },
    },
  },
  {
    name: 'an error event in a stream is thrown',
    call: 'stream',
    serve: () =>
      serveHttp(
        stream((response) =>
          response.end(`${half}data: {"type":"error","error":"upstream_error","message":"Oh."}\n\n`),
        ),
      ),
    expect: { code: 'upstream_error', deltas: ['half'], attempts: 1 },
  },
  {
    name: 'a not_found names the path of the URL',
    serve: () => serveHttp(json({ ok: false, error: 'not_found', message: 'There is nothing.' }, 404)),
    url: (server) => `${server?.url}/relay`,
    expect: {
      code: 'not_found',
      status: 404,
      attempts: 1,
      says: /^There is nothing\. Is the path of CLAUDE_RELAY_URL right \(http.*\/relay\)\?$/,
    },
  },
];

const settings: ClientCase[] = [
  ...Object.entries({
    '': /No relay URL .* Set CLAUDE_RELAY_URL .*http:\/\/127\.0\.0\.1:8799/,
    'localhost:8799': /"localhost:8799" is not an http/,
    'http:localhost': /"http:localhost" is not an http/,
    'ftp://host': /is not an http/,
    'http://': /"http:\/\/" is not a/,
    'http://ho st': /is not a URL/,
    'http://host:99999': /is not a URL/,
    'http://a:b@host': /no user name and no password/,
    'http://a@host': /no user name and no password/,
  }).map(([url, says]): ClientCase => ({
    name: `the invalid URL "${url}" is bad_config`,
    client: { url, key: 'k' },
    expect: { code: 'bad_config', says },
  })),
  ...['', ' \n', 'two words', 'two\nlines', 'schlüssel'].map((key): ClientCase => ({
    name: `the invalid key ${JSON.stringify(key)} is bad_config`,
    client: { url: 'http://127.0.0.1:9', key },
    expect: {
      code: 'bad_config',
      says:
        key.trim() === ''
          ? /No key is set\. .*claude-relay key create .*CLAUDE_RELAY_KEY/
          : /The key is not valid/,
    },
  })),
  {
    name: 'a key with a line end and a URL with the /v1 of an SDK are accepted',
    serve: () => serveHttp(json(done)),
    client: { key: `\ufeff ${clientKey}\r\n` },
    url: (server) => ` ${server?.url}/v1/ \n`,
    expect: { value: 'hello' },
    check: ({ requests: [request] }) => {
      assert.equal(request?.headers.authorization, `Bearer ${clientKey}`);
      assert.equal(request.url, '/v1/complete');
    },
  },
  {
    name: 'a path with spaces and umlauts is encoded',
    serve: () => serveHttp(json(done)),
    url: (server) => `${server?.url}/für alle/`,
    expect: { value: 'hello' },
    check: ({ requests: [request] }) => assert.equal(request?.url, '/f%C3%BCr%20alle/v1/complete'),
  },
  ...['', 'two words', 'two\nlines', 'schlüssel'].map((idempotencyKey): ClientCase => ({
    name: `the invalid idempotency key ${JSON.stringify(idempotencyKey)} is bad_config`,
    client: { url: 'http://127.0.0.1:9' },
    options: { prompt: 'hi', idempotencyKey },
    expect: { code: 'bad_config', says: /The idempotency key is not valid/ },
  })),
];

checkCases(clientRuntimes(project), [...connections, ...answers, ...retries, ...settings]);
