/**
 * One app cannot take the service from another: keys that always want more, and one that comes now and then, on random schedules
 * against the real admission code. What docs/api.md promises is asserted to the second.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAdmission, type Admission } from './admission.ts';
import type { Lane, LaneLimits } from './lane-limits.ts';
import { FakeClock, MemoryCounts, tick } from '../../test/support/limits.ts';
import { Random } from '../../test/support/random.ts';
import type { Ticket } from './ticket.ts';

/** The longest that a request holds its slot. */
const longestMs = 60_000;

type World = { clock: FakeClock; random: Random; admission: Admission; slots: number; lane: Lane };

function world(seed: number, share: (slots: number) => number): World {
  const random = new Random(seed);
  const clock = new FakeClock();
  const slots = random.int(1, 4);
  const limits: LaneLimits = {
    concurrency: slots,
    keyConcurrency: share(slots),
    keyRpm: 0,
    keyDaily: 0,
    globalDaily: 0,
  };
  const admission = createAdmission({
    lanes: { complete: limits, fetch: limits },
    queueMax: random.pick([1, 2, 8, 32]),
    queueTimeoutMs: 1_000 * longestMs,
    counts: new MemoryCounts(),
    clock,
  });
  return { clock, random, admission, slots, lane: random.pick(['complete', 'fetch']) };
}

/** Gets a slot and holds it for a while; refused, it comes again when somebody ends. */
async function hog(
  { clock, random, admission, lane }: World,
  keyId: string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const ticket = await admission.reserve({ lane, key: { keyId }, signal });
      const holdMs = random.chance(0.5) ? longestMs : random.int(1, longestMs);
      await new Promise<void>((resolve) => clock.setTimer(holdMs, resolve));
      ticket.settle();
    } catch {
      await new Promise<void>((resolve) => clock.setTimer(10_000, resolve));
    }
  }
}

const seeds = Array.from({ length: 25 }, (_, index) => index + 1);

for (const [what, share] of [
  ['by default', (slots: number) => Math.max(1, slots - 1)],
  ['if the owner lets one key use every slot', (slots: number) => slots],
] as const) {
  test(`a key without running requests starts within the promised time, ${what}`, async () => {
    for (const seed of seeds) {
      const w = world(seed, share);
      const { clock, random, admission, slots, lane } = w;
      const end = new AbortController();
      const greedy = random.int(1, 6);
      for (let key = 0; key < greedy; key += 1) {
        for (let each = 0; each < 8; each += 1) void hog(w, `greedy${key}`, end.signal);
      }
      await tick();
      const alone = greedy === 1 && share(slots) < slots;
      // With the visitor; of the others at least one has a slot.
      const promisedMs = alone ? 0 : (Math.floor((greedy + 1 - 2) / slots) + 1) * longestMs;
      for (let visit = 0; visit < 5; visit += 1) {
        const granted: Ticket[] = [];
        let refused: unknown;
        admission.reserve({ lane, key: { keyId: 'visitor' }, signal: end.signal }).then(
          (ticket) => void granted.push(ticket),
          (error: unknown) => (refused = error),
        );
        await tick();
        for (let waitedMs = 0; granted.length === 0; waitedMs += 1_000) {
          assert.equal(refused, undefined, `seed ${seed}: let in`);
          assert.ok(waitedMs < promisedMs, `seed ${seed}: ${waitedMs} ms of ${promisedMs}`);
          clock.advance(1_000);
          await tick();
        }
        clock.advance(random.int(1, 2_000));
        granted[0]?.settle();
        for (let pause = random.int(0, 10); pause > 0; pause -= 1) {
          clock.advance(1_000);
          await tick();
        }
      }
      end.abort();
      await tick();
    }
  });
}

test('busy keys share the slots evenly in any order and number of requests', async () => {
  for (const seed of seeds.slice(0, 10)) {
    const random = new Random(seed);
    const clock = new FakeClock();
    const slots = random.int(2, 4);
    const limits: LaneLimits = {
      concurrency: slots,
      keyConcurrency: slots - 1,
      keyRpm: 0,
      keyDaily: 0,
      globalDaily: 0,
    };
    const admission = createAdmission({
      lanes: { complete: limits, fetch: limits },
      queueMax: 8,
      queueTimeoutMs: 1_000 * longestMs,
      counts: new MemoryCounts(),
      clock,
    });
    const served = new Map<string, number>();
    const keys = Array.from({ length: random.int(2, 5) }, (_, index) => `key${index}`);
    const end = new AbortController();
    const ask = async (keyId: string): Promise<void> => {
      while (!end.signal.aborted) {
        try {
          const ticket = await admission.reserve({ lane: 'complete', key: { keyId }, signal: end.signal });
          served.set(keyId, (served.get(keyId) ?? 0) + 1);
          await new Promise<void>((resolve) => clock.setTimer(1_000, resolve));
          ticket.settle();
        } catch {
          await new Promise<void>((resolve) => clock.setTimer(100, resolve));
        }
      }
    };
    for (const [index, keyId] of keys.entries()) {
      for (let each = 0; each < 3 + 3 * index; each += 1) void ask(keyId);
    }
    for (let step = 0; step < 300; step += 1) {
      await tick();
      clock.advance(100);
    }
    end.abort();
    const counts = keys.map((keyId) => served.get(keyId) ?? 0);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= slots, `seed ${seed}: ${counts.join(', ')}`);
  }
});
