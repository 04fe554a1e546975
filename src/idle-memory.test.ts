import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdleMemory } from './idle-memory.ts';

test('collects once after a quiet time, never while something runs, and not again before it is due', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let at = 0;
  let idle = true;
  let collected = 0;
  const memory = createIdleMemory({
    isIdle: () => idle,
    afterMs: 5_000,
    everyMs: 60_000,
    collect: () => (collected += 1),
    now: () => at,
  });
  t.after(() => memory.close());
  const pass = (seconds: number): number => {
    for (let second = 0; second < seconds; second += 1) {
      at += 1000;
      t.mock.timers.tick(1000);
    }
    return collected;
  };

  assert.equal(pass(4), 0, 'a start is not quiet yet');
  assert.equal(pass(2), 1, 'once');
  assert.equal(pass(600), 1, 'not again when nothing was done');

  memory.touch();
  idle = false;
  assert.equal(pass(100), 1, 'not while something runs');
  idle = true;
  assert.equal(pass(1), 2);

  memory.touch();
  assert.equal(pass(50), 2, 'not twice within a minute');
  assert.equal(pass(11), 3);

  for (let second = 0; second < 100; second += 1) {
    memory.touch();
    pass(1);
  }
  assert.equal(collected, 3, 'not while requests keep coming');
  memory.close();
  assert.equal(pass(100), 3);
});
