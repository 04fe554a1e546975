import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PlanGate, PlanGates } from './plan-limit.ts';
import { FakeClock } from '../../test/support/limits.ts';

const hourMs = 3_600_000;

function closedFor(ms: number): { clock: FakeClock; gate: PlanGate } {
  const clock = new FakeClock();
  const gate = new PlanGate(clock);
  gate.usedUp(clock.wall() + ms);
  return { clock, gate };
}

test('an open gate lets everything pass and sends no probe', () => {
  const gate = new PlanGate(new FakeClock());
  assert.equal(gate.waitMs(5_000), 0);
  assert.equal(gate.enter(), undefined);
});

test('closed until the time told, then one probe at a time', () => {
  const { clock, gate } = closedFor(hourMs);
  assert.equal(gate.waitMs(5_000), hourMs);
  clock.advance(hourMs - 1);
  assert.equal(gate.waitMs(5_000), 1);
  clock.advance(1);
  assert.equal(gate.waitMs(5_000), 0);
  const probe = gate.enter();
  assert.equal(gate.waitMs(5_000), 5_000, 'the others wait for the probe');
  probe?.end();
  assert.equal(gate.waitMs(5_000), 0, 'a probe that ended makes room for the next');
});

test('a probe that works opens the gate', () => {
  const { clock, gate } = closedFor(hourMs);
  clock.advance(hourMs);
  const probe = gate.enter();
  probe?.works();
  probe?.end();
  assert.equal(gate.closedUntil, undefined);
  assert.equal(gate.enter(), undefined);
});

test('a further "used up" closes it with the new time, and the old probe has no say any more', () => {
  const { clock, gate } = closedFor(hourMs);
  clock.advance(hourMs);
  const probe = gate.enter();
  gate.usedUp(clock.wall() + 2 * hourMs);
  probe?.works();
  probe?.end();
  assert.equal(gate.waitMs(5_000), 2 * hourMs);
});

test('of several times told together the latest holds', () => {
  const { clock, gate } = closedFor(2 * hourMs);
  gate.usedUp(clock.wall() + hourMs);
  assert.equal(gate.waitMs(0), 2 * hourMs);
  gate.usedUp(clock.wall() + 3 * hourMs);
  assert.equal(gate.waitMs(0), 3 * hourMs);
});

for (const [what, until, wait] of [
  ['no number', Number.NaN, 60_000],
  ['never', Infinity, 60_000],
  ['seconds taken for milliseconds', 1_770_000_000, 60_000],
  ['a year ahead', Date.parse('2027-03-10T12:00:00Z'), 8 * 24 * hourMs],
] as const) {
  test(`an absurd time is bounded: ${what}`, () => {
    const gate = new PlanGate(new FakeClock());
    gate.usedUp(until);
    assert.equal(gate.waitMs(0), wait);
  });
}

test('a wall clock that is set back does not lengthen it', () => {
  const { clock, gate } = closedFor(hourMs);
  clock.jumpWall(-24 * hourMs);
  clock.advance(hourMs);
  assert.equal(gate.waitMs(5_000), 0);
});

describe('families', () => {
  test('one that is closed holds up none of the others, and its own versions all', () => {
    const clock = new FakeClock();
    const gates = new PlanGates(clock);
    gates.usedUp(clock.wall() + hourMs, 'claude-opus-5-5');
    const waits = (model: string) => gates.waitFor(model, 5_000).waitMs;
    assert.deepEqual(['opus', 'opus[1m]', 'claude-opus-4-1', 'claude-3-opus-20240229'].map(waits), [
      hourMs,
      hourMs,
      hourMs,
      hourMs,
    ]);
    assert.deepEqual(['sonnet', 'claude-sonnet-5', 'haiku', 'best'].map(waits), [0, 0, 0, 0]);
    assert.equal(gates.enter('sonnet'), undefined, 'no probe');
    assert.deepEqual(gates.closings(), [{ family: 'opus', until: clock.wall() + hourMs }]);
  });

  test('a name is of the family that the CLI made of it', () => {
    const clock = new FakeClock();
    const gates = new PlanGates(clock);
    gates.resolved('opusplan', 'claude-sonnet-5-5');
    // ANTHROPIC_DEFAULT_SONNET_MODEL can be any model.
    gates.resolved('sonnet', 'claude-opus-5-5');
    gates.usedUp(clock.wall() + hourMs, 'claude-opus-5-5');
    const waits = (model: string) => gates.waitFor(model, 5_000).waitMs;
    assert.deepEqual(['opusplan', 'sonnet', 'opus'].map(waits), [0, hourMs, hourMs]);
  });

  test('the whole plan and a family are closed and opened apart; the longer wait is told', () => {
    const clock = new FakeClock();
    const gates = new PlanGates(clock);
    gates.usedUp(clock.wall() + hourMs);
    gates.usedUp(clock.wall() + 3 * hourMs, 'opus');
    assert.deepEqual(gates.waitFor('opus', 0), { waitMs: 3 * hourMs, family: 'opus' });
    assert.deepEqual(gates.waitFor('sonnet', 0), { waitMs: hourMs });
    clock.advance(hourMs);
    assert.deepEqual(gates.closings(), [{ family: 'opus', until: clock.wall() + 2 * hourMs }]);
    gates.enter('sonnet')?.works();
    clock.advance(2 * hourMs);
    const probe = gates.enter('opus');
    assert.deepEqual(
      [gates.waitFor('claude-opus-5-5', 5_000).waitMs, gates.waitFor('haiku', 5_000).waitMs],
      [5_000, 0],
    );
    probe?.works();
    assert.equal(gates.waitFor('opus', 5_000).waitMs, 0);
  });
});
