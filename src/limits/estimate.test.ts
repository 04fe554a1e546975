import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Estimate } from './estimate.ts';

function after(...took: number[]): Estimate {
  const estimate = new Estimate();
  for (const ms of took) estimate.note(ms);
  return estimate;
}

const always10s = Array<number>(60).fill(10_000);

test("the estimate follows the requests' durations, and one odd request changes it little", () => {
  assert.ok(Math.abs(after(...always10s).typicalMs - 10_000) < 10);
  assert.ok(after(...always10s, 0).typicalMs > 7_900);
  assert.ok(after(Infinity).typicalMs < 130_000, 'one measurement is bounded');
});

test('the estimated wait grows with running and waiting requests', () => {
  const estimate = after(...always10s);
  const wait = (ahead: number, running: number[]) => Math.round(estimate.waitMs(ahead, running) / 1000);
  assert.equal(wait(0, []), 1);
  assert.equal(wait(0, [0, 4_000]), 6);
  assert.equal(wait(1, [0, 4_000]), 10);
  assert.equal(wait(2, [0, 4_000]), 16);
  assert.equal(wait(0, [600_000]), 1, 'overdue');
  assert.equal(wait(1_000, [0]), 60, 'bounded');
});
