/** The limits, from outside: exact to the unit, never more processes than slots, and counts that a crash does not lose. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';
import { openKeys } from '../src/keys/store.ts';
import { systemClock, type Clock } from '../src/limits/clock.ts';
import { openStore } from '../src/store/sqlite.ts';
import { utcDay } from '../src/time.ts';
import { lastUserTexts } from './support/failing-model.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import { runsAll } from './support/needs.ts';
import { rawExchange } from './support/raw.ts';
import {
  eventually,
  expireKey,
  query,
  root,
  sleep,
  startTestRelay,
  throwaways,
  type Post,
  type TestRelay,
  type TestRelayOptions,
} from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';

/** What each model replies. */
const replies: Record<string, () => ScriptedReply | Promise<ScriptedReply>> = {
  quick: () => ({ kind: 'text', text: 'quick' }),
  slow: async () => {
    await sleep(100);
    return { kind: 'text', text: 'slow' };
  },
  fails: () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'full' }),
  'breaks-off': () => ({ kind: 'stream_error', type: 'api_error', message: 'broken', afterText: 'half' }),
  hangs: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
};

const queue = { QUEUE_MAX: '1000', QUEUE_TIMEOUT: '600' };

async function start(t: TestContext, { settings, ...options }: InProcessOptions): Promise<InProcessRelay> {
  const names = Object.keys(replies);
  const relay = await startInProcess({
    reply: ({ json }) => {
      const name = names.find((each) => json?.model.includes(each)) ?? 'quick';
      return replies[name]?.() ?? { kind: 'text', text: 'none' };
    },
    settings: { ALLOWED_MODELS: names.join(','), DEFAULT_MODEL: 'quick', ...queue, ...settings },
    ...options,
  });
  t.after(() => relay.stop());
  return relay;
}

async function startProcesses(
  t: TestContext,
  { settings, ...options }: TestRelayOptions,
): Promise<TestRelay> {
  const relay = await startTestRelay({
    proof: false,
    claudeBin: join(root, 'test/fixtures/cli/by-model.sh'),
    settings: { ALLOWED_MODELS: 'opus,fixture-quick', ...queue, ...settings },
    ...options,
  });
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

/** The system's clock, which a test moves forward. */
function movableClock(): { clock: Clock; advance: (ms: number) => void } {
  let offset = 0;
  return {
    clock: {
      monotonic: () => systemClock.monotonic() + offset,
      wall: () => systemClock.wall() + offset,
      setTimer: (ms, fn) => systemClock.setTimer(ms, fn),
    },
    advance: (ms) => {
      offset += ms;
    },
  };
}

type Answer = { status: number; body: Record<string, unknown>; headers: Headers };

/** Sends `count` requests at once. */
function burst(
  relay: Post & { key: string },
  count: number,
  model: string,
  key = relay.key,
): Promise<Answer>[] {
  return Array.from({ length: count }, async () => {
    const response = await relay.post(
      { prompt: 'hi', model },
      { headers: { authorization: `Bearer ${key}` } },
    );
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, headers: response.headers };
  });
}

async function one(relay: Post & { key: string }, model: string, key = relay.key): Promise<Answer> {
  const [answer] = await Promise.all(burst(relay, 1, model, key));
  return answer ?? assert.fail();
}

/** Requests of the key's day, with those that wait. */
async function usedToday({ url }: InProcessRelay, key: string): Promise<number> {
  const response = await fetch(`${url}/v1/usage`, { headers: { 'x-api-key': key } });
  const { limits } = (await response.json()) as { limits: { key_daily: { used: number } } };
  return limits.key_daily.used;
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

/** A burst on the real CLI, and one on a quick fixture. */
const realRequests = runsAll ? 16 : 6;
const quickRequests = runsAll ? 200 : 40;

describe('limits', { concurrency: 3 }, () => {
  test('of 60 requests at once 20 pass at 20 a minute, and the next passes after retry-after', async (t) => {
    const { clock, advance } = movableClock();
    const relay = await start(t, {
      settings: { PER_KEY_RPM: '20', GLOBAL_CONCURRENCY: '4' },
      overrides: { clock },
    });
    const { passed, refused } = split(await Promise.all(burst(relay, 60, 'quick')));
    assert.deepEqual([passed.length, refused.length, relay.model.requests.length], [20, 40, 20]);
    for (const answer of refused) {
      assert.equal(answer.body['limit'], 'key_rpm');
      assert.ok(retryAfter(answer) <= 60);
      assert.equal(answer.headers.get('x-should-retry'), null);
      assert.equal(answer.headers.get('x-ratelimit-remaining-requests'), '0');
      assert.equal(answer.headers.get('anthropic-ratelimit-requests-limit'), '20');
      // The header is rendered after the refusal was decided.
      const t = Number(/"key_rpm";r=0;t=(\d+)/.exec(answer.headers.get('ratelimit') ?? '')?.[1]);
      assert.ok(t > 0 && t <= retryAfter(answer), String(t));
    }
    // Another key has its own minute.
    assert.equal((await one(relay, 'quick', relay.mint('other'))).status, 200);

    const seconds = retryAfter(await one(relay, 'quick'));
    advance((seconds - 1) * 1000);
    assert.equal((await one(relay, 'quick')).status, 429, 'before the time');
    advance(1000);
    assert.equal((await one(relay, 'quick')).status, 200, 'after the time');
  });

  test('a day is counted for a key and for all, and a request that reached no model is given back', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_DAILY: '14', GLOBAL_CONCURRENCY: '4' } });
    const key = (label: string, dailyLimit: number): string => relay.mint(label, { dailyLimit });

    // This failure cost no tokens: the one request of the day is still there.
    const unlucky = key('unlucky', 1);
    assert.equal((await one(relay, 'fails', unlucky)).status, 503);
    const counted = "SELECT count FROM daily_counts WHERE scope = 'complete:all'";
    await eventually('its count is given back', () => query(relay, counted)[0]?.['count'] === 0);
    assert.equal((await one(relay, 'quick', unlucky)).status, 200);
    assert.equal((await one(relay, 'quick', unlucky)).body['limit'], 'key_daily');

    // This failure came after the model had begun to answer: the request is used.
    const spent = key('spent', 1);
    assert.equal((await one(relay, 'breaks-off', spent)).status, 502);
    assert.equal((await one(relay, 'quick', spent)).body['limit'], 'key_daily');

    const before = Date.now();
    const five = split(await Promise.all(burst(relay, 10, 'quick', key('five', 5))));
    assert.deepEqual([five.passed.length, five.refused.length], [5, 5]);
    for (const answer of five.refused) {
      assert.equal(answer.body['limit'], 'key_daily');
      assert.equal(answer.headers.get('x-should-retry'), 'false');
      const refusedAt = Date.parse(`${utcDay(before)}T24:00:00Z`) - retryAfter(answer) * 1000;
      assert.ok(refusedAt > before - 1000 && refusedAt <= Date.now());
    }

    const rest = split(await Promise.all(burst(relay, 15, 'quick')));
    assert.deepEqual([rest.passed.length, rest.refused.length], [7, 8]);
    assert.ok(rest.refused.every(({ body }) => body['limit'] === 'global_daily'));
  });

  test('while the database is locked or gone, no request runs uncounted and /health answers', async (t) => {
    const relay = await start(t, { settings: { PER_KEY_DAILY: '100' } });
    assert.equal((await one(relay, 'quick')).status, 200);
    const database = join(relay.dataDir, 'relay.db');
    const other = new DatabaseSync(database);
    other.exec('BEGIN IMMEDIATE');
    const refused = Promise.all(burst(relay, 50, 'quick'));
    assert.equal((await fetch(`${relay.url}/health`)).status, 200);
    for (const { status, body, headers } of await refused) {
      assert.deepEqual([status, body['error']], [503, 'not_ready']);
      assert.ok(Number(headers.get('retry-after')) > 0);
    }
    const ready = await fetch(`${relay.url}/ready`);
    assert.equal(ready.status, 503);
    assert.match(
      await ready.text(),
      /"database","ok":false,"detail":"the database is locked by another program"/,
    );
    assert.match(relay.log(), /"reason":"the database is locked/);
    other.exec('ROLLBACK');
    other.close();
    assert.equal((await one(relay, 'quick')).status, 200);
    assert.equal(relay.model.requests.length, 2);

    renameSync(database, `${database}.old`);
    assert.equal((await one(relay, 'quick')).body['error'], 'not_ready');
    await eventually('/ready reports it', async () =>
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
    assert.equal(relay.model.requests.length, 2);
  });

  test('every authenticated answer has the limit headers of three families, and they decrease', async (t) => {
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
    const quick = { prompt: 'hi', model: 'quick' };
    for (const minute of [9, 8, 7]) assert.deepEqual(await seen(await relay.post(quick)), left(minute));
    // A refused request uses nothing.
    assert.deepEqual(await seen(await relay.post({ prompt: '' })), left(7));
    assert.deepEqual(await seen(await relay.post({ prompt: 'hi', model: 'none' })), left(7));
    for (const path of ['/v1/models', '/v1/usage']) {
      assert.deepEqual(
        await seen(await fetch(`${relay.url}${path}`, { headers: { 'x-api-key': relay.key } })),
        left(7),
      );
    }
    assert.deepEqual(await seen(await relay.post(quick)), left(6));
    // A stranger gets none of them.
    const stranger = await relay.post(quick, { headers: { authorization: 'Bearer wrong' } });
    assert.equal(stranger.status, 401);
    assert.deepEqual(
      [...stranger.headers.keys()].filter((name) => name.includes('ratelimit')),
      [],
    );
  });

  test('a full queue refuses requests, and a wait ends after QUEUE_TIMEOUT', async (t) => {
    const relay = await start(t, {
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '4', QUEUE_TIMEOUT: '1' },
      overrides: { times: { requestTimeoutMs: 2000 } },
    });
    const answers = await Promise.all(burst(relay, 5, 'hangs'));
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
      if (answer.body['limit'] === 'queue_timeout')
        assert.ok(ms >= queueMs && queueMs >= 900, `${queueMs} of ${ms} ms in the queue`);
    }
    assert.equal((await one(relay, 'quick')).status, 200);
  });

  test('a burst of one key does not starve a single request of another', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '1' } });
    const single = relay.mint('single');
    const many = burst(relay, 6, 'slow');
    let before = 0;
    for (const answer of many) void answer.then(() => (before += 1));
    await eventually('the burst is under way', () => relay.model.running() > 0);
    const answer = await one(relay, 'quick', single);
    assert.equal(answer.status, 200);
    assert.ok(before <= 2, `${before} of the burst came first`);
    assert.ok((await Promise.all(many)).every(({ status }) => status === 200));
  });

  test('a key that is revoked or expires while its request waits is refused, and nothing is counted', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '1', PER_KEY_DAILY: '100' } });
    const revoked = relay.mint('revoked');
    const expired = relay.mint('expired');
    const client = new AbortController();
    const first = relay
      .post({ prompt: 'hi', model: 'hangs' }, { signal: client.signal })
      .catch(() => undefined);
    await eventually('it runs', () => relay.model.running() > 0);
    const waiting = [revoked, expired].map((key) => one(relay, 'quick', key));
    const last = one(relay, 'quick');
    await eventually('the requests wait', async () => {
      const used = await Promise.all([relay.key, revoked, expired].map((key) => usedToday(relay, key)));
      return used[0] === 2 && used[1] === 1 && used[2] === 1;
    });
    const store = openStore(relay.dataDir, { waitMs: 5000 });
    openKeys(store).revoke('revoked', 'test');
    store.close();
    expireKey(relay.dataDir, 'expired');
    client.abort();
    for (const { status, body } of await Promise.all(waiting)) {
      assert.deepEqual([status, body['error']], [401, 'unauthorized']);
    }
    assert.equal((await last).status, 200);
    await first;
    await eventually('it has ended', () => relay.model.running() === 0);
    assert.equal(relay.model.requests.length, 2, 'the two refused requests did not run');
    const counts = query(relay, "SELECT sum(count) AS n FROM daily_counts WHERE scope = 'complete:all'");
    assert.equal(counts[0]?.['n'], 2);
  });

  test('a key cannot take more slots than its concurrency', async (t) => {
    let most = 0;
    const relay = await start(t, {
      settings: { GLOBAL_CONCURRENCY: '3', PER_KEY_CONCURRENCY: '1' },
      reply: async () => {
        most = Math.max(most, relay.model.running());
        await sleep(20);
        return { kind: 'text', text: 'quick' };
      },
    });
    const other = relay.mint('other');
    const answers = await Promise.all([...burst(relay, 6, 'quick'), ...burst(relay, 6, 'quick', other)]);
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(most, 2);
  });
});

describe('limits on real processes', { concurrency: 3 }, () => {
  test(`${realRequests} requests at once on the real CLI and two slots start no third process`, async (t) => {
    const relay = await startProcesses(t, {
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

  test(`${quickRequests} requests at once on a quick CLI and two slots start no third process`, async (t) => {
    const relay = await startProcesses(t, {
      settings: { GLOBAL_CONCURRENCY: '2', PER_KEY_CONCURRENCY: '2' },
    });
    const watch = watchProcesses(relay);
    const { passed } = split(await Promise.all(burst(relay, quickRequests, 'fixture-quick')));
    assert.deepEqual([passed.length, turns(relay), watch.most()], [quickRequests, quickRequests, 2]);
    assert.ok(passed.every(({ body }) => body['text'] === 'quick'));
    await eventually('nothing is left', () => relay.children().length + throwaways(relay).length === 0);
  });

  test('after kill -9 in the middle of a burst, the day counts every request that was accepted', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-test-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const settings = { PER_KEY_DAILY: '1000', GLOBAL_CONCURRENCY: '4' };
    const relay = await startProcesses(t, { scratch, settings });
    const lost = burst(relay, 300, 'fixture-quick').map((answer) => answer.catch(() => undefined));
    await eventually('the burst is under way', () => turns(relay) >= 20);
    await relay.stop('SIGKILL');
    const answered = (await Promise.all(lost)).filter((answer) => answer?.status === 200).length;
    const started = turns(relay);
    assert.ok(started < 300, 'it was killed in the middle');
    assert.ok(answered <= started);

    const next = await startProcesses(t, { scratch, settings, key: relay.key });
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
    const { headers } = await one(next, 'fixture-quick');
    assert.equal(headers.get('x-ratelimit-remaining-requests'), String(remaining - 1));
  });
});
