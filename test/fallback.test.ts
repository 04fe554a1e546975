/** The fallback of a key: who answers when the plan is used up, how often that is tried, and where it is said. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { RelayError } from '../src/errors.ts';
import type { KeyGrants } from '../src/keys/key.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import { FakeClock } from './support/limits.ts';
import { changeKeys, ollamaPort } from './support/ollama-port.ts';
import { startOwnerRelay } from './support/owner-page.ts';
import { eventually, ledgerRow, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';

const secondKey = 'sk-ant-api03-second';
const second = { FALLBACK_ANTHROPIC_API_KEY: secondKey, FALLBACK_USD_DAILY: '1' };
const messages = [{ role: 'user', content: 'hi' }];

/** A 429 of the API, as the CLI reports it: of a window (`five_hour`), or of nothing that it names. */
function refused(window?: string): ScriptedReply {
  const headers =
    window === undefined
      ? {}
      : {
          'anthropic-ratelimit-unified-reset': String(Math.ceil(Date.now() / 1000) + 7200),
          'anthropic-ratelimit-unified-representative-claim': window,
        };
  return {
    kind: 'error',
    status: 429,
    type: 'rate_limit_error',
    message: 'This request would exceed.',
    headers,
  };
}

const hello: ScriptedReply = { kind: 'text', text: 'hello' };

/** The plan's login is refused: for Opus alone, or for all models. The second login answers. */
const planIsUsedUp =
  (window: string) =>
  ({
    headers,
    json,
  }: {
    headers: Record<string, unknown>;
    json: { model: string } | undefined;
  }): ScriptedReply =>
    headers['login'] === 'host' && (window !== 'seven_day_opus' || json?.model.includes('opus') === true)
      ? refused(window)
      : hello;

type Asked = { status: number; text: string; body: Record<string, unknown>; headers: Headers };

async function start(t: TestContext, options: InProcessOptions = {}): Promise<InProcessRelay> {
  const relay = await startInProcess(options);
  t.after(() => relay.stop());
  return relay;
}

async function ask(
  relay: InProcessRelay,
  key: string,
  body: object = {},
  path = '/v1/complete',
): Promise<Asked> {
  const headers = { authorization: `Bearer ${key}`, accept: 'application/json, text/event-stream' };
  const prompt = path === '/v1/complete' ? { prompt: 'hi' } : {};
  const response = await relay.post({ ...prompt, ...body }, { path, headers });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  const read = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, text, body: read, headers: response.headers };
}

/** Who was asked, in order. */
function asked({ model }: InProcessRelay): string[] {
  return model.requests.map(({ json, headers }) => `${json?.model} ${String(headers['login'])}`);
}

const opus = 'claude-opus-5 host';
const sonnet = 'claude-sonnet-5 host';
const opusSecond = 'claude-opus-5 fallback';

async function rowOf(relay: InProcessRelay, { headers }: Asked): Promise<Record<string, unknown>> {
  return ledgerRow(relay, headers.get('request-id') ?? '');
}

describe('a fallback to a model', { concurrency: 4 }, () => {
  test('answers once the plan has refused, and later requests ask it at once', async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('seven_day_opus'),
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '0' },
    });
    const key = relay.mint('app', { fallback: 'sonnet' });
    const first = await ask(relay, key, { model: 'opus', output_format: 'json' });
    assert.equal(first.status, 200, first.text);
    assert.partialDeepStrictEqual(first.body, {
      model: 'sonnet',
      resolved_model: 'claude-sonnet-5',
      fallback_from: 'opus',
    });
    assert.equal(first.headers.get('x-relay-fallback-from'), 'opus');
    assert.deepEqual(asked(relay), [opus, sonnet]);
    const next = await ask(relay, key, { model: 'claude-opus-4-1' });
    assert.partialDeepStrictEqual(next.body, { ok: true, model: 'sonnet', fallback_from: 'opus' });
    assert.equal(next.headers.get('x-relay-resolved-model'), null);
    assert.deepEqual(asked(relay).slice(2), [sonnet], 'no process to find out again');
    assert.partialDeepStrictEqual(await rowOf(relay, next), {
      model: 'sonnet',
      fallback_from: 'opus',
      status: 200,
    });
    // Without a fallback, and for another model, nothing changes.
    const other = await ask(relay, relay.key, { model: 'opus' });
    assert.deepEqual(
      [other.status, other.body['limit'], other.headers.get('x-relay-fallback-from')],
      [429, 'plan', null],
    );
    const plain = await ask(relay, key, { model: 'haiku' });
    assert.deepEqual([plain.body['model'], plain.body['fallback_from']], ['haiku', undefined]);
  });

  test('of a window of all models is refused with its reset time, and tried by no request', async (t) => {
    const relay = await start(t, { reply: planIsUsedUp('five_hour') });
    const key = relay.mint('app', { fallback: 'sonnet' });
    for (const round of [1, 2, 3]) {
      const { status, body, headers } = await ask(relay, key, { model: 'opus' });
      assert.deepEqual(
        [status, body['limit'], body['fallback_from']],
        [429, 'plan', undefined],
        String(round),
      );
      assert.ok(Number(headers.get('retry-after')) > 7000);
      assert.equal(headers.get('x-relay-fallback-from'), null);
    }
    assert.deepEqual(asked(relay), [opus]);
  });

  test('is asked once if its family turns out to be used up, too, and never again', async (t) => {
    const relay = await start(t, { reply: () => refused('a_new_window') });
    const key = relay.mint('app', { fallback: 'sonnet' });
    const answers = [];
    for (let round = 0; round < 3; round += 1) answers.push(await ask(relay, key, { model: 'opus' }));
    for (const { status, body, headers } of answers) {
      assert.deepEqual([status, body['limit'], headers.get('x-relay-fallback-from')], [429, 'plan', null]);
      assert.match(String(body['message']), /used up for opus models/, 'the refusal of what was asked');
    }
    assert.deepEqual(asked(relay), [opus, sonnet]);
    assert.partialDeepStrictEqual(await rowOf(relay, answers[0] as Asked), {
      model: 'opus',
      fallback_from: null,
    });
  });

  test('is not asked for another failure, nor for a limit of the relay', async (t) => {
    const failures: ScriptedReply[] = [
      { kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' },
      refused(),
      { kind: 'error', status: 401, type: 'authentication_error', message: 'invalid x-api-key' },
      { kind: 'error', status: 500, type: 'api_error', message: 'Internal' },
      {
        kind: 'error',
        status: 400,
        type: 'invalid_request_error',
        message: 'You have reached your specified API usage limits.',
      },
    ];
    const relay = await start(t, { settings: { PER_KEY_DAILY: String(failures.length) } });
    const key = relay.mint('app', { fallback: 'sonnet' });
    for (const failure of failures) {
      relay.model.say(failure);
      const { status, headers } = await ask(relay, key, { model: 'opus' });
      assert.notEqual(status, 200);
      assert.equal(headers.get('x-relay-fallback-from'), null);
    }
    assert.deepEqual([...new Set(asked(relay))], [opus]);
    // The failures gave their counts back: the day has room for as many answers.
    relay.model.say(hello);
    for (let left = failures.length; left > 0; left -= 1) await ask(relay, key, { model: 'opus' });
    const { status, body } = await ask(relay, key, { model: 'opus' });
    assert.deepEqual([status, body['limit']], [429, 'key_daily']);
    assert.deepEqual([...new Set(asked(relay))], [opus]);
  });

  test('its own failure reaches the caller, and says in place of what it was asked', async (t) => {
    const relay = await start(t);
    relay.model.setReply(({ json }) =>
      json?.model.includes('opus') === true
        ? refused('seven_day_opus')
        : { kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' },
    );
    const answer = await ask(relay, relay.mint('app', { fallback: 'sonnet' }), { model: 'opus' });
    assert.deepEqual([answer.status, answer.body['error']], [503, 'upstream_overloaded']);
    assert.equal(answer.headers.get('x-relay-fallback-from'), 'opus');
    assert.partialDeepStrictEqual(await rowOf(relay, answer), { model: 'sonnet', fallback_from: 'opus' });
  });

  test('is not asked after a part of the answer has been passed on, nor after tokens are spent', async (t) => {
    const error = new RelayError('rate_limited', 'used up', {
      limit: 'plan',
      usedUp: true,
      untilMs: Date.now() + 60_000,
    });
    for (const stream of [true, false]) {
      const relay = await start(t, { reply: () => ({ kind: 'relay_error', error, afterText: 'half' }) });
      const { text, headers } = await ask(relay, relay.mint('app', { fallback: 'sonnet' }), {
        model: 'opus',
        stream,
      });
      assert.match(text, /rate_limited/);
      assert.equal(headers.get('x-relay-fallback-from'), null);
      assert.deepEqual(asked(relay), [opus]);
    }
  });

  test('needs no second place in the minute, and answers for a locked model, too', async (t) => {
    const relay = await start(t, { reply: planIsUsedUp('seven_day_opus') });
    const key = relay.mint('app', { fallback: 'sonnet', rpm: 1, model: 'opus', locked: true });
    const { status, body } = await ask(relay, key);
    assert.deepEqual([status, body['model'], body['fallback_from']], [200, 'sonnet', 'opus']);
    assert.equal((await ask(relay, key)).body['limit'], 'key_rpm');
  });

  test('answers until a trial of the plan begins its answer', async (t) => {
    const clock = new FakeClock(Date.now());
    const relay = await start(t, { reply: () => refused('five_hour'), overrides: { clock } });
    const key = relay.mint('app', { fallback: 'sonnet' });
    assert.equal((await ask(relay, key, { model: 'opus' })).status, 429);
    clock.advance(7_260_000);
    relay.model.say({ kind: 'hang', after: 'text', text: 'It begins' });
    const client = new AbortController();
    const trial = await fetch(`${relay.url}/v1/complete`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'hi', model: 'opus', stream: true }),
      signal: client.signal,
    });
    let text = '';
    for await (const chunk of trial.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('It begins')) break;
    }
    relay.model.say(hello);
    const { status, body } = await ask(relay, relay.key, { model: 'opus' });
    assert.deepEqual([status, body['text']], [200, 'hello'], 'the trial still runs');
    client.abort();
  });

  test('has to be a model of the relay and of the key when it is needed', async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('seven_day_opus'),
      settings: { ALLOWED_MODELS: 'opus,haiku' },
    });
    const grants: KeyGrants[] = [{ fallback: 'sonnet' }, { fallback: 'api' }, { fallback: 'opus' }];
    for (const [index, each] of grants.entries()) {
      const { status, body } = await ask(relay, relay.mint(`app-${index}`, each), { model: 'opus' });
      assert.deepEqual([status, body['limit']], [429, 'plan'], JSON.stringify(each));
    }
    assert.deepEqual(asked(relay), [opus]);
    const key = relay.mint('narrow', { fallback: 'haiku', allowedModels: ['opus', 'haiku'] });
    assert.equal((await ask(relay, key, { model: 'opus' })).body['model'], 'haiku');
    changeKeys(relay, (keys) => keys.change('narrow', { fallback: null }, 'test'));
    assert.equal((await ask(relay, key, { model: 'opus' })).status, 429);
  });

  test('can be a name of MODEL_ALIASES', async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('seven_day_opus'),
      settings: { MODEL_ALIASES: 'small=sonnet' },
    });
    const answer = await ask(relay, relay.mint('app', { fallback: 'small' }), { model: 'opus' });
    assert.partialDeepStrictEqual(answer.body, { ok: true, model: 'small', fallback_from: 'opus' });
    assert.partialDeepStrictEqual(await rowOf(relay, answer), { model: 'sonnet', fallback_from: 'opus' });
    assert.deepEqual(asked(relay), [opus, sonnet]);
  });
});

describe('a fallback is said in every dialect', { concurrency: 4 }, () => {
  const dialects: [path: string, body: object, streamed: RegExp][] = [
    ['/v1/complete', { prompt: 'hi' }, /event: done\ndata: .*"model":"sonnet".*"fallback_from":"opus"/],
    [
      '/v1/messages',
      { messages, max_tokens: 9 },
      /"message_start","message":\{.*"model":"claude-sonnet-5".*"fallback_from":"opus"/,
    ],
    ['/v1/chat/completions', { messages }, /"fallback_from":"opus".*"model":"claude-sonnet-5"/],
    [
      '/v1/responses',
      { input: 'hi' },
      /response\.completed.*"model":"claude-sonnet-5".*"fallback_from":"opus"/,
    ],
  ];
  for (const [path, body, streamed] of dialects) {
    for (const known of [false, true]) {
      const when = known ? 'before a start' : 'after the refusal of a turn';
      test(`${path}, whole and streamed, ${when}`, async (t) => {
        const relay = await start(t, { reply: planIsUsedUp('seven_day_opus') });
        const key = relay.mint('app', { fallback: 'sonnet' });
        for (const stream of [false, true]) {
          const fresh = await start(t, { reply: planIsUsedUp('seven_day_opus') });
          const at = known ? relay : fresh;
          const own = known ? key : fresh.mint('app', { fallback: 'sonnet' });
          if (known) await ask(relay, relay.key, { model: 'opus' });
          const answer = await ask(at, own, { ...body, model: 'opus', stream }, path);
          assert.equal(answer.status, 200, answer.text);
          assert.equal(answer.headers.get('x-relay-fallback-from'), 'opus');
          if (stream) assert.match(answer.text, streamed);
          else assert.equal(answer.body['fallback_from'], 'opus');
          assert.match(answer.text, /hello/);
        }
      });
    }
  }

  test("Ollama's API, MCP, jobs and repeats", async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('seven_day_opus'),
      overrides: { times: { followKeysMs: 20 } },
    });
    const { url } = await ollamaPort(relay, 'ollama', { fallback: 'sonnet' });
    const chat = await fetch(`${url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'opus', messages, stream: false }),
    });
    assert.equal(chat.headers.get('x-relay-fallback-from'), 'opus');
    assert.partialDeepStrictEqual(await chat.json(), { fallback_from: 'opus' });

    const key = relay.mint('app', { fallback: 'sonnet' });
    const call = await ask(
      relay,
      key,
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'ask_claude', arguments: { prompt: 'hi', model: 'opus' } },
      },
      '/mcp',
    );
    assert.match(call.text, /"claude-relay\/answer":\{.*"fallback_from":"opus"/);

    const { body } = await ask(relay, key, { model: 'opus', async: true });
    const { url: job } = body['job'] as { url: string };
    const jobBody = async () =>
      (await (await fetch(relay.url + job, { headers: { 'x-api-key': key } })).json()) as {
        job: { response?: { body: object } };
      };
    await eventually('the job is done', async () => (await jobBody()).job.response !== undefined);
    assert.partialDeepStrictEqual((await jobBody()).job.response?.body ?? {}, {
      model: 'sonnet',
      fallback_from: 'opus',
    });

    for (const _repeat of [1, 2]) {
      const headers = { authorization: `Bearer ${key}`, 'idempotency-key': 'one' };
      const answer = await relay.post({ prompt: 'hi', model: 'opus' }, { headers });
      assert.partialDeepStrictEqual(await answer.json(), { model: 'sonnet', fallback_from: 'opus' });
    }
  });
});

describe('a fallback to the second login', { concurrency: 4 }, () => {
  test('answers with the same model, and the sums say what it costs', async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('five_hour'),
      settings: second,
    });
    const key = relay.mint('app', { fallback: 'api', usdDaily: 5 });
    const first = await ask(relay, key, { model: 'opus', output_format: 'json' });
    assert.partialDeepStrictEqual(first.body, { ok: true, model: 'opus', fallback_from: 'plan' });
    assert.equal(first.headers.get('x-relay-fallback-from'), 'plan');
    assert.partialDeepStrictEqual(await rowOf(relay, first), {
      model: 'opus',
      fallback_from: 'plan',
      cost_usd: 0.001,
    });
    for (let round = 0; round < 2; round += 1)
      assert.equal((await ask(relay, key, { model: 'opus' })).status, 200);
    assert.deepEqual(asked(relay), [opus, opusSecond, opusSecond, opusSecond]);
    assert.match(relay.log(), /"fallback_from":"plan"/);
    const usage = async (): Promise<{
      today: Record<string, unknown>;
      limits: { key_usd: { used: number } };
    }> => (await (await fetch(`${relay.url}/v1/usage`, { headers: { 'x-api-key': key } })).json()) as never;
    await eventually('all is counted', async () => (await usage()).limits.key_usd.used === 0.003);
    await eventually('all is in the sums', async () => (await usage()).today['fallback_answers'] === 3);
    assert.partialDeepStrictEqual((await usage()).today, {
      cost_usd: 0.003,
      fallback_usd: 0.003,
    });
    const counts = query(
      relay,
      "SELECT scope, count FROM daily_counts WHERE scope LIKE 'usd:%' ORDER BY scope",
    );
    assert.deepEqual(
      counts.map(({ scope, count }) => [String(scope).replace(/key:.*/, 'key'), count]),
      [
        ['usd:all', 3000],
        ['usd:fallback', 3000],
        ['usd:key', 3000],
      ],
    );
    assert.match(
      relay.command('claude-relay', 'usage'),
      / FALLBACK +BILLED\n(?:.*\n)*total .* 3 +\$0\.0030\n/,
    );
    assert.match(
      relay.command('claude-relay', 'usage', '--csv'),
      /,fallback_answers,fallback_usd\n(?:.*\n)*.*,opus,3,.*,3,0\.003$/,
    );
  });

  test('never shares a process with the login of the host, hot or spare', async (t) => {
    let closed = false;
    const relay = await start(t, {
      settings: { ...second, HOT_PROCESSES: '8', WARM_SPARES: '2', GLOBAL_CONCURRENCY: '8' },
      reply: ({ headers }) => (closed && headers['login'] === 'host' ? refused('five_hour') : hello),
    });
    const key = relay.mint('app', { fallback: 'api' });
    const round = (): Promise<Asked[]> =>
      Promise.all([1, 2, 3].map(() => ask(relay, key, { model: 'opus' })));
    await round();
    closed = true;
    for (let rounds = 0; rounds < 3; rounds += 1) {
      for (const { body } of await round()) assert.equal(body['fallback_from'], 'plan');
    }
    const loginsOf = Map.groupBy(relay.model.requests, ({ headers }) => headers['process']);
    for (const [pid, requests] of loginsOf) {
      assert.equal(
        new Set(requests.map(({ headers }) => headers['login'])).size,
        1,
        `process ${String(pid)}`,
      );
    }
    const hot = relay.model.requests.filter(({ headers }) => headers['login'] === 'fallback');
    assert.ok(
      hot.length === 9 && new Set(hot.map(({ headers }) => headers['process'])).size < 9,
      'hot ones serve again',
    );
  });

  test('stops at its budget, also for requests at once, and then the refusal of the plan is the answer', async (t) => {
    const relay = await start(t, {
      reply: planIsUsedUp('five_hour'),
      settings: { ...second, FALLBACK_USD_DAILY: '0.01', GLOBAL_CONCURRENCY: '8', QUEUE_MAX: '100' },
    });
    const keys = ['first', 'second'].map((label) => relay.mint(label, { fallback: 'api' }));
    await ask(relay, relay.key, { model: 'opus' });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        ask(relay, keys[index % 2] ?? '', { model: 'opus', max_tokens: 1 }),
      ),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
    for (const { status, body, headers } of answers.filter(({ status }) => status !== 200)) {
      assert.deepEqual([status, body['limit'], headers.get('x-relay-fallback-from')], [429, 'plan', null]);
      assert.match(String(body['message']), /^The account's plan is used up for now/);
      assert.ok(Number(headers.get('retry-after')) <= 7201);
    }
    assert.equal(asked(relay).filter((each) => each === opusSecond).length, 10);
    assert.match(relay.log(), /"fallback":true,"unit":"usd".*four fifths/);
    assert.doesNotMatch(relay.log(), /second login was refused/);
  });

  test("counts in the key's own budget, whose refusal comes first", async (t) => {
    const relay = await start(t, { reply: planIsUsedUp('five_hour'), settings: second });
    const key = relay.mint('app', { fallback: 'api', usdDaily: 0.01 });
    const body = { model: 'opus', max_tokens: 1 };
    for (let left = 10; left > 0; left -= 1) assert.equal((await ask(relay, key, body)).status, 200);
    const refusal = await ask(relay, key, body);
    assert.deepEqual([refusal.status, refusal.body['limit']], [429, 'key_budget']);
  });

  test('counts two starts, and hides no refusal of the login of the host', async (t) => {
    const relay = await startOwnerRelay({
      settings: second,
      reply: ({ headers, json }) => {
        if (headers['login'] !== 'host') return hello;
        return json?.model.includes('haiku') === true
          ? { kind: 'error', status: 401, type: 'authentication_error', message: 'invalid' }
          : refused('seven_day_opus');
      },
    });
    t.after(() => relay.stop());
    const key = relay.mint('app', { fallback: 'api' });
    assert.equal((await ask(relay, key, { model: 'haiku' })).status, 503);
    const login = async (): Promise<string> => (await fetch(`${relay.url}/ready`)).text();
    assert.match(await login(), /the login was refused/);
    assert.equal((await ask(relay, key, { model: 'opus' })).body['fallback_from'], 'plan');
    assert.match(await login(), /the login was refused/);
    const headers = { authorization: `Bearer ${relay.mint('scraper', { allowedRoutes: ['metrics'] })}` };
    assert.match((await relay.send('/metrics', { headers })).text, /^relay_starts_total\{kind="cold"\} 3$/m);
  });

  test('that is refused itself is not tried again for a while, and does not make the relay unready', async (t) => {
    const relay = await start(t, {
      settings: second,
      reply: ({ headers }) =>
        headers['login'] === 'host'
          ? refused('seven_day_opus')
          : { kind: 'error', status: 401, type: 'authentication_error', message: 'invalid x-api-key' },
    });
    const key = relay.mint('app', { fallback: 'api' });
    for (const _round of [1, 2, 3]) {
      const { status, body, text } = await ask(relay, key, { model: 'opus' });
      assert.deepEqual([status, body['limit']], [429, 'plan']);
      assert.doesNotMatch(text, /log in|\$fallback|api-key/);
    }
    assert.deepEqual(asked(relay), [opus, opusSecond]);
    const ready = await fetch(`${relay.url}/ready`);
    assert.equal(ready.status, 200, await ready.clone().text());
    assert.doesNotMatch(await ready.text(), /fallback/);
    assert.match(relay.log(), /"msg":"the second login was refused/, "the owner's log has the reason");
  });

  test('that fails in its answer says so, and is billed', async (t) => {
    const used = new RelayError('rate_limited', 'Used up.', { limit: 'plan', usedUp: true });
    const relay = await start(t, {
      settings: second,
      reply: ({ headers }) =>
        headers['login'] === 'host'
          ? refused('five_hour')
          : { kind: 'relay_error', error: used, afterText: 'half an answer' },
    });
    const key = relay.mint('app', { fallback: 'api' });
    const answer = await ask(relay, key, { stream: true });
    assert.match(answer.text, /half an answer[^]*event: error/);
    const row = await rowOf(relay, answer);
    assert.partialDeepStrictEqual(row, { error: 'rate_limited', fallback_from: 'plan' });
    assert.ok(Number(row['cost_usd']) > 0);
    await eventually('it is billed', () => {
      const [row] = query(relay, "SELECT count FROM daily_counts WHERE scope = 'usd:fallback'");
      return Number(row?.['count'] ?? 0) > 0;
    });
  });

  test('is off without a budget or without its key', async (t) => {
    for (const settings of [{ FALLBACK_ANTHROPIC_API_KEY: secondKey }, { FALLBACK_USD_DAILY: '5' }]) {
      const relay = await start(t, { reply: planIsUsedUp('five_hour'), settings });
      const { status, body } = await ask(relay, relay.mint('app', { fallback: 'api' }), { model: 'opus' });
      assert.deepEqual([status, body['limit']], [429, 'plan']);
      assert.deepEqual(asked(relay), [opus]);
    }
  });
});

test("the owner's page shows what a fallback answered, and in place of what", async (t) => {
  const relay = await startOwnerRelay({ reply: planIsUsedUp('five_hour'), settings: second });
  t.after(() => relay.stop());
  const answer = await ask(relay, relay.mint('app', { fallback: 'api' }), { model: 'opus' });
  await rowOf(relay, answer);
  const { path, cookie } = await relay.session();
  const view = async (name: string): Promise<string> =>
    (await relay.send(path + name, { headers: { cookie } })).text;
  assert.match(await view('requests'), /opus <span class="why">in place of plan<\/span>/);
  assert.match(
    await view('use'),
    /Answers of a fallback<\/dt>\s*<dd>1<[^]*second login<\/dt>\s*<dd>\$0\.0010</,
  );
});
