/** Ollama's API on a key's port: what its clients send and read, and who may not use it. */
import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { RelayError } from '../src/errors.ts';
import type { Keys } from '../src/keys/store.ts';
import type { KeyGrants } from '../src/keys/key.ts';
import { systemClock } from '../src/limits/clock.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { changeKeys, ollamaPort } from './support/ollama-port.ts';
import { freePort } from './support/ports.ts';
import { eventually, ledgerRow, startTestRelay } from './support/relay.ts';
import { structuredModel } from './support/weather.ts';

let relay: InProcessRelay;
let now = Date.now();
before(async () => {
  // A page that may call the relay's own API may not use a port without a key.
  const settings = { CORS_ORIGINS: 'https://evil.example' };
  relay = await startInProcess({
    settings,
    overrides: { clock: { ...systemClock, wall: () => now }, times: { followKeysMs: 20 } },
  });
});
after(() => relay.stop());

const change = <T>(work: (keys: Keys) => T): T => changeKeys(relay, work);
const served = (label: string, grants?: KeyGrants): ReturnType<typeof ollamaPort> =>
  ollamaPort(relay, label, grants);

function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
}

/** As ollama-python reads a stream: each line is JSON, and none is empty. */
async function lines(response: Response): Promise<Record<string, unknown>[]> {
  const text = await response.text();
  assert.ok(text.endsWith('\n'));
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const messages = [{ role: 'user', content: 'hi' }];

/** With headers that `fetch` does not let a program choose. */
function raw(
  port: number,
  headers: Record<string, string>,
  { path = '/api/tags', method = 'GET' } = {},
): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('a key with a port', () => {
  let url: string;
  let port: number;
  let keyId: string;
  before(async () => {
    ({ url, port, keyId } = await served('ha'));
  });

  test('says that Ollama is running, which version it speaks, and which models there are', async () => {
    const root = await fetch(`${url}/`);
    assert.deepEqual([root.status, await root.text()], [200, 'Ollama is running']);
    // The client has a slash at the end of its URL.
    assert.equal((await fetch(`${url}//api/version/`)).status, 200);
    const head = await fetch(`${url}/`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    const version = (await (await fetch(`${url}/api/version`)).json()) as { version: string };
    assert.match(version.version, /^\d+\.\d+\.\d+$/);
    const tags = (await (await fetch(`${url}/api/tags`)).json()) as { models: Record<string, unknown>[] };
    assert.deepEqual(
      tags.models.map(({ name, model }) => [name, model]),
      ['opus', 'sonnet', 'haiku'].map((model) => [`${model}:latest`, `${model}:latest`]),
    );
    assert.match(String(tags.models[0]?.['digest']), /^[0-9a-f]{64}$/);
    assert.deepEqual(await (await fetch(`${url}/api/ps`)).json(), { models: [] });
    const show = await post(`${url}/api/show`, { model: 'haiku:latest' });
    const shown = (await show.json()) as { capabilities: string[]; model_info: Record<string, unknown> };
    assert.deepEqual(shown.capabilities, ['completion', 'vision', 'tools', 'thinking']);
    assert.equal(shown.model_info['claude.context_length'], 200_000);
  });

  test('streams a chat as lines of JSON, and counts and records it as the key’s', async () => {
    relay.model.say({ kind: 'text', text: ['Hel', 'lo'] });
    const response = await post(`${url}/api/chat`, {
      model: 'haiku:latest',
      messages,
      keep_alive: '-1s',
      options: { num_ctx: 8192 },
    });
    assert.deepEqual(
      [response.status, response.headers.get('content-type'), response.headers.get('x-relay-ignored-params')],
      [200, 'application/x-ndjson', 'keep_alive, options.num_ctx'],
    );
    const sent = await lines(response);
    assert.deepEqual(
      sent.map(({ model, message, done }) => [model, message, done]),
      [
        ['haiku:latest', { role: 'assistant', content: 'Hel' }, false],
        ['haiku:latest', { role: 'assistant', content: 'lo' }, false],
        ['haiku:latest', { role: 'assistant', content: '' }, true],
      ],
    );
    const end = sent.at(-1) ?? {};
    assert.equal(end['done_reason'], 'stop');
    for (const count of ['total_duration', 'eval_duration', 'prompt_eval_count', 'eval_count']) {
      assert.ok(Number.isSafeInteger(end[count]) && Number(end[count]) > 0, count);
    }
    const row = await ledgerRow(relay, response.headers.get('request-id') ?? '');
    assert.deepEqual(
      [row['key_id'], row['route'], row['model'], row['status'], row['tokens_out']],
      [keyId, 'ollama_chat', 'haiku', 200, end['eval_count']],
    );
    assert.match(relay.log(), /"route":"ollama_chat".*"key_label":"ha"/);
  });

  test('answers a generate request whole, and loads a model without asking it', async () => {
    relay.model.say({ kind: 'text', text: 'hello' });
    const whole = await post(`${url}/api/generate`, { model: 'opus', prompt: 'hi', stream: false });
    assert.match(whole.headers.get('content-type') ?? '', /^application\/json/);
    const { response, done } = (await whole.json()) as Record<string, unknown>;
    assert.deepEqual([response, done], ['hello', true]);
    const asked = relay.model.requests.length;
    const loaded = (await (await post(`${url}/api/generate`, { model: 'opus' })).json()) as Record<
      string,
      unknown
    >;
    assert.deepEqual([loaded['response'], loaded['done'], loaded['done_reason']], ['', true, 'load']);
    assert.equal(relay.model.requests.length, asked);
  });

  test('serves a round of tools as Home Assistant sends it', async () => {
    const tools = [
      {
        type: 'function',
        function: { name: 'HassTurnOn', description: 'On', parameters: { type: 'object', properties: {} } },
      },
    ];
    relay.model.say({ kind: 'tool_use', name: 'HassTurnOn', input: { area: 'kitchen' } });
    const first = await lines(
      await post(`${url}/api/chat`, { model: 'opus:latest', messages, tools, think: false }),
    );
    const called = first.find(({ message }) => 'tool_calls' in (message as object))?.['message'] as {
      tool_calls: { function: { name: string; arguments: object } }[];
    };
    const [{ function: call } = { function: undefined }] = called.tool_calls;
    assert.deepEqual([call?.name, call?.arguments], ['HassTurnOn', { area: 'kitchen' }]);
    relay.model.say({ kind: 'text', text: 'Done.' });
    const history = [
      ...messages,
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ function: { name: call?.name, arguments: call?.arguments } }],
      },
      { role: 'tool', content: '{"data":"ok"}' },
    ];
    const second = await lines(
      await post(`${url}/api/chat`, { model: 'opus:latest', messages: history, tools }),
    );
    assert.deepEqual(
      second.map(({ message }) => message),
      ['Done.', ''].map((content) => ({ role: 'assistant', content })),
    );
  });

  test('answers with JSON of a format as Home Assistant writes it', async () => {
    const format = {
      type: 'object',
      properties: { rooms: { type: 'integer', nullable: true } },
      required: ['rooms'],
    };
    relay.model.setReply((request) => structuredModel(request, { rooms: 3 }));
    const whole = await post(`${url}/api/chat`, { model: 'opus', messages, format, stream: false });
    const body = (await whole.json()) as { message?: { content: string }; error?: string };
    assert.deepEqual(JSON.parse(body.message?.content ?? body.error ?? ''), { rooms: 3 });
  });

  test('answers errors in Ollama’s shape, before a stream and in it', async () => {
    const cases: [string, object, number, RegExp][] = [
      [
        '/api/chat',
        { model: 'llama3.2', messages },
        404,
        /^Field "model" must be one of opus, sonnet, haiku/,
      ],
      [
        '/api/chat',
        { model: 'opus', messages: [{ role: 'user' }] },
        400,
        /^'messages\[0\]\.content' must not be blank/,
      ],
      ['/api/show', { model: 'llama3.2' }, 404, /^Field "model" must be one of/],
      ['/api/show', {}, 400, /^'model' must be a string/],
      [
        '/api/pull',
        { model: 'opus' },
        404,
        /^This path does not exist here\..*no embeddings, and no models to pull/,
      ],
      ['/api/tags', {}, 405, /^This path answers GET, HEAD only/],
    ];
    for (const [path, body, status, message] of cases) {
      const response = await post(`${url}${path}`, body);
      const error = (await response.json()) as { error: string };
      assert.deepEqual([response.status, Object.keys(error)], [status, ['error']], path);
      assert.match(error.error, message);
    }
    const noJson = await post(
      `${url}/api/chat`,
      { model: 'opus', messages },
      { 'content-type': 'text/plain' },
    );
    assert.equal(noJson.status, 415);
    const error = new RelayError('upstream_error', 'The model broke off.');
    relay.model.say({ kind: 'relay_error', error, afterText: 'Hel' });
    const broken = await lines(await post(`${url}/api/chat`, { model: 'opus', messages }));
    assert.deepEqual(broken.at(-1), { error: 'The model broke off.' });
    assert.equal(broken.length, 2);
  });

  test('answers no page in a browser and nothing that was forwarded', async () => {
    const asked = relay.model.requests.length;
    const host = `127.0.0.1:${port}`;
    const refused: Record<string, string>[] = [
      { host: 'evil.example' },
      { host: `evil.example:${port}` },
      { host: 'localhost.evil.example' },
      { host: '127.0.0.1.evil.example' },
      { host: '192.168.1.5' },
      { host, origin: 'https://evil.example' },
      { host, origin: `http://127.0.0.1:${port}` },
      { host, origin: 'null' },
      { host, 'sec-fetch-site': 'cross-site' },
      { host, 'sec-fetch-site': 'same-origin' },
      { host, 'x-forwarded-for': '203.0.113.1' },
      { host, 'cf-connecting-ip': '203.0.113.1' },
    ];
    for (const headers of refused) {
      for (const at of [
        {},
        { path: '/' },
        { path: '/nowhere' },
        { path: '/api/chat', method: 'POST' },
        { path: '/api/chat', method: 'OPTIONS' },
      ]) {
        const answer = await raw(port, headers, at);
        assert.equal(answer.status, 403, JSON.stringify([headers, at]));
        assert.deepEqual(Object.keys(JSON.parse(answer.text) as object), ['error']);
        assert.deepEqual(
          Object.keys(answer.headers).filter((name) => name.startsWith('access-control-')),
          [],
        );
      }
    }
    for (const name of [host, 'localhost', `LOCALHOST:${port}`, '127.0.0.1', `[::1]:${port}`]) {
      assert.equal((await raw(port, { host: name })).status, 200, name);
    }
    assert.equal((await raw(port, { host, 'sec-fetch-site': 'none' }, { path: '/' })).status, 200);
    assert.equal(relay.model.requests.length, asked);
  });

  test('does not open the relay’s other routes, and the relay does not open these', async () => {
    for (const path of ['/v1/models', '/v1/usage', '/health', '/ready', '/openapi.json']) {
      assert.equal((await fetch(`${url}${path}`)).status, 404, path);
    }
    assert.equal((await fetch(`${relay.url}/api/tags`)).status, 404);
    assert.equal((await relay.post({ model: 'opus', messages }, { path: '/api/chat' })).status, 404);
  });
});

describe('the rules of the key', () => {
  test('limits hold across its port and its secret', async () => {
    const { url } = await served('few', { dailyLimit: 1 });
    relay.model.say({ kind: 'text', text: 'hello' });
    assert.equal((await post(`${url}/api/chat`, { model: 'opus', messages, stream: false })).status, 200);
    const second = await post(`${url}/api/chat`, { model: 'opus', messages });
    assert.equal(second.status, 429);
    assert.match(((await second.json()) as { error: string }).error, /today|daily|day/i);
    assert.ok(second.headers.has('retry-after'));
    const secret = change((keys) => keys.rotate('few', 0, 'test').token);
    const direct = await relay.post({ prompt: 'hi' }, { headers: { authorization: `Bearer ${secret}` } });
    assert.equal(direct.status, 429);
  });

  test('models and routes hold', async () => {
    const { url } = await served('narrow', { allowedModels: ['haiku'], allowedRoutes: ['complete'] });
    assert.equal((await post(`${url}/api/chat`, { model: 'opus', messages })).status, 403);
    assert.equal((await fetch(`${url}/api/tags`)).status, 403);
    relay.model.say({ kind: 'text', text: 'hello' });
    assert.equal((await post(`${url}/api/chat`, { model: 'haiku', messages, stream: false })).status, 200);
    const { url: modelsOnly } = await served('models', { allowedModels: ['haiku'] });
    const tags = (await (await fetch(`${modelsOnly}/api/tags`)).json()) as { models: { name: string }[] };
    assert.deepEqual(
      tags.models.map(({ name }) => name),
      ['haiku:latest'],
    );
  });

  test('an expired key’s port answers 401 in Ollama’s shape', async () => {
    const { url } = await served('brief', { expiresAt: now + 3_600_000 });
    assert.equal((await fetch(`${url}/`)).status, 200);
    now += 3_600_000;
    for (const path of ['/', '/api/tags', '/api/version']) {
      const response = await fetch(`${url}${path}`);
      assert.equal(response.status, 401, path);
      assert.match(((await response.json()) as { error: string }).error, /revoked, disabled or has expired/);
    }
    assert.equal((await post(`${url}/api/chat`, { model: 'opus', messages })).status, 401);
    now -= 3_600_000;
  });

  test('a port answers 401 and then closes when its key is revoked or loses it', async () => {
    for (const [label, end] of [
      ['gone', (keys: Keys) => keys.revoke('gone', 'test')],
      ['off', (keys: Keys) => keys.change('off', { ollama: null }, 'key set')],
    ] as const) {
      const { url } = await served(label);
      change(end);
      await eventually(`${url} is closed`, async () => {
        const answer = await fetch(`${url}/api/tags`).catch(() => undefined);
        if (answer !== undefined) assert.equal(answer.status, 401);
        return answer === undefined;
      });
      assert.match(relay.log(), /no longer listening for Ollama clients/);
    }
  });

  test('a port that is taken is reported once, and opened when it is free', async () => {
    const { port, url } = await served('first');
    const taken = await freePort();
    const other = createServer().listen(taken, '127.0.0.1');
    change((keys) => keys.change('first', { ollama: { host: '127.0.0.1', port: taken } }, 'key set'));
    const warned = () => relay.log().match(new RegExp(`"port":${taken}.*cannot listen`, 'g')) ?? [];
    await eventually('the warning', () => warned().length > 0);
    await eventually(`${url} is closed`, () =>
      relay.log().includes(`"url":"http://127.0.0.1:${port}","msg":"no longer`),
    );
    other.close();
    await eventually('the port is open', () => relay.log().includes(`"url":"http://127.0.0.1:${taken}"`));
    assert.equal(warned().length, 1);
  });
});

test('a relay that stops lets the stream of a key’s port end, and closes the port', async () => {
  const { url } = await served('last');
  const begun = Promise.withResolvers<void>();
  const rest = Promise.withResolvers<void>();
  relay.model.say({
    kind: 'text',
    text: ['Hel', 'lo'],
    beforeDelta: (index) => {
      if (index === 0) return;
      begun.resolve();
      return rest.promise;
    },
  });
  const response = await post(`${url}/api/chat`, { model: 'opus', messages });
  await begun.promise;
  const stopped = relay.stop();
  await eventually(
    'new work is refused',
    async () => (await post(`${url}/api/chat`, { model: 'opus', messages })).status === 503,
  );
  rest.resolve();
  assert.equal((await lines(response)).at(-1)?.['done_reason'], 'stop');
  await stopped;
  await assert.rejects(fetch(url));
});

test('key set opens the port of a relay that runs, and a real Claude Code answers there', async () => {
  const whole = await startTestRelay({ proof: false });
  try {
    const port = await freePort();
    whole.command('genkey', 'ha');
    whole.command('claude-relay', 'key', 'set', 'ha', '--ollama-port', String(port));
    const url = `http://127.0.0.1:${port}`;
    await eventually('the port is open', () =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const tools = [
      { type: 'function', function: { name: 'HassTurnOn', parameters: { type: 'object', properties: {} } } },
    ];
    const body = {
      model: 'opus:latest',
      messages: [{ role: 'system', content: 'Brief.' }, ...messages],
      tools,
      think: false,
    };
    const sent = await lines(await post(`${url}/api/chat`, body));
    assert.deepEqual(sent[0]?.['message'], { role: 'assistant', content: 'hello' });
    assert.equal(sent.at(-1)?.['done'], true);
    const asked = whole.model.requests.at(-1)?.json as Record<string, unknown>;
    assert.ok(!('thinking' in asked));
    assert.deepEqual(
      (asked['tools'] as { name: string }[]).map(({ name }) => name),
      ['HassTurnOn'],
    );
    whole.command('claude-relay', 'key', 'set', 'ha', '--ollama-port', 'off');
    await eventually('the port is closed', () =>
      fetch(url).then(
        () => false,
        () => true,
      ),
    );
  } finally {
    await whole.stop();
  }
});
