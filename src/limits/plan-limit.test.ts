import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PlanLimit, PlanLimits } from './plan-limit.ts';
import { FakeClock } from '../../test/support/limits.ts';

const hourMs = 3_600_000;

function closedFor(ms: number): { clock: FakeClock; limit: PlanLimit } {
  const clock = new FakeClock();
  const limit = new PlanLimit(clock);
  limit.usedUp(clock.wall() + ms);
  return { clock, limit };
}

test('an open plan limit makes no request a trial', () => {
  const limit = new PlanLimit(new FakeClock());
  assert.equal(limit.waitMs(5_000), 0);
  assert.equal(limit.enter(), undefined);
});

test('a used-up plan is closed until its reset, then one trial at a time passes', () => {
  const { clock, limit } = closedFor(hourMs);
  assert.equal(limit.waitMs(5_000), hourMs);
  clock.advance(hourMs - 1);
  assert.equal(limit.waitMs(5_000), 1);
  clock.advance(1);
  assert.equal(limit.waitMs(5_000), 0);
  const trial = limit.enter();
  assert.equal(limit.waitMs(5_000), 5_000, 'the others wait for the trial');
  trial?.end();
  assert.equal(limit.waitMs(5_000), 0, 'a trial that ended makes room for the next');
});

test('a trial that succeeds opens the plan', () => {
  const { clock, limit } = closedFor(hourMs);
  clock.advance(hourMs);
  const trial = limit.enter();
  trial?.succeeded();
  trial?.end();
  assert.equal(limit.closedUntil, undefined);
  assert.equal(limit.enter(), undefined);
});

test('a further used-up report closes the plan again and ignores the earlier trial', () => {
  const { clock, limit } = closedFor(hourMs);
  clock.advance(hourMs);
  const trial = limit.enter();
  limit.usedUp(clock.wall() + 2 * hourMs);
  trial?.succeeded();
  trial?.end();
  assert.equal(limit.waitMs(5_000), 2 * hourMs);
});

test('the latest of several reset times applies', () => {
  const { clock, limit } = closedFor(2 * hourMs);
  limit.usedUp(clock.wall() + hourMs);
  assert.equal(limit.waitMs(0), 2 * hourMs);
  limit.usedUp(clock.wall() + 3 * hourMs);
  assert.equal(limit.waitMs(0), 3 * hourMs);
});

for (const [what, until, wait] of [
  ['NaN', Number.NaN, 60_000],
  ['infinity', Infinity, 60_000],
  ['seconds instead of milliseconds', 1_770_000_000, 60_000],
  ['a year ahead', Date.parse('2027-03-10T12:00:00Z'), 8 * 24 * hourMs],
] as const) {
  test(`a reset time that is not plausible is bounded: ${what}`, () => {
    const limit = new PlanLimit(new FakeClock());
    limit.usedUp(until);
    assert.equal(limit.waitMs(0), wait);
  });
}

test('a wall clock that is set back does not keep the plan closed longer', () => {
  const { clock, limit } = closedFor(hourMs);
  clock.jumpWall(-24 * hourMs);
  clock.advance(hourMs);
  assert.equal(limit.waitMs(5_000), 0);
});

describe('families', () => {
  test('a closed family closes all its versions and no other family', () => {
    const clock = new FakeClock();
    const limits = new PlanLimits(clock);
    limits.usedUp(clock.wall() + hourMs, 'claude-opus-5-5');
    const waits = (model: string) => limits.waitFor(model, 5_000).waitMs;
    assert.deepEqual(['opus', 'opus[1m]', 'claude-opus-4-1', 'claude-3-opus-20240229'].map(waits), [
      hourMs,
      hourMs,
      hourMs,
      hourMs,
    ]);
    assert.deepEqual(['sonnet', 'claude-sonnet-5', 'haiku', 'best'].map(waits), [0, 0, 0, 0]);
    assert.equal(limits.enter('sonnet'), undefined, 'no trial');
    assert.deepEqual(limits.closings(), [{ family: 'opus', until: clock.wall() + hourMs }]);
  });

  test('an alias belongs to the family of the model that the CLI used', () => {
    const clock = new FakeClock();
    const limits = new PlanLimits(clock);
    limits.resolved('opusplan', 'claude-sonnet-5-5');
    // ANTHROPIC_DEFAULT_SONNET_MODEL can be any model.
    limits.resolved('sonnet', 'claude-opus-5-5');
    limits.usedUp(clock.wall() + hourMs, 'claude-opus-5-5');
    const waits = (model: string) => limits.waitFor(model, 5_000).waitMs;
    assert.deepEqual(['opusplan', 'sonnet', 'opus'].map(waits), [0, hourMs, hourMs]);
  });

  test('the plan and a family close separately, and the longer wait applies', () => {
    const clock = new FakeClock();
    const limits = new PlanLimits(clock);
    limits.usedUp(clock.wall() + hourMs);
    limits.usedUp(clock.wall() + 3 * hourMs, 'opus');
    assert.deepEqual(limits.waitFor('opus', 0), { waitMs: 3 * hourMs, family: 'opus' });
    assert.deepEqual(limits.waitFor('sonnet', 0), { waitMs: hourMs });
    clock.advance(hourMs);
    assert.deepEqual(limits.closings(), [{ family: 'opus', until: clock.wall() + 2 * hourMs }]);
    limits.enter('sonnet')?.succeeded();
    clock.advance(2 * hourMs);
    const trial = limits.enter('opus');
    assert.deepEqual(
      [limits.waitFor('claude-opus-5-5', 5_000).waitMs, limits.waitFor('haiku', 5_000).waitMs],
      [5_000, 0],
    );
    trial?.succeeded();
    assert.equal(limits.waitFor('opus', 5_000).waitMs, 0);
  });
});
