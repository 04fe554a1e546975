import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './clock.ts';

test('the system clock calls a timer unless it was cancelled', async () => {
  const before = systemClock.monotonic();
  const called: string[] = [];
  systemClock.setTimer(1, () => called.push('cancelled')).cancel();
  await new Promise<void>((resolve) => {
    systemClock.setTimer(5, () => {
      called.push('due');
      resolve();
    });
  });
  assert.deepEqual(called, ['due']);
  assert.ok(systemClock.monotonic() > before);
  assert.ok(Math.abs(systemClock.wall() - Date.now()) < 60_000);
});
