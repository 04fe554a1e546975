/** The HTTP contract from outside: one shape of error, request ids, models, keys at work, and bounds on what a client can do. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { version } from '../src/installation.ts';
import { rawExchange } from './support/raw.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';

const fullModelId = 'claude-sonnet-4-5-20250929';
let relay: InProcessRelay;
before(async () => {
  relay = await startInProcess({
    settings: {
      ALLOWED_MODELS: `opus,haiku,${fullModelId}`,
      MAX_INPUT_BYTES: '65536',
      MAX_ATTACHMENT_BYTES: '0',
    },
  });
});
after(() => relay.stop());

type ErrorAnswer = { ok: boolean; error: string; message: string; request_id: string };
const ids = new Set<string>();

/** Every error has one shape, and its request id is also in the headers. */
async function assertError(response: Response, status: number, code: string): Promise<string> {
  const body = (await response.json()) as ErrorAnswer;
  assert.equal(response.status, status, JSON.stringify(body));
  assert.equal(body.ok, false);
  assert.equal(body.error, code);
  assert.ok(body.message.length > 10);
  const known = new Set(['ok', 'error', 'message', 'request_id', 'retry_after', 'limit']);
  assert.deepEqual(
    Object.keys(body).filter((name) => !known.has(name)),
    [],
  );
  assertHeaders(response, body.request_id);
  return body.message;
}

function assertHeaders(response: Response, requestId: string | null): void {
  const id = response.headers.get('request-id');
  assert.match(id ?? '', /^req_[\da-f]{24,}$/);
  assert.equal(id, requestId);
  assert.equal(id, response.headers.get('x-request-id'));
  assert.ok(!ids.has(id ?? ''), 'every id is new');
  ids.add(id ?? '');
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  assert.match(
    response.headers.get('server-timing') ?? '',
    /^queue;dur=[\d.]+, (?:(?:hot|claim|spawn);dur=[\d.]+, )?upstream;dur=[\d.]+, relay;dur=[\d.]+(?:, \w+;dur=[\d.]+)*$/,
  );
}

describe('a body that is not valid gets a 400 that names the field', () => {
  const bodies: [body: unknown, message: RegExp][] = [
    ['{"prompt":', /not valid JSON/],
    ['', /not valid JSON/],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['"hello"', /must be a JSON object/],
    [{}, /"prompt" must be a string and is required/],
    [{ prompt: null }, /"prompt" must be a string/],
    [{ prompt: 5 }, /"prompt" must be a string/],
    [{ prompt: '' }, /"prompt" must not be empty/],
    [{ prompt: ' \n ' }, /"prompt" must not be empty/],
    [{ prompt: 'x', system: ['y'] }, /"system" must be a string/],
    [{ prompt: 'x', model: 7 }, /"model" must be a string/],
    [{ prompt: 'x', model: 'gpt-9' }, /"model" must be one of opus, haiku, claude-sonnet-4-5-20250929/],
    [{ prompt: 'x', model: '--help' }, /"model" must be one of/],
    [{ prompt: 'x', output_format: 'xml' }, /"output_format" must be one of text, json/],
    [{ prompt: 'x', top_p: 1 }, /"top_p" is not a known field/],
    [{ prompt: 'x', a: 1, b: 2 }, /"a" is not a known field \(also unknown: b\)/],
    ['{"prompt":"x","__proto__":{"model":"opus"}}', /"__proto__" is not a known field/],
    ['{"prompt":"x","constructor":1}', /"constructor" is not a known field/],
  ];
  for (const [body, message] of bodies) {
    test(`the body ${JSON.stringify(body).slice(0, 60)} gets a 400`, async () => {
      assert.match(await assertError(await relay.post(body), 400, 'bad_request'), message);
    });
  }

  test('a body that is not UTF-8 gets a 400', async () => {
    const body = Buffer.concat([Buffer.from('{"prompt":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    const response = await relay.post('', { body });
    assert.match(await assertError(response, 400, 'bad_request'), /not valid JSON in UTF-8/);
  });
});

test('every wrong key gets the same 401', async () => {
  const revoked = relay.command('genkey', 'to-be-revoked');
  relay.command('revoke', 'to-be-revoked');
  const other = `${relay.key.slice(0, -8)}${relay.key.at(-8) === 'A' ? 'B' : 'A'}${relay.key.slice(-7)}`;
  const credentials: Record<string, string>[] = [
    {},
    { authorization: '' },
    { authorization: relay.key },
    { authorization: `Basic ${relay.key}` },
    { authorization: 'Bearer' },
    { authorization: `Bearer ${relay.key}x` },
    { authorization: `Bearer ${other}` },
    { authorization: `Bearer ${revoked}` },
    { 'x-api-key': 'nonsense' },
    { 'x-api-key': '' },
    { 'x-api-key': revoked },
  ];
  const answers = await Promise.all(
    credentials.map(async (headers) => {
      const response = await fetch(`${relay.url}/v1/complete`, {
        method: 'POST',
        headers,
        body: 'not looked at',
      });
      assert.equal(response.headers.get('www-authenticate'), 'Bearer');
      return assertError(response, 401, 'unauthorized');
    }),
  );
  assert.equal(new Set(answers).size, 1);
});

test('a key is valid in authorization and in x-api-key', async () => {
  for (const headers of [{ 'x-api-key': relay.key }, { authorization: `bearer  ${relay.key} ` }]) {
    const response = await fetch(`${relay.url}/v1/models`, { headers });
    assert.equal(response.status, 200);
  }
});

test('a route or a model that the key may not use gets a 403', async () => {
  const models = relay.mint('models-only', { allowedRoutes: ['models'] });
  const haiku = relay.mint('haiku-only', { allowedModels: ['haiku'] });
  const ask = (key: string, body: object): Promise<Response> =>
    relay.post(body, { headers: { authorization: `Bearer ${key}` } });
  assert.match(await assertError(await ask(models, { prompt: 'x' }), 403, 'forbidden'), /\/v1\/complete/);
  const refused = await ask(haiku, { prompt: 'x', model: 'opus' });
  assert.match(await assertError(refused, 403, 'forbidden'), /model opus/);
  // The message lists the key's own models.
  const unknown = await ask(haiku, { prompt: 'x', model: 'nonsense' });
  assert.match(await assertError(unknown, 400, 'bad_request'), /one of haiku\. On the host, MODEL_ALIASES/);
  const list = await fetch(`${relay.url}/v1/models`, { headers: { 'x-api-key': haiku } });
  const { data } = (await list.json()) as { data: { id: string }[] };
  assert.deepEqual(
    data.map(({ id }) => id),
    ['haiku'],
  );
});

test('an unknown path gets a 404, and a wrong method a 405 with allow', async () => {
  for (const path of [
    '/',
    '/v1',
    '/v1/complete/x',
    '/v1/nothing?prompt=x',
    '/V1/COMPLETE',
    '/%2e%2e/etc/passwd',
  ])
    await assertError(await fetch(`${relay.url}${path}`), 404, 'not_found');
  const cases = [
    ['GET', '/v1/complete', 'POST'],
    ['PUT', '/v1/complete', 'POST'],
    ['OPTIONS', '/v1/complete', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['DELETE', '/health', 'GET, HEAD'],
    ['POST', '/ready', 'GET, HEAD'],
  ] as const;
  for (const [method, path, allow] of cases) {
    const response = await fetch(`${relay.url}${path}`, { method });
    assert.equal(response.headers.get('allow'), allow);
    await assertError(response, 405, 'method_not_allowed');
  }
});

describe('a body that is too large gets a 413', () => {
  test('a body whose announced length is too large is refused before it is read', async () => {
    const received = await rawExchange(relay.url, [
      `POST /v1/complete HTTP/1.1\r\nhost: x\r\nx-api-key: ${relay.key}\r\ncontent-type: application/json\r\ncontent-length: 65537\r\n\r\n`,
    ]);
    assert.match(received, /^HTTP\/1\.1 413 /);
    assert.match(received, /"error":"payload_too_large","message":"[^"]*65536 bytes/);
  });

  test('a body without a length and without an end is refused while it is read', async () => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    function* endless(): Generator<string> {
      yield `POST /v1/complete HTTP/1.1\r\nhost: x\r\nx-api-key: ${relay.key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
      for (;;) yield chunk;
    }
    const received = await rawExchange(relay.url, endless(), 5);
    assert.match(received, /^HTTP\/1\.1 413 /);
  });

  test('a body of the largest size is accepted', async () => {
    const response = await relay.post(`{"prompt":"x"${' '.repeat(65536 - 14)}}`);
    assert.notEqual(response.status, 413);
    const larger = await relay.post(`{"prompt":"x"${' '.repeat(65536 - 13)}}`);
    await assertError(larger, 413, 'payload_too_large');
  });
});

test('a content type other than JSON in UTF-8 gets a 415', async () => {
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'application/json; charset=utf-16',
  ];
  for (const type of types) {
    const response = await relay.post({ prompt: 'x' }, { headers: { 'content-type': type } });
    await assertError(response, 415, 'unsupported_media_type');
  }
  const packed = await relay.post({ prompt: 'x' }, { headers: { 'content-encoding': 'gzip' } });
  await assertError(packed, 415, 'unsupported_media_type');
  const named = await relay.post(
    { prompt: '' },
    { headers: { 'content-type': 'Application/JSON; Charset="UTF-8"' } },
  );
  await assertError(named, 400, 'bad_request');
});

describe('a request that is not valid HTTP gets a 400', () => {
  const requests: [name: string, bytes: string][] = [
    ['garbage instead of HTTP', 'hello there\r\n\r\n'],
    ['TLS instead of HTTP', '\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n'],
    ['a request without a host', 'GET /health HTTP/1.1\r\n\r\n'],
    ['a request with an impossible host', 'GET /health HTTP/1.1\r\nhost: a b/c\r\nconnection: close\r\n\r\n'],
    ['a request with an impossible target', 'GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'],
    [
      'a request with two lengths',
      'POST /v1/complete HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a request whose headers have no end',
      `GET /health HTTP/1.1\r\nhost: x\r\nx-filler: ${'x'.repeat(20_000)}`,
    ],
  ];
  for (const [name, bytes] of requests) {
    test(`${name} gets a 400`, async () => {
      const received = await rawExchange(relay.url, [bytes]);
      assert.match(received, /^HTTP\/1\.1 400 /, received);
      if (name === 'a request without a host') return;
      const [head = '', body = ''] = received.split('\r\n\r\n');
      const answer = JSON.parse(body.replace(/^[\da-f]+\r\n|\r\n0$/g, '')) as ErrorAnswer;
      assert.equal(answer.error, 'bad_request');
      assert.match(head, new RegExp(`^x-request-id: ${answer.request_id}$`, 'm'));
    });
  }
});

test('a request with any expect header gets its usual answer', async () => {
  for (const expected of ['100-continue', 'something-else']) {
    const received = await rawExchange(relay.url, [
      `POST /v1/complete HTTP/1.1\r\nhost: x\r\nexpect: ${expected}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
    ]);
    assert.match(received, /HTTP\/1\.1 401 Unauthorized\r\n/);
    assert.match(received, /"error":"unauthorized"/);
  }
});

test('/health and /ready need no key and report no path', async () => {
  const health = await fetch(`${relay.url}/health`);
  assert.deepEqual([health.status, await health.json()], [200, { ok: true, version }]);
  assertHeaders(health, health.headers.get('request-id'));
  const ready = await fetch(`${relay.url}/ready`);
  const text = await ready.text();
  assertHeaders(ready, ready.headers.get('request-id'));
  assert.ok(!text.includes(relay.dataDir) && !text.includes('claude.exe'), text);
  const head = await fetch(`${relay.url}/health`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

describe('the details of /ready', () => {
  const stranger = 'host: relay.example.com';
  const cases: [who: string, detailed: boolean, headers: () => string][] = [
    ['to a program of this machine', true, () => 'host: localhost:8799'],
    ['to a caller with a key', true, () => `${stranger}\r\nauthorization: Bearer ${relay.key}`],
    ['to a stranger', false, () => stranger],
    ['to a caller with a wrong key', false, () => `${stranger}\r\nx-api-key: nonsense`],
    [
      'to a request that a tunnel forwards',
      false,
      () => 'host: localhost:8799\r\nx-forwarded-for: 192.0.2.1',
    ],
  ];
  for (const [who, detailed, headers] of cases) {
    test(`/ready reports ${detailed ? 'its' : 'no'} details ${who}`, async () => {
      const received = await rawExchange(relay.url, [
        `GET /ready HTTP/1.1\r\n${headers()}\r\nconnection: close\r\n\r\n`,
      ]);
      assert.match(received, /^HTTP\/1\.1 (?:200|503) /);
      const body = JSON.parse(received.slice(received.indexOf('\r\n\r\n'))) as Record<string, unknown>;
      const checks = body['checks'] as { name: string; ok: boolean }[];
      if (detailed) {
        assert.deepEqual(Object.keys(body), [
          'ok',
          'checks',
          'spares',
          'hot',
          'valve',
          'seal',
          'connections',
        ]);
        assert.deepEqual(
          checks.map(({ name }) => name),
          ['lock_proved', 'accepting', 'login', 'plan', 'database', 'ledger', 'last_answer'],
        );
      } else {
        assert.deepEqual(Object.keys(body), ['ok', 'checks']);
        assert.deepEqual(checks, [], 'the names of failed checks, and none has failed');
      }
    });
  }
});

test('/v1/models lists full ids, in rows for both SDKs', async () => {
  await assertError(await fetch(`${relay.url}/v1/models`), 401, 'unauthorized');
  const response = await fetch(`${relay.url}/v1/models`, { headers: { 'x-api-key': relay.key } });
  assert.equal(response.status, 200);
  const body = (await response.json()) as { data: Record<string, unknown>[] } & Record<string, unknown>;
  assert.equal(body['object'], 'list');
  assert.equal(body['has_more'], false);
  assert.equal(body['first_id'], 'opus');
  assert.equal(body['last_id'], fullModelId);
  assert.deepEqual(
    body.data.map((row) => row['id']),
    ['opus', 'haiku', fullModelId],
  );
  for (const row of body.data) {
    assert.equal(row['object'], 'model');
    assert.equal(row['type'], 'model');
    assert.equal(typeof row['created'], 'number');
    assert.equal(typeof row['owned_by'], 'string');
    assert.equal(typeof row['display_name'], 'string');
    assert.ok(Date.parse(String(row['created_at'])) > 0);
  }
});

describe('keys', () => {
  test('a new key is valid at once, a revoked key is refused at once, and a full model id is passed on', async () => {
    const key = relay.command('genkey', 'late');
    const ask = (): Promise<Response> =>
      relay.post({ prompt: 'hi', model: fullModelId }, { headers: { authorization: `Bearer ${key}` } });
    const response = await ask();
    assert.equal(response.status, 200);
    assert.equal(((await response.json()) as { model: string }).model, fullModelId);
    assertHeaders(response, response.headers.get('request-id'));
    assert.equal(relay.model.requests.at(-1)?.json?.model, fullModelId);
    const asked = relay.model.requests.length;
    relay.command('revoke', 'late');
    await assertError(await ask(), 401, 'unauthorized');
    assert.equal(relay.model.requests.length, asked);
  });

  test('genkey refuses the label of a live key, and accepts it again after a revoke', () => {
    const first = relay.command('genkey', 'my-app', '5');
    assert.match(first, /^crk_\w+$/);
    assert.throws(() => relay.mint('my-app'), /already/);
    relay.command('revoke', 'my-app');
    assert.notEqual(relay.mint('my-app'), first);
  });

  test('only the owner can read the data directory', () => {
    assert.equal(statSync(relay.dataDir).mode & 0o777, 0o700);
    const files = readdirSync(relay.dataDir);
    assert.ok(files.includes('relay.db'), files.join());
    for (const file of files) assert.equal(statSync(join(relay.dataDir, file)).mode & 0o777, 0o600, file);
  });
});

test('a client that sends its request too slowly is cut off', async (t) => {
  const impatient = await startInProcess({ overrides: { times: { headersMs: 200, requestMs: 400 } } });
  t.after(() => impatient.stop());
  function* drip(start: string, drop: string): Generator<string> {
    yield start;
    for (;;) yield drop;
  }
  const head = `POST /v1/complete HTTP/1.1\r\nhost: x\r\nx-api-key: ${impatient.key}\r\n`;
  const body = `content-type: application/json\r\ncontent-length: 60000\r\n\r\n{"prompt":"`;
  const received = await Promise.all([
    rawExchange(impatient.url, drip(head, 'x-filler: x\r\n'), 20),
    rawExchange(impatient.url, drip(head + body, 'x'), 20),
    rawExchange(impatient.url, []),
  ]);
  for (const answer of received) assert.doesNotMatch(answer, / 200 OK/);
});
