import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayError } from '../errors.ts';
import { FakeClock, MemoryCounts, tick } from '../../test/support/limits.ts';
import { createAdmission } from './admission.ts';
import { fallbackLogin } from './plan-limit.ts';
import { billedOn, type NearlySpent, type Spend } from './spending.ts';
import type { Ticket } from './ticket.ts';

const none = { concurrency: 0, keyConcurrency: 0, keyRpm: 0, keyDaily: 0, globalDaily: 0 };
const used: Spend = { usd: 0.2, tokens: 100 };
const most: Spend = { usd: 0.5, tokens: 250 };

function world(
  all: Spend = { usd: 0, tokens: 0 },
  counts = new MemoryCounts(),
  concurrency = 0,
  fallbackUsd = 0,
  queueMax = 1000,
) {
  const clock = new FakeClock();
  const nearly: NearlySpent[] = [];
  const admission = createAdmission({
    lanes: { complete: { ...none, concurrency }, fetch: none },
    queueMax,
    queueTimeoutMs: 3_600_000,
    counts,
    clock,
    budget: all,
    fallbackUsd,
    onNearlySpent: (budget) => nearly.push(budget),
  });
  const ask = (budget: Partial<Spend> = {}, keyId = 'a', model?: string): Promise<Ticket> =>
    admission.reserve({
      lane: 'complete',
      ...(model !== undefined && { model }),
      key: { keyId, budget: { usd: 0, tokens: 0, ...budget } },
      most: () => most,
      signal: new AbortController().signal,
    });
  return { admission, clock, counts, nearly, ask };
}

const outcome = (asked: Promise<Ticket>): Promise<string> =>
  asked.then(
    () => 'runs',
    (error: unknown) => {
      assert.ok(error instanceof RelayError);
      const { limit, shouldRetry } = error.details;
      return `${limit}${shouldRetry === false ? ' no-retry' : ''}`;
    },
  );

/** Serves every request that gets a slot, as many at once as the limits allow; returns how many ran at most at once. */
async function serveAll(asked: readonly Promise<Ticket>[]): Promise<number> {
  const running: Ticket[] = [];
  let most = 0;
  for (const each of asked) each.then((ticket) => running.push(ticket)).catch(() => {});
  for (await tick(); running.length > 0; await tick()) {
    most = Math.max(most, running.length);
    running.shift()?.settle(used);
  }
  return most;
}

test('200 requests at once against a budget of 10 exceed it by less than the last one', async () => {
  for (const [budget, count] of [
    [{ tokens: 1000 }, 10],
    [{ tokens: 999 }, 10],
    [{ tokens: 1001 }, 11],
    [{ usd: 2 }, 10],
    [{ usd: 2.1, tokens: 100_000 }, 11],
  ] as const) {
    const { ask, counts } = world();
    const asked = Array.from({ length: 200 }, () => ask(budget));
    const outcomes = Promise.all(asked.map(outcome));
    const atOnce = await serveAll(asked);
    assert.equal((await outcomes).filter((each) => each === 'runs').length, count);
    assert.equal((await outcomes).filter((each) => each === 'key_budget no-retry').length, 200 - count);
    assert.equal(counts.read('2026-03-10', ['tokens:key:a', 'usd:all'])[0], count * used.tokens);
    assert.ok(atOnce > 1, 'far from its end, a budget does not slow a key down');
  }
});

test('a request waits while the turns in flight may use what is left, and runs if they use less', async () => {
  const { ask, admission } = world();
  const budget = { tokens: 260 };
  const first = await ask(budget);
  const second = await ask(budget);
  const third = ask(budget);
  await tick();
  assert.equal(admission.queued('complete'), 1);
  first.settle({ usd: 0, tokens: 10 });
  await tick();
  assert.equal(admission.queued('complete'), 1, 'the second one may still use 250');
  second.release();
  (await third).settle({ usd: 0, tokens: 1000 });
  assert.equal(await outcome(ask(budget)), 'key_budget no-retry');
  assert.equal(await outcome(ask({ tokens: 5000 })), 'runs', 'a raised budget applies at once');
  assert.equal(await outcome(ask()), 'runs', 'and none at all, too');
});

test('a key that used up its budget leaves the others theirs, and all stop at the budget of all', async () => {
  const { ask } = world({ usd: 1, tokens: 0 });
  const spend = async (keyId: string, usd: number): Promise<void> =>
    void (await ask({ usd: 0.5 }, keyId)).settle({ usd, tokens: 1 });
  await spend('a', 0.5);
  assert.equal(await outcome(ask({ usd: 0.5 })), 'key_budget no-retry');
  await spend('b', 0.3);
  await spend('b', 0.3);
  for (const [budget, keyId] of [
    [{ usd: 9 }, 'b'],
    [{}, 'c'],
  ] as const) {
    assert.equal(await outcome(ask(budget, keyId)), 'global_budget no-retry');
  }
});

test('a budget is whole again with the next UTC day, and a turn counts in the day of its start', async () => {
  const { ask, clock } = world();
  const budget = { tokens: 100 };
  (await ask(budget)).settle(used);
  const late = await ask();
  assert.equal(await outcome(ask(budget)), 'key_budget no-retry');
  clock.advance(12 * 3_600_000);
  late.settle(used);
  assert.equal(await outcome(ask(budget)), 'runs');
});

test('what the database refuses is saved with the next request, and none runs until then', async () => {
  const { ask, counts } = world();
  const budget = { usd: 0.5 };
  const open = await ask(budget);
  counts.failAdds = true;
  open.settle(used);
  for (const each of [ask(budget), ask()]) await assert.rejects(each, { code: 'not_ready' });
  counts.failAdds = false;
  assert.equal(await outcome(ask(budget)), 'runs');
  assert.equal(await outcome(world(undefined, counts).ask({ usd: 0.2 })), 'key_budget no-retry');
});

test('a turn ends and a drain is over although the counts cannot be read', async () => {
  const { admission, ask, counts } = world();
  const budget = { tokens: 200 };
  const open = await ask(budget);
  const waiting = outcome(ask(budget));
  await tick();
  const drained = admission.drain();
  counts.failReads = true;
  open.settle(used);
  assert.equal(await waiting, 'undefined');
  await drained;
  assert.deepEqual(admission.load('complete'), { running: 0, queued: 0 });
});

test('without a queue, a request that only a held budget keeps out is told to try again', async () => {
  const { ask } = world({ usd: 0.4, tokens: 0 }, undefined, 0, 0, 0);
  await ask();
  assert.equal(await outcome(ask({}, 'b')), 'global_budget');
  assert.equal(await outcome(ask({ usd: 0.4 }, 'a')), 'key_budget');
});

test('a budget that is used up is not worth a retry in the last minute of its day', async () => {
  const { ask, clock } = world();
  (await ask({ tokens: 100 })).settle(used);
  clock.advance(86_400_000 - (clock.wall() % 86_400_000) - 30_000);
  (await ask({ tokens: 200 })).settle(used);
  assert.equal(await outcome(ask({ tokens: 100 })), 'key_budget no-retry');
});

test('counts that cannot be read refuse the requests with a budget', async () => {
  const { ask, counts } = world();
  counts.failReads = true;
  assert.equal(await outcome(ask({ usd: 1 })), 'undefined');
  assert.equal(await outcome(ask()), 'runs');
});

test('four fifths of a budget are reported once', async () => {
  const { ask, nearly } = world({ usd: 0, tokens: 500 });
  for (let round = 0; round < 4; round += 1) (await ask({ usd: 0.5 }, `k${round % 2}`)).settle(used);
  assert.deepEqual(nearly, [
    { keyId: 'k0', unit: 'usd', limit: 0.5, used: 0.4 },
    { keyId: 'k1', unit: 'usd', limit: 0.5, used: 0.4 },
    { unit: 'tokens', limit: 500, used: 400 },
  ]);
});

test('turns with the second login have a budget of all keys together, and none starts without it', async () => {
  const { ask, nearly, counts } = world(undefined, undefined, 0, 1);
  const billed = (keyId: string): Promise<Ticket> => ask({}, keyId, fallbackLogin);
  // The most that each can use is half of the budget.
  const asked = Array.from({ length: 40 }, (_, index) => billed(`k${index % 3}`));
  assert.equal(await serveAll(asked), 2);
  const ends = await Promise.all(asked.map(outcome));
  assert.equal(ends.filter((each) => each === 'runs').length, 5);
  assert.ok(ends.every((each) => each === 'runs' || each === 'plan no-retry'));
  assert.deepEqual(nearly, [{ fallback: true, unit: 'usd', limit: 1, used: 0.8 }]);
  assert.equal(billedOn(counts, '2026-03-10'), 1);
  assert.equal(await outcome(ask({ usd: 1 })), 'runs', 'with the login of the host');
  for (const keyId of ['k0', 'new']) assert.equal(await outcome(billed(keyId)), 'plan no-retry');
  assert.equal(await outcome(world().ask({}, 'a', fallbackLogin)), 'plan no-retry');
});
