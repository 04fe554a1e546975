/** GET /metrics: who reads it, and what a scrape has after requests of each kind. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Proof } from '../src/claude/proof/proof.ts';
import { systemClock } from '../src/limits/clock.ts';
import type { InProcessOptions } from './support/in-process.ts';
import { startOwnerRelay, type OwnerRelay } from './support/owner-page.ts';
import { freePort } from './support/ports.ts';
import { eventually, expireKey, mintKey, startTestRelay } from './support/relay.ts';

type Scraped = { text: string; samples: Map<string, number> };

async function scrape(relay: OwnerRelay, token: string): Promise<Scraped> {
  const { status, text } = await relay.send('/metrics', bearer(token));
  assert.equal(status, 200, text);
  return { text, samples: samplesOf(text) };
}

function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => /^\w/.test(line));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function start(t: TestContext, options: InProcessOptions = {}) {
  const relay = await startOwnerRelay(options);
  t.after(() => relay.stop());
  return { relay, token: relay.mint('prometheus', { allowedRoutes: ['metrics'] }) };
}

describe('who reads the metrics', () => {
  let relay: OwnerRelay;
  let token: string;
  before(async () => {
    relay = await startOwnerRelay();
    // The command prints the secret alone, so that it can go into a file.
    token = relay.command('claude-relay', 'key', 'create', 'prometheus', '--routes', 'metrics');
  });
  after(() => relay.stop());

  test('a key that names the route reads them, and no other key does', async () => {
    assert.match(token, /^crk_\S+$/);
    const answer = await relay.send('/metrics', bearer(token));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.match(answer.text, /^relay_ready 1$/m);
    const all = ['complete', 'fetch', 'models', 'usage'] as const;
    for (const key of [relay.key, relay.mint('all', { allowedRoutes: all })]) {
      const { status, text } = await relay.send('/metrics', bearer(key));
      assert.equal(status, 403);
      assert.match(text, /^This key may not read the metrics\. .*--routes metrics\n$/);
    }
    assert.equal((await relay.send('/metrics', { headers: { 'x-api-key': token } })).status, 200);
  });

  test('a key with that route alone gets a 403 from every other route', async () => {
    const init = bearer(token);
    for (const path of ['/v1/complete', '/v1/messages', '/v1/fetch', '/mcp']) {
      assert.equal((await relay.post({ prompt: 'hi' }, { path, ...init })).status, 403, path);
    }
    for (const path of ['/v1/models', '/v1/usage']) {
      assert.equal((await fetch(`${relay.url}${path}`, init)).status, 403, path);
    }
    assert.equal(relay.model.requests.length, 0);
  });

  test('the public listener answers 404', async () => {
    for (const path of ['/metrics', '/v1/metrics', '/metrics/']) {
      assert.equal((await fetch(`${relay.url}${path}`, bearer(token))).status, 404, path);
    }
  });

  test('a key that is missing, wrong, expired, disabled or revoked gets a 401', async () => {
    const keys: Record<string, string> = { wrong: `${token}x`, empty: '' };
    for (const label of ['expired', 'disabled', 'revoked'] as const) {
      keys[label] = relay.mint(label, { allowedRoutes: ['metrics'] });
    }
    expireKey(relay.dataDir, 'expired');
    relay.command('claude-relay', 'key', 'disable', 'disabled');
    relay.command('claude-relay', 'key', 'revoke', 'revoked');
    for (const [why, key] of Object.entries(keys)) {
      const { status, headers, text } = await relay.send('/metrics', bearer(key));
      assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer'], why);
      assert.doesNotMatch(text, /relay_/);
    }
    const { cookie } = await relay.session();
    assert.equal((await relay.send('/metrics', { headers: { cookie } })).status, 401, 'a session');
  });

  test('the guard of the listener refuses first', async () => {
    const { headers } = bearer(token);
    const other = await relay.send('/metrics', { headers: { ...headers, host: 'evil.example' } });
    assert.equal(other.status, 421);
    const forwarded = await relay.send('/metrics', {
      headers: { ...headers, 'x-forwarded-for': '127.0.0.1' },
    });
    assert.equal(forwarded.status, 403);
    assert.equal((await relay.send('/metrics', { headers, method: 'POST' })).status, 403);
  });

  test('after twenty wrong keys, a further one gets a 429, and the right one is served', async () => {
    let last = 0;
    for (let i = 0; i < 25; i += 1) last = (await relay.send('/metrics', bearer(`wrong-${i}`))).status;
    const { status, headers } = await relay.send('/metrics', bearer('wrong'));
    assert.deepEqual([last, status], [429, 429]);
    assert.ok(Number(headers['retry-after']) > 0);
    assert.equal((await relay.send('/metrics', bearer(token))).status, 200);
  });
});

describe('a scrape', { concurrency: 2 }, () => {
  test('has each request under its outcome, and nothing of its content', async (t) => {
    const { relay, token } = await start(t, { settings: { HOT_PROCESSES: '2' } });
    const secret = 'Prompt-4711';
    const usual = { prompt: secret, model: 'haiku', output_format: 'json' };
    assert.equal((await relay.complete(usual)).status, 200);
    assert.equal((await relay.complete(usual)).status, 200);
    relay.model.say({ kind: 'error', status: 500, type: 'api_error', message: secret });
    assert.equal((await relay.complete({ ...usual, model: 'opus' })).status, 502);
    relay.model.setReply(({ json }) => {
      const [tool] = json?.tools ?? [];
      return tool === undefined
        ? { kind: 'text', text: 'hello' }
        : { kind: 'tool_use', name: tool.name, input: { n: 1 } };
    });
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
    const limited = relay.mint('limited', { rpm: 1 });
    const asLimited = { path: '/v1/messages', ...bearer(limited) };
    const message = { model: 'sonnet', max_tokens: 9, messages: [{ role: 'user', content: secret }] };
    assert.equal((await relay.post(message, asLimited)).status, 200);
    assert.equal((await relay.post(message, asLimited)).status, 429);
    const structured = await relay.complete({ ...usual, model: 'sonnet', schema });
    assert.deepEqual([structured.status, structured.body['result']], [200, { n: 1 }]);
    for (const [url, status] of [
      [`http://127.0.0.1:1/${secret}`, 403],
      [`ftp://host-4711.example/${secret}`, 403],
    ] as const) {
      assert.equal((await relay.post({ url }, { path: '/v1/fetch' })).status, status, url);
    }
    assert.equal((await relay.post(usual, bearer(`crk_${secret}`))).status, 401);
    assert.equal((await fetch(`${relay.url}/${secret}`)).status, 404);

    const { text, samples } = await scrape(relay, token);
    const expected = {
      'relay_requests_total{route="complete",model="haiku",key="test",outcome="ok"}': 2,
      'relay_requests_total{route="complete",model="sonnet",key="test",outcome="ok"}': 1,
      'relay_requests_total{route="complete",model="opus",key="test",outcome="upstream_error"}': 1,
      'relay_requests_total{route="messages",model="sonnet",key="limited",outcome="ok"}': 1,
      'relay_requests_total{route="messages",model="sonnet",key="limited",outcome="rate_limited"}': 1,
      'relay_requests_total{route="fetch",model="(none)",key="test",outcome="blocked_address"}': 1,
      'relay_requests_total{route="fetch",model="(none)",key="test",outcome="blocked_scheme"}': 1,
      'relay_requests_total{route="complete",model="(none)",key="(none)",outcome="unauthorized"}': 1,
      'relay_requests_total{route="other",model="(none)",key="(none)",outcome="not_found"}': 1,
      'relay_limit_refusals_total{limit="key_rpm",key="limited"}': 1,
      'relay_fetch_total{outcome="blocked_address"}': 1,
      'relay_fetch_denied_total{reason="blocked_address"}': 1,
      'relay_fetch_denied_total{reason="blocked_scheme"}': 1,
      relay_auth_failures_total: 1,
      'relay_starts_total{kind="hot"}': 1,
      'relay_starts_total{kind="cold"}': 4,
      'relay_processes{kind="hot"}': 2,
      'relay_processes{kind="spare"}': 0,
      'relay_cost_usd_total{key="limited",model="sonnet"}': 0.001,
      'relay_request_seconds_count{route="complete",model="haiku"}': 2,
      'relay_request_seconds_bucket{le="+Inf",route="complete",model="haiku"}': 2,
      'relay_first_text_seconds_count{route="complete",model="haiku"}': 2,
      'relay_queue_seconds_count{route="complete",model="haiku"}': 2,
      'relay_overhead_seconds_count{route="complete",model="haiku"}': 2,
      relay_ready: 1,
      relay_lock_proved: 1,
      relay_sealed: 0,
      relay_ledger_write_failures_total: 0,
    };
    const found = Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)]));
    assert.deepEqual(found, expected);
    const requests = [...samples].filter(([name]) => name.startsWith('relay_requests_total'));
    assert.equal(
      requests.reduce((sum, [, count]) => sum + count, 0),
      10,
    );
    assert.ok((samples.get('relay_tokens_total{key="test",model="haiku",type="input"}') ?? 0) > 0);
    assert.match(text, /^relay_build_info\{version="\d+\.\d+\.\d+",cli_version="0\.0\.0-scripted"\} 1$/m);
    assert.doesNotMatch(text, /4711|req_|crk_|https?:|127\.0\.0\.1|host-|\/v1\//i);
    const ids = [...relay.log().matchAll(/"(?:request_id|key_id)":"(\w+)"/g)].map(([, id = '']) => id);
    assert.ok(ids.length > 10);
    for (const id of ids) assert.ok(!text.includes(id), id);
  });

  test('has a stream, a job and a call of a tool once each, when all of it is over', async (t) => {
    const { relay, token } = await start(t);
    const held = Promise.withResolvers<void>();
    relay.model.say({ kind: 'text', text: 'ab', beforeDelta: () => held.promise });
    const stream = await relay.post({ prompt: 'hi', stream: true });
    const job = await relay.post({ prompt: 'hi', async: true, model: 'haiku' });
    assert.deepEqual([stream.status, job.status], [200, 202]);
    await job.text();
    const counted = async (): Promise<[string, number][]> => {
      const { samples } = await scrape(relay, token);
      return [...samples].filter(([name]) => name.startsWith('relay_requests_total'));
    };
    assert.deepEqual(await counted(), []);
    held.resolve();
    await stream.text();
    const params = { name: 'fetch_page', arguments: { url: 'http://127.0.0.1:1/' } };
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
    const headers = { accept: 'application/json, text/event-stream' };
    await (await relay.post(call, { path: '/mcp', headers })).text();
    const expected: [string, number][] = [
      ['relay_requests_total{route="complete",model="haiku",key="test",outcome="ok"}', 1],
      ['relay_requests_total{route="complete",model="opus",key="test",outcome="ok"}', 1],
      ['relay_requests_total{route="mcp_fetch_page",model="(none)",key="test",outcome="blocked_address"}', 1],
    ];
    await eventually('three requests', async () => (await counted()).length === 3);
    assert.deepEqual(new Map(await counted()), new Map(expected));
    const { samples } = await scrape(relay, token);
    assert.equal(samples.get('relay_fetch_denied_total{reason="blocked_address"}'), 1);
  });

  test('has one series for 1,000 names of models that the relay does not know', async (t) => {
    const { relay, token } = await start(t);
    for (let i = 0; i < 1000; i += 50) {
      const names = Array.from({ length: 50 }, (_, j) => `unknown"\n}${i + j}`);
      const answers = await Promise.all(names.map((model) => relay.post({ prompt: 'hi', model })));
      await Promise.all(answers.map((answer) => answer.text()));
    }
    const { samples } = await scrape(relay, token);
    const requests = [...samples].filter(([name]) => name.startsWith('relay_requests_total'));
    assert.deepEqual(requests, [
      ['relay_requests_total{route="complete",model="(none)",key="test",outcome="bad_request"}', 1000],
    ]);
  });

  test('counts the requests that run and that wait', async (t) => {
    const { relay, token } = await start(t, {
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '5', QUEUE_TIMEOUT: '600' },
    });
    const held = Promise.withResolvers<void>();
    relay.model.say({ kind: 'text', text: 'ab', beforeDelta: () => held.promise });
    const asked = [1, 2, 3].map(() => relay.complete({ prompt: 'hi' }));
    await eventually('one request runs, two wait', async () => {
      const { samples } = await scrape(relay, token);
      return samples.get('relay_running') === 1 && samples.get('relay_queued') === 2;
    });
    held.resolve();
    for (const { status } of await Promise.all(asked)) assert.equal(status, 200);
    await eventually('no slot is in use', async () => {
      const { samples } = await scrape(relay, token);
      return samples.get('relay_running') === 0 && samples.get('relay_queued') === 0;
    });
  });

  test('has the windows of the plan', async (t) => {
    const windows = {
      five_hour: { utilization: 42.5, resets_at: '2030-01-01T00:00:00.000Z' },
      seven_day: { utilization: null, resets_at: null },
    };
    const plan = { windows: () => Promise.resolve(windows), close: () => Promise.resolve() };
    const { relay, token } = await start(t, { overrides: { plan } });
    await scrape(relay, token);
    const { samples } = await scrape(relay, token);
    assert.deepEqual(
      [...samples].filter(([name]) => name.startsWith('relay_plan')),
      [
        ['relay_plan_used_ratio{window="five_hour"}', 0.425],
        ['relay_plan_reset_timestamp_seconds{window="five_hour"}', Date.UTC(2030, 0, 1) / 1000],
      ],
    );
  });

  test('keeps the label of a revoked key for a day, and then counts it as (revoked)', async (t) => {
    let late = 0;
    const clock = { ...systemClock, wall: () => Date.now() + late };
    const { relay, token } = await start(t, { overrides: { clock } });
    const key = relay.mint('old');
    const ask = async (): Promise<void> => {
      assert.equal((await relay.post({ prompt: 'hi' }, bearer(key))).status, 200);
    };
    await ask();
    relay.command('claude-relay', 'key', 'revoke', 'old');
    const labels = async (): Promise<string[]> => {
      const { text } = await scrape(relay, token);
      return [...new Set([...text.matchAll(/key="([^"]+)"/g)].map(([, label = '']) => label))];
    };
    late = 86_000_000;
    assert.deepEqual(await labels(), ['old']);
    late = 87_000_000;
    assert.deepEqual(await labels(), ['(revoked)']);
    const again = relay.mint('old');
    assert.equal((await relay.post({ prompt: 'hi' }, bearer(again))).status, 200);
    assert.deepEqual((await labels()).toSorted(), ['(revoked)', 'old']);
  });

  test('counts the checks of a proof that failed', async (t) => {
    const proof: Proof = {
      proved: false,
      hotProblem: undefined,
      cliVersion: '1.2.3',
      provedAt: '2026-01-01T00:00:00.000Z',
      durationMs: 0,
      checks: [
        { name: 'no-tools', ok: false, detail: 'Bash' },
        { name: 'no-hook-ran', ok: true, detail: '' },
      ],
      addedBytes: 0,
      addedTexts: [],
    };
    const { relay, token } = await start(t, { overrides: { prove: () => Promise.resolve(proof) } });
    const { text, samples } = await scrape(relay, token);
    assert.equal(samples.get('relay_lock_check_failures_total{check="no-tools"}'), 1);
    assert.doesNotMatch(text, /no-hook-ran/);
    assert.deepEqual([samples.get('relay_ready'), samples.get('relay_lock_proved')], [0, 0]);
    assert.match(text, /^relay_build_info\{.*cli_version="\(not proved\)"\} 1$/m);
  });

  test('counts the tries to write the ledger that the database refuses', async (t) => {
    const { relay, token } = await start(t);
    const other = new DatabaseSync(join(relay.dataDir, 'relay.db'));
    t.after(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    // It needs no daily count, so it is served, and its record waits.
    const { status } = await fetch(`${relay.url}/v1/models`, bearer(relay.key));
    assert.equal(status, 200);
    await eventually('a refused write', async () => {
      const { samples } = await scrape(relay, token);
      return (samples.get('relay_ledger_write_failures_total') ?? 0) > 0;
    });
    assert.equal((await scrape(relay, token)).samples.get('relay_ready'), 0);
    other.exec('ROLLBACK');
    await eventually('a ledger that is written again', async () => {
      return (await scrape(relay, token)).samples.get('relay_ready') === 1;
    });
  });
});

test('a scrape of a relay with Claude Code has its processes and what ended them', async (t) => {
  const port = await freePort();
  const relay = await startTestRelay({
    settings: { ADMIN_PORT: String(port), HOT_PROCESSES: '1', WARM_SPARES: '0' },
  });
  t.after(() => relay.stop());
  const token = mintKey(relay.dataDir, 'prometheus', { allowedRoutes: ['metrics'] });
  const read = async (): Promise<Map<string, number>> => {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, bearer(token));
    assert.equal(answer.status, 200);
    return samplesOf(await answer.text());
  };
  assert.equal((await relay.complete({ prompt: 'hi' })).status, 200);
  const resting = await read();
  assert.equal(resting.get('relay_processes{kind="hot"}'), 1);
  assert.ok((resting.get('relay_child_rss_bytes') ?? 0) > 20_000_000);
  assert.equal(resting.get('relay_starts_total{kind="cold"}'), 1);

  relay.model.setReply(() => ({ kind: 'hang', after: 'accept' }));
  const body = { prompt: 'hi', system: 'Another app.', timeout: 1 };
  assert.equal((await relay.complete(body)).status, 504);
  assert.equal((await read()).get('relay_child_ends_total{cause="timeout"}'), 1);
  relay.command('claude-relay', 'key', 'revoke', 'test');
  await eventually('the hot process of a revoked key ends', async () => {
    return (await read()).get('relay_child_ends_total{cause="dismissed"}') === 1;
  });
});
