/** The limits, from outside: exact to the unit, never more processes than slots, and counts that a crash does not lose. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';
import { lastUserTexts } from './support/failing-model.ts';
import { rawExchange } from './support/raw.ts';
import {
  eventually,
  query,
  root,
  sleep,
  startTestRelay,
  throwaways,
  type TestRelay,
  type TestRelayOptions,
} from './support/relay.ts';

const byModel = join(root, 'test/fixtures/cli/by-model.sh');
const models = ['quick', 'slow', 'nothing', 'dies-in-the-middle', 'hangs-in-the-middle'];

async function start(t: TestContext, options: TestRelayOptions): Promise<TestRelay> {
  const relay = await startTestRelay({
    claudeBin: byModel,
    ...options,
    settings: {
      ALLOWED_MODELS: ['opus', ...models.map((model) => `fixture-${model}`)].join(','),
      QUEUE_MAX: '1000',
      QUEUE_TIMEOUT: '600',
      ...options.settings,
    },
  });
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

type Answer = { status: number; body: Record<string, unknown>; headers: Headers };

/** Sends them all at once. */
function burst(relay: TestRelay, count: number, model: string, key = relay.key): Promise<Answer>[] {
  return Array.from({ length: count }, async () => {
    const response = await relay.post(
      { prompt: 'hi', model: `fixture-${model}` },
      { headers: { authorization: `Bearer ${key}` } },
    );
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, headers: response.headers };
  });
}

async function one(relay: TestRelay, model: string, key = relay.key): Promise<Answer> {
  const [answer] = await Promise.all(burst(relay, 1, model, key));
  return answer ?? assert.fail();
}

function split(answers: readonly Answer[]): { passed: Answer[]; refused: Answer[] } {
  const odd = answers.filter(({ status }) => status !== 200 && status !== 429);
  assert.deepEqual(
    odd.map(({ body }) => body),
    [],
  );
  return {
    passed: answers.filter(({ status }) => status === 200),
    refused: answers.filter(({ status }) => status === 429),
  };
}

/** Turns that the fixture CLI has begun. */
function turns(relay: TestRelay): number {
  try {
    return readFileSync(join(relay.home, 'turns'), 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

function retryAfter(answer: Answer): number {
  const seconds = Number(answer.headers.get('retry-after'));
  assert.equal(answer.body['retry_after'], seconds);
  assert.ok(Number.isInteger(seconds) && seconds > 0);
  return seconds;
}

/** How many processes the relay has started and not seen the end of: most ever, sampled from /proc. */
function watchProcesses(relay: TestRelay): { most: () => number; samples: () => number } {
  const pid = relay.process.pid ?? 0;
  let most = 0;
  let samples = 0;
  const timer = setInterval(() => {
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
      most = Math.max(most, children.filter((child) => child !== '').length);
      samples += 1;
    } catch {
      clearInterval(timer);
    }
  }, 5);
  return {
    most: () => {
      clearInterval(timer);
      return most;
    },
    samples: () => samples,
  };
}

/** 200 by hand (some two minutes on two cores); a run of the whole suite can wait for this many. */
const realRequests = Number(process.env['REAL_REQUESTS'] ?? 16);

describe('limits', { concurrency: 3 }, () => {
  test('20 a minute: of 60 at once exactly 20 pass, and the time told is the time it takes', async (t) => {
    const relay = await start(t, { settings: { PER_KEY_RPM: '20', GLOBAL_CONCURRENCY: '4' } });
    const { passed, refused } = split(await Promise.all(burst(relay, 60, 'quick')));
    assert.deepEqual([passed.length, refused.length, turns(relay)], [20, 40, 20]);
    for (const answer of refused) {
      assert.equal(answer.body['limit'], 'key_rpm');
      assert.ok(retryAfter(answer) <= 60);
      assert.equal(answer.headers.get('x-should-retry'), null);
      assert.equal(answer.headers.get('x-ratelimit-remaining-requests'), '0');
      assert.equal(answer.headers.get('anthropic-ratelimit-requests-limit'), '20');
      // The header is rendered a moment after the refusal was decided.
      const t = Number(/"key_rpm";r=0;t=(\d+)/.exec(answer.headers.get('ratelimit') ?? '')?.[1]);
      assert.ok(Math.abs(t - retryAfter(answer)) <= 1, String(t));
    }
    // Another key is not concerned.
    const other = relay.command('genkey', 'other');
    assert.equal((await one(relay, 'quick', other)).status, 200);

    const askedAt = performance.now();
    const last = await one(relay, 'quick');
    const toldAt = performance.now();
    assert.equal(last.status, 429);
    const toldMs = retryAfter(last) * 1000;
    assert.ok(toldMs > 2000);
    await sleep(toldMs - 2000);
    for (;;) {
      const sentAt = performance.now();
      const { status } = await one(relay, 'quick');
      if (status === 200) break;
      assert.ok(sentAt - toldAt < toldMs, 'refused after the time told');
      await sleep(200);
    }
    // Whole seconds, rounded up.
    assert.ok(performance.now() - askedAt > toldMs - 1000, 'let through before the time told');
  });

  test(`${realRequests} at once on the real CLI and two slots: never a third process, every answer right`, async (t) => {
    const relay = await start(t, {
      reply: (request) => {
        const prompt = request.json === undefined ? '' : (lastUserTexts(request.json).at(-1) ?? '');
        return { kind: 'text', text: `you said ${prompt}` };
      },
      settings: { GLOBAL_CONCURRENCY: '2', PER_KEY_CONCURRENCY: '2', REQ_TIMEOUT: '120' },
    });
    const watch = watchProcesses(relay);
    const startedAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: realRequests }, (_, index) => relay.complete({ prompt: `number ${index}` })),
    );
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms, ${watch.samples()} samples`);
    for (const [index, { status, body }] of answers.entries()) {
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body['text'], `you said number ${index}`);
    }
    assert.ok(watch.samples() > realRequests);
    assert.equal(watch.most(), 2);
    await eventually('nothing is left', () => relay.children().length + throwaways(relay).length === 0);
  });

  test('200 at once on a quick CLI and two slots: never a third process, every answer right', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '2', PER_KEY_CONCURRENCY: '2' } });
    const watch = watchProcesses(relay);
    const { passed } = split(await Promise.all(burst(relay, 200, 'quick')));
    assert.deepEqual([passed.length, turns(relay), watch.most()], [200, 200, 2]);
    assert.ok(passed.every(({ body }) => body['text'] === 'quick'));
    await eventually('nothing is left', () => relay.children().length + throwaways(relay).length === 0);
  });

  test('days: of a key, of all together, given back and kept', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_DAILY: '14', GLOBAL_CONCURRENCY: '4' } });
    const key = (label: string, daily?: number): string =>
      relay.command('genkey', label, ...(daily === undefined ? [] : [String(daily)]));

    // Failed before it reached the model: the one request of the day is still there.
    const unlucky = key('unlucky', 1);
    assert.equal((await one(relay, 'nothing', unlucky)).status, 502);
    const counted = "SELECT count FROM daily_counts WHERE scope = 'complete:all'";
    await eventually('its count is given back', () => query(relay, counted)[0]?.['count'] === 0);
    assert.equal((await one(relay, 'quick', unlucky)).status, 200);
    assert.equal((await one(relay, 'quick', unlucky)).body['limit'], 'key_daily');

    // Failed when the model had begun to answer: it is gone.
    const spent = key('spent', 1);
    assert.equal((await one(relay, 'dies-in-the-middle', spent)).status, 502);
    assert.equal((await one(relay, 'quick', spent)).body['limit'], 'key_daily');

    const five = split(await Promise.all(burst(relay, 10, 'quick', key('five', 5))));
    assert.deepEqual([five.passed.length, five.refused.length], [5, 5]);
    for (const answer of five.refused) {
      assert.equal(answer.body['limit'], 'key_daily');
      assert.equal(answer.headers.get('x-should-retry'), 'false');
      const untilMidnight =
        (Date.parse(`${new Date().toISOString().slice(0, 10)}T24:00:00Z`) - Date.now()) / 1000;
      assert.ok(Math.abs(retryAfter(answer) - untilMidnight) < 5);
    }

    const rest = split(await Promise.all(burst(relay, 15, 'quick')));
    assert.deepEqual([rest.passed.length, rest.refused.length], [7, 8]);
    assert.ok(rest.refused.every(({ body }) => body['limit'] === 'global_daily'));
    assert.equal(turns(relay), 13, 'one more began, and died, in another fixture');
  });

  test('kill -9 in the middle of a burst: the day has every request that was accepted', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-test-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const settings = { PER_KEY_DAILY: '1000', GLOBAL_CONCURRENCY: '4' };
    const relay = await start(t, { scratch, settings });
    const lost = burst(relay, 300, 'quick').map((answer) => answer.catch(() => undefined));
    await eventually('the burst is under way', () => turns(relay) >= 20);
    await relay.stop('SIGKILL');
    const answered = (await Promise.all(lost)).filter((answer) => answer?.status === 200).length;
    const started = turns(relay);
    assert.ok(started < 300, 'it was killed in the middle');
    assert.ok(answered <= started);

    const next = await start(t, { scratch, settings, key: relay.key });
    const response = await fetch(`${next.url}/v1/usage`, { headers: { 'x-api-key': relay.key } });
    const usage = (await response.json()) as { limits: { key_daily: { used: number; remaining: number } } };
    const { used, remaining } = usage.limits.key_daily;
    t.diagnostic(`${answered} answered, ${started} begun, ${used} counted`);
    // Counted before its process starts: never less than began, and at most the slots more.
    assert.ok(used >= started && used <= started + 4, `${used} counted, ${started} begun`);
    assert.equal(remaining, 1000 - used);
    const counts = query(next, "SELECT count FROM daily_counts WHERE scope = 'complete:all'");
    assert.deepEqual(
      counts.map((row) => row['count']),
      [used],
    );
    const { headers } = await one(next, 'quick');
    assert.equal(headers.get('x-ratelimit-remaining-requests'), String(remaining - 1));
  });

  test('a database that is locked or gone: nothing runs uncounted, and /health goes on', async (t) => {
    const relay = await start(t, { settings: { PER_KEY_DAILY: '100' } });
    assert.equal((await one(relay, 'quick')).status, 200);
    const database = join(relay.dataDir, 'relay.db');
    const other = new DatabaseSync(database);
    other.exec('BEGIN IMMEDIATE');
    const startedAt = performance.now();
    const refused = Promise.all(burst(relay, 50, 'quick'));
    assert.equal((await fetch(`${relay.url}/health`)).status, 200);
    for (const { status, body, headers } of await refused) {
      assert.deepEqual([status, body['error']], [503, 'not_ready']);
      assert.ok(Number(headers.get('retry-after')) > 0);
    }
    // Each that waited for the lock would have held up everything else for a quarter of a second.
    const ms = performance.now() - startedAt;
    assert.ok(ms < 5000, `${Math.round(ms)} ms`);
    const ready = await fetch(`${relay.url}/ready`);
    assert.equal(ready.status, 503);
    assert.match(
      await ready.text(),
      /"database","ok":false,"detail":"the database is locked by another program"/,
    );
    assert.match(relay.output().stdout, /"reason":"the database is locked/);
    other.exec('ROLLBACK');
    other.close();
    assert.equal((await one(relay, 'quick')).status, 200);
    assert.equal(turns(relay), 2);

    renameSync(database, `${database}.old`);
    assert.equal((await one(relay, 'quick')).body['error'], 'not_ready');
    await eventually('/ready tells', async () =>
      (await (await fetch(`${relay.url}/ready`)).text()).includes('removed or replaced'),
    );
    const received = await rawExchange(relay.url, [
      'GET /ready HTTP/1.1\r\nhost: relay.example.com\r\nconnection: close\r\n\r\n',
    ]);
    // A stranger learns the names of the checks.
    assert.match(
      received,
      /\r\n\r\n\{"ok":false,"checks":\[(?:\{"name":"(?:database|ledger)","ok":false\},?)+\]\}$/,
    );
    assert.equal(turns(relay), 2);
  });

  test('three families of headers on every authenticated answer, true and decreasing', async (t) => {
    const relay = await start(t, {
      settings: { PER_KEY_RPM: '10', PER_KEY_DAILY: '50', GLOBAL_DAILY: '100' },
    });
    const seen = async (response: Response): Promise<string[]> => {
      await response.arrayBuffer();
      const { headers } = response;
      const reset = Date.parse(headers.get('anthropic-ratelimit-requests-reset') ?? '') - Date.now();
      assert.ok(reset > -1000 && reset <= 61_000, `${reset} ms`);
      assert.match(headers.get('x-ratelimit-reset-requests') ?? '', /^(\d+ms|[\d.]+s|1m0s)$/);
      assert.equal(
        headers.get('ratelimit-policy'),
        '"key_rpm";q=10;w=60, "key_daily";q=50;w=86400, "global_daily";q=100;w=86400',
      );
      return [
        headers.get('anthropic-ratelimit-requests-limit') ?? '',
        headers.get('anthropic-ratelimit-requests-remaining') ?? '',
        headers.get('x-ratelimit-limit-requests') ?? '',
        headers.get('x-ratelimit-remaining-requests') ?? '',
        (headers.get('ratelimit') ?? '').replaceAll(/;t=\d+/g, ''),
      ];
    };
    const left = (minute: number): string[] => [
      '10',
      String(minute),
      '10',
      String(minute),
      `"key_rpm";r=${minute}, "key_daily";r=${40 + minute}, "global_daily";r=${90 + minute}`,
    ];
    const quick = { prompt: 'hi', model: 'fixture-quick' };
    for (const minute of [9, 8, 7]) assert.deepEqual(await seen(await relay.post(quick)), left(minute));
    // What used nothing shows the same.
    assert.deepEqual(await seen(await relay.post({ prompt: '' })), left(7));
    assert.deepEqual(await seen(await relay.post({ prompt: 'hi', model: 'none' })), left(7));
    for (const path of ['/v1/models', '/v1/usage']) {
      assert.deepEqual(
        await seen(await fetch(`${relay.url}${path}`, { headers: { 'x-api-key': relay.key } })),
        left(7),
      );
    }
    assert.deepEqual(await seen(await relay.post(quick)), left(6));
    // And nobody else is told.
    const stranger = await relay.post(quick, { headers: { authorization: 'Bearer wrong' } });
    assert.equal(stranger.status, 401);
    assert.deepEqual(
      [...stranger.headers.keys()].filter((name) => name.includes('ratelimit')),
      [],
    );
  });

  test('a full queue refuses at once, a long wait ends', async (t) => {
    const relay = await start(t, {
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '4', QUEUE_TIMEOUT: '2', REQ_TIMEOUT: '6' },
    });
    const answers = await Promise.all(burst(relay, 5, 'hangs-in-the-middle'));
    const limits = answers.map(({ body }) => String(body['limit'] ?? body['error']));
    assert.deepEqual(
      limits.toSorted((a, b) => a.localeCompare(b)),
      ['queue_full', 'queue_full', 'queue_timeout', 'queue_timeout', 'upstream_timeout'],
    );
    await eventually('their rows', () => query(relay, 'SELECT 1 FROM requests').length === 5);
    for (const answer of answers.filter(({ status }) => status === 429)) {
      assert.ok(retryAfter(answer) <= 60);
      const sql = 'SELECT total_ms, queue_ms FROM requests WHERE request_id = ?';
      const [row] = query(relay, sql, String(answer.body['request_id']));
      const [ms, queueMs] = [Number(row?.['total_ms']), Number(row?.['queue_ms'])];
      if (answer.body['limit'] === 'queue_full') assert.ok(ms < 1500, `${ms} ms`);
      else assert.ok(ms >= queueMs && queueMs >= 1900, `${queueMs} of ${ms} ms in the queue`);
    }
    assert.equal((await one(relay, 'quick')).status, 200);
  });

  test('one key’s burst does not starve another’s single call', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '1' } });
    const single = relay.command('genkey', 'single');
    const many = burst(relay, 6, 'slow');
    let before = 0;
    for (const answer of many) void answer.then(() => (before += 1));
    await eventually('the burst is under way', () => relay.children().length > 0);
    const answer = await one(relay, 'quick', single);
    assert.equal(answer.status, 200);
    assert.ok(before <= 2, `${before} of the burst came first`);
    assert.ok((await Promise.all(many)).every(({ status }) => status === 200));
  });

  test('a key that was revoked or has expired while its request waited is refused, and nothing is counted', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '1', PER_KEY_DAILY: '100' } });
    const revoked = relay.command('genkey', 'revoked');
    const expired = relay.command('claude-relay', 'key', 'create', 'expired', '--expires', '8s');
    const client = new AbortController();
    const first = relay
      .post({ prompt: 'hi', model: 'fixture-hangs-in-the-middle' }, { signal: client.signal })
      .catch(() => undefined);
    await eventually('it runs', () => relay.children().length > 0);
    const waiting = [revoked, expired].map((key) => one(relay, 'quick', key));
    const last = one(relay, 'quick');
    await sleep(500);
    relay.command('revoke', 'revoked');
    await sleep(8000);
    client.abort();
    for (const { status, body } of await Promise.all(waiting)) {
      assert.deepEqual([status, body['error']], [401, 'unauthorized']);
    }
    assert.equal((await last).status, 200);
    await first;
    await eventually('it has ended', () => relay.children().length === 0);
    assert.equal(turns(relay), 1);
    const counts = query(relay, "SELECT sum(count) AS n FROM daily_counts WHERE scope = 'complete:all'");
    assert.equal(counts[0]?.['n'], 2);
  });

  test('one key cannot take every slot', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '3', PER_KEY_CONCURRENCY: '1' } });
    const watch = watchProcesses(relay);
    const other = relay.command('genkey', 'other');
    const answers = await Promise.all([...burst(relay, 6, 'quick'), ...burst(relay, 6, 'quick', other)]);
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(watch.most() <= 2, `${watch.most()} at once`);
  });
});
