import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RelayError, type LimitName } from '../errors.ts';
import { createAdmission, type Admission } from './admission.ts';
import type { KeyLimits, Lane, LaneLimits } from './lane-limits.ts';
import { FakeClock, MemoryCounts, tick } from '../../test/support/limits.ts';
import type { Ticket } from './ticket.ts';

const off: LaneLimits = { concurrency: 0, keyConcurrency: 0, keyRpm: 0, keyDaily: 0, globalDaily: 0 };
const day = '2026-03-10';

type World = {
  admission: Admission;
  clock: FakeClock;
  counts: MemoryCounts;
  /** Reserves; gives the ticket, or what refused it as `limit retry-after`, an error code, or `waits`. */
  ask(keyId?: string, own?: Partial<KeyLimits>, lane?: Lane): Promise<Ticket | string>;
  used(keyId?: string): [number, number];
};

function world(limits: Partial<LaneLimits>, queueMax = 0, parts: Partial<World> = {}): World {
  const { clock = new FakeClock(), counts = new MemoryCounts() } = parts;
  const lane = { ...off, ...limits };
  const admission = createAdmission({
    lanes: { complete: lane, fetch: lane },
    queueMax,
    queueTimeoutMs: 30_000,
    counts,
    clock,
  });
  return {
    admission,
    clock,
    counts,
    async ask(keyId = 'a', own = {}, lane = 'complete') {
      const { signal } = new AbortController();
      const answer = admission
        .reserve({ lane, key: { keyId, ...own }, signal })
        .catch((error: unknown) => told(error));
      return Promise.race([answer, tick().then(() => 'waits')]);
    },
    used: (keyId = 'a') => [...counts.read(day, [`complete:key:${keyId}`, 'complete:all'])],
  };
}

function told(error: unknown): string {
  if (!(error instanceof RelayError)) return (error as Error).name;
  const { limit, retryAfter, shouldRetry } = error.details;
  if (limit === undefined) return error.code;
  assert.equal(error.code, 'rate_limited');
  return `${limit} ${retryAfter}${shouldRetry === true ? '' : ' no-retry'}`;
}

function granted(answer: Ticket | string): Ticket {
  assert.ok(typeof answer === 'object', typeof answer === 'string' ? answer : undefined);
  return answer;
}

function refused(answer: Ticket | string): string {
  return typeof answer === 'string' ? answer : 'granted';
}

function tally(answers: readonly (Ticket | string)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) {
    const name = typeof answer === 'object' ? 'granted' : answer;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Requests that run or wait. */
function reserved({ admission }: World): number {
  const { concurrency } = admission.state('complete', { keyId: 'a' });
  return concurrency.globalRunning + admission.queued('complete');
}

const ask = (w: World, times: number, keyId = 'a') =>
  Promise.all(Array.from({ length: times }, () => w.ask(keyId)));

describe('each limit is exact', () => {
  const cases: [LimitName, Partial<LaneLimits>, number, string][] = [
    ['key_rpm', { keyRpm: 20 }, 20, 'key_rpm 60'],
    ['key_daily', { keyDaily: 7 }, 7, 'key_daily 43200 no-retry'],
    ['global_daily', { globalDaily: 9 }, 9, 'global_daily 43200 no-retry'],
    ['global_concurrency', { concurrency: 2 }, 2, 'global_concurrency 5'],
    ['key_concurrency', { keyConcurrency: 3, concurrency: 5 }, 3, 'key_concurrency 5'],
  ];
  for (const [limit, limits, pass, refused] of cases) {
    test(`${limit} admits exactly ${pass} of 60 simultaneous requests`, async () => {
      const w = world(limits);
      assert.deepEqual(tally(await ask(w, 60)), { granted: pass, [refused]: 60 - pass });
      assert.deepEqual(w.used(), [pass, pass], 'those refused are not counted');
    });
  }

  test('requests pass and are counted when all limits are off', async () => {
    const w = world({});
    assert.deepEqual(tally(await ask(w, 60)), { granted: 60 });
    assert.deepEqual(w.used(), [60, 60]);
    const { rpm, daily, globalDaily } = w.admission.state('complete', { keyId: 'a' });
    assert.deepEqual([rpm, daily, globalDaily], [undefined, undefined, undefined]);
  });

  test("a key's own limits replace the lane's limits", async () => {
    const w = world({ keyRpm: 5, keyDaily: 5 });
    const own = { rpm: 2, daily: 0 };
    const answers = [await w.ask('a', own), await w.ask('a', own), await w.ask('a', own)];
    assert.deepEqual(tally(answers), { granted: 2, 'key_rpm 60': 1 });
  });

  test('completions and fetches have separate limits', async () => {
    const w = world({ concurrency: 1, keyRpm: 1, globalDaily: 1 });
    granted(await w.ask());
    granted(await w.ask('a', {}, 'fetch'));
    assert.equal(w.counts.read(day, ['fetch:key:a', 'fetch:all'])[1], 1);
  });

  test('a jump of the wall clock does not change the limit per minute', async () => {
    const w = world({ keyRpm: 1 });
    granted(await w.ask());
    w.clock.jumpWall(3_600_000);
    assert.equal(await w.ask(), 'key_rpm 60');
    w.clock.jumpWall(-7_200_000);
    w.clock.advance(60_000);
    granted(await w.ask());
  });
});

describe('all or nothing', () => {
  test('a refused request uses no other limit', async () => {
    const w = world({ keyRpm: 5, keyDaily: 10, concurrency: 1 });
    const first = granted(await w.ask());
    assert.deepEqual(tally(await ask(w, 10)), { 'global_concurrency 5': 10 });
    first.settle();
    for (let n = 0; n < 4; n += 1) granted(await w.ask()).settle();
    assert.equal(await w.ask(), 'key_rpm 60');
    assert.deepEqual(w.used(), [5, 5]);
  });

  test('a refusal names the limit that has room last', async () => {
    const w = world({ keyRpm: 1, keyDaily: 1 });
    granted(await w.ask());
    assert.equal(await w.ask(), 'key_daily 43200 no-retry');
  });

  test('a request is refused and reserves nothing if its count cannot be written', async () => {
    const w = world({ keyRpm: 1, keyDaily: 3 });
    w.counts.failAdds = true;
    assert.deepEqual(tally(await ask(w, 3)), { not_ready: 3 });
    assert.equal(reserved(w), 0);
    w.counts.failAdds = false;
    granted(await w.ask());
  });

  test('a request is refused if counts cannot be read, and the state omits the days', async () => {
    const w = world({ keyRpm: 1, keyDaily: 3 });
    w.counts.failReads = true;
    assert.equal(await w.ask(), 'not_ready');
    const { rpm, daily } = w.admission.state('complete', { keyId: 'a' });
    assert.equal(rpm?.remaining, 1);
    assert.equal(daily, undefined);
  });
});

describe('a ticket', () => {
  test('settle frees the slot and keeps the count', async () => {
    const w = world({ concurrency: 1, keyDaily: 3 });
    granted(await w.ask()).settle();
    assert.deepEqual(w.used(), [1, 1]);
    granted(await w.ask());
  });

  test('release refunds the count to the day it was counted in', async () => {
    const w = world({ keyDaily: 1 });
    const ticket = granted(await w.ask());
    w.clock.advance(13 * 3_600_000);
    granted(await w.ask());
    ticket.release();
    assert.deepEqual(w.used(), [0, 0]);
    assert.equal(w.counts.read('2026-03-11', ['complete:key:a', 'complete:all'])[1], 1);
  });

  test('only the first ending of a ticket has an effect', async () => {
    const w = world({ concurrency: 2, keyDaily: 5 });
    const [ticket] = [granted(await w.ask()), granted(await w.ask())];
    assert.equal(ticket.settle(), true);
    assert.equal(ticket.release(), false);
    assert.equal(ticket.settle(), false);
    assert.equal(reserved(w), 1);
    assert.deepEqual(w.used(), [2, 2]);
  });

  test('a using declaration settles a ticket that nothing has ended', async () => {
    const w = world({ concurrency: 1 });
    {
      using _forgotten = granted(await w.ask());
    }
    {
      using ticket = granted(await w.ask());
      ticket.release();
    }
    assert.deepEqual(w.used(), [1, 1]);
  });

  test('release frees the slot if the refund cannot be written', async () => {
    const w = world({ concurrency: 1 });
    const ticket = granted(await w.ask());
    w.counts.failAdds = true;
    assert.equal(ticket.release(), true);
    assert.equal(reserved(w), 0);
    assert.deepEqual(w.used(), [1, 1]);
  });
});

describe('days', () => {
  test("the day's counts survive a kill, without the requests that only waited", async () => {
    const first = world({ keyDaily: 3, concurrency: 2 }, 5);
    assert.deepEqual(tally(await ask(first, 3)), { granted: 2, waits: 1 });
    const second = world({ keyDaily: 3, concurrency: 2 }, 5, first);
    assert.deepEqual(second.used(), [2, 2], 'one that only waited is not counted');
    assert.deepEqual(tally(await ask(second, 2)), { granted: 1, 'key_daily 43200 no-retry': 1 });
  });

  test('two relays on the same counts admit exactly the limit together, queues included', async () => {
    const first = world({ keyDaily: 3, concurrency: 1 }, 5);
    const second = world({ keyDaily: 3, concurrency: 1 }, 5, first);
    const running = [granted(await first.ask()), granted(await second.ask())];
    const waiting = [first, second].map(({ admission }) =>
      admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() }),
    );
    // Each sees room for its own; there is one request of the day left for both.
    for (const ticket of running) ticket.settle();
    granted(await waiting[0]!);
    await assert.rejects(waiting[1]!, (error) => told(error) === 'key_daily 43200 no-retry');
    assert.deepEqual(first.used(), [3, 3]);
    assert.equal(await first.ask(), 'key_daily 43200 no-retry');
  });

  test("a retry after the daily limit's retry-after works", async () => {
    const w = world({ keyDaily: 1 });
    granted(await w.ask());
    w.clock.advance(43_200_000 - 30_500);
    assert.equal(await w.ask(), 'key_daily 31');
    w.clock.advance(31_000);
    granted(await w.ask());
  });

  test('a place in the minute expires to the millisecond, and retry-after rounds up', async () => {
    const w = world({ keyRpm: 2 });
    granted(await w.ask());
    w.clock.advance(400);
    granted(await w.ask());
    assert.equal(await w.ask(), 'key_rpm 60');
    w.clock.advance(59_599);
    assert.equal(await w.ask(), 'key_rpm 1');
    w.clock.advance(1);
    granted(await w.ask());
    assert.equal(await w.ask(), 'key_rpm 1', 'the second of them has 400 ms to go');
    w.clock.advance(400);
    granted(await w.ask());
    assert.equal(await w.ask(), 'key_rpm 60');
  });

  test('at midnight UTC running requests keep their day, and waiting ones count in the new day', async () => {
    const clock = new FakeClock(Date.parse('2026-03-10T23:59:59.400Z'));
    const w = world({ concurrency: 1, keyDaily: 3 }, 5, { clock });
    const running = granted(await w.ask());
    const wait = () => w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() });
    const waiting = [wait(), wait()];
    assert.equal(await w.ask(), 'key_daily 1', 'the room of those who wait is kept');
    clock.advance(600);
    assert.equal(w.admission.state('complete', { keyId: 'a' }).daily?.remaining, 1);
    running.settle();
    const second = granted(await waiting[0]!);
    const days = () => ['2026-03-10', '2026-03-11'].map((each) => w.counts.read(each, scopes)[0]);
    const scopes = ['complete:key:a', 'complete:all'] as const;
    assert.deepEqual(days(), [1, 1]);
    second.release();
    granted(await waiting[1]!).settle();
    assert.deepEqual(days(), [1, 1]);
    granted(await w.ask()).settle();
    granted(await w.ask()).settle();
    assert.equal(await w.ask(), 'key_daily 86400 no-retry');
    assert.deepEqual(days(), [1, 3]);
  });

  test('a clock that is set back gives no new day', async () => {
    const w = world({ keyDaily: 1 });
    granted(await w.ask());
    w.clock.jumpWall(-20 * 3_600_000);
    // 16:00 of the day before: the day that is used up ends in 32 hours.
    assert.equal(await w.ask(), 'key_daily 115200 no-retry');
    w.clock.jumpWall(-20 * 3_600_000);
    // Two days before: the day is let go of after 24 hours.
    assert.equal(await w.ask(), 'key_daily 86400 no-retry');
    w.clock.advance(86_400_000);
    granted(await w.ask());
  });
});

describe('the queue', () => {
  test('the queue serves keys in turn and refuses requests when it is full', async () => {
    const w = world({ concurrency: 1 }, 2);
    const first = granted(await w.ask());
    const second = w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() });
    const third = w.admission.reserve({ lane: 'complete', key: { keyId: 'b' }, signal: quiet() });
    assert.match(refused(await w.ask()), /^queue_full \d+$/);
    w.clock.advance(1_500);
    first.settle();
    (await third).settle();
    (await second).settle();
    assert.equal(w.clock.timers, 0);
  });

  test('a full queue accepts one request of a key that does not wait yet', async () => {
    const w = world({ concurrency: 1 }, 2);
    granted(await w.ask('a'));
    const answers = [];
    for (const keyId of ['a', 'a', 'b', 'c', 'c']) answers.push(await w.ask(keyId));
    assert.deepEqual(
      answers.map((answer) => refused(answer).split(' ')[0]),
      ['waits', 'queue_full', 'waits', 'waits', 'queue_full'],
    );
  });

  test('a request that times out in the queue refunds its limits', async () => {
    const w = world({ concurrency: 1, keyRpm: 2, keyDaily: 2 }, 2);
    granted(await w.ask());
    const waiting = w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() });
    assert.equal(w.admission.state('complete', { keyId: 'a' }).daily?.remaining, 0, 'its room is kept');
    w.clock.advance(30_000);
    await assert.rejects(waiting, (error) => /^queue_timeout \d+$/.test(told(error)));
    const { rpm, daily } = w.admission.state('complete', { keyId: 'a' });
    assert.deepEqual([rpm?.remaining, daily?.remaining], [1, 1]);
    assert.deepEqual(w.used(), [1, 1]);
  });

  test('a client that leaves the queue frees its place', async () => {
    const w = world({ concurrency: 1, keyRpm: 2 }, 1);
    const running = granted(await w.ask());
    const abort = new AbortController();
    const waiting = w.admission.reserve({
      lane: 'complete',
      key: { keyId: 'a' },
      signal: abort.signal,
    });
    abort.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    assert.equal(reserved(w), 1);
    assert.equal(w.admission.state('complete', { keyId: 'a' }).rpm?.remaining, 1);
    assert.equal(w.clock.timers, 0);
    running.settle();
    assert.equal(reserved(w), 0);
  });

  test('a client that has already left reserves nothing', async () => {
    const w = world({});
    const left = w.admission.reserve({
      lane: 'complete',
      key: { keyId: 'a' },
      signal: AbortSignal.abort(),
    });
    await assert.rejects(left, { name: 'AbortError' });
    assert.deepEqual(w.used(), [0, 0]);
  });

  test("a burst of one key does not delay another key's single request", async () => {
    const w = world({ concurrency: 1 }, 10);
    const order: string[] = [];
    const run = async (keyId: string) => {
      const ticket = await w.admission.reserve({ lane: 'complete', key: { keyId }, signal: quiet() });
      order.push(keyId);
      await tick();
      ticket.settle();
    };
    await Promise.all([run('a'), run('a'), run('a'), run('a'), run('b')]);
    assert.equal(order.join(''), 'abaaa');
  });

  test('a key at its own concurrency does not block other keys', async () => {
    const w = world({ concurrency: 2, keyConcurrency: 1 }, 10);
    granted(await w.ask('a'));
    assert.equal(await w.ask('a'), 'waits');
    granted(await w.ask('b'));
  });

  test('a waiting request is refused if its count cannot be written', async () => {
    const w = world({ concurrency: 1 }, 10);
    const first = granted(await w.ask());
    const waiting = w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() });
    w.counts.failAdds = true;
    first.settle();
    await assert.rejects(waiting, { code: 'not_ready' });
    assert.equal(reserved(w), 0);
  });

  test('a burst of 5,000 requests waits in a bounded queue and leaves nothing behind', async () => {
    const w = world({ concurrency: 2 }, 16);
    const answers = await ask(w, 5_000);
    const { granted: passed, waits } = tally(answers);
    assert.deepEqual([passed, waits], [2, 8], 'one key waits in half of the places');
    for (const answer of answers) if (typeof answer === 'object') answer.settle();
    w.clock.advance(30_000);
    await tick();
    // Two of those that waited got the slots, and their callers are gone in this test.
    assert.deepEqual([reserved(w), w.admission.queued('complete'), w.clock.timers], [2, 0, 0]);
  });
});

describe('the plan', () => {
  test('a used-up plan refuses new and waiting completions, and no fetches', async () => {
    const w = world({ concurrency: 1 }, 5);
    const first = granted(await w.ask());
    const waiting = w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal: quiet() });
    w.admission.planUsedUp(w.clock.wall() + 3_600_000);
    await assert.rejects(waiting, (error) => told(error) === 'plan 3600 no-retry');
    first.release();
    assert.equal(await w.ask(), 'plan 3600 no-retry');
    granted(await w.ask('a', {}, 'fetch'));
    assert.deepEqual(w.admission.planClosings(), [{ family: undefined, until: w.clock.wall() + 3_600_000 }]);
    assert.deepEqual(w.used(), [0, 0]);
  });

  test('a plan that is used up for a family refuses only that family', async () => {
    const w = world({ concurrency: 1 }, 5);
    const running = granted(await w.ask());
    const reserve = (model: string) =>
      w.admission.reserve({ lane: 'complete', model, key: { keyId: 'a' }, signal: quiet() });
    const [opus, sonnet] = [reserve('opus'), reserve('sonnet')];
    w.admission.planUsedUp(w.clock.wall() + 3_600_000, 'claude-opus-5-5');
    await assert.rejects(opus, (error) => {
      assert.match((error as Error).message, /opus models/);
      return told(error) === 'plan 3600 no-retry';
    });
    await assert.rejects(reserve('claude-opus-4-1'), (error) => told(error) === 'plan 3600 no-retry');
    running.settle();
    granted(await sonnet).settle();
    granted(await reserve('haiku')).settle();
    w.clock.advance(3_600_000);
    assert.deepEqual(w.admission.planClosings(), []);
    granted(await reserve('opus'));
  });

  test('after the reset one trial at a time passes until one succeeds', async () => {
    const w = world({});
    w.admission.planUsedUp(w.clock.wall() + 10_000);
    w.clock.advance(10_000);
    const probe = granted(await w.ask());
    assert.match(refused(await w.ask('b')), /^plan \d+$/);
    probe.release();
    const second = granted(await w.ask('b'));
    second.planWorks();
    granted(await w.ask('a'));
    granted(await w.ask('a'));
  });
});

describe('shutting down', () => {
  test('drain refuses new requests and resolves when none runs or waits', async () => {
    const w = world({ concurrency: 1 }, 5);
    const running = granted(await w.ask());
    const leaving = new AbortController();
    const [waiting, gone] = [quiet(), leaving.signal].map((signal) =>
      w.admission.reserve({ lane: 'complete', key: { keyId: 'a' }, signal }),
    );
    let drained = false;
    const done = w.admission.drain().then(() => {
      drained = true;
    });
    assert.equal(await w.ask(), 'shutting_down');
    leaving.abort();
    await assert.rejects(async () => gone, { name: 'AbortError' });
    running.settle();
    const last = await waiting;
    await tick();
    assert.equal(drained, false);
    last?.settle();
    await done;
    assert.equal(w.clock.timers, 0);
  });

  test('drain resolves at once when nothing runs', async () => {
    await world({}).admission.drain();
  });
});

function quiet(): AbortSignal {
  return new AbortController().signal;
}
