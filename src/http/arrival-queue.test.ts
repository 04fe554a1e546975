import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIntake } from './arrival-queue.ts';

const nextRound = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('all come in, in their order, a few at each round', async () => {
  const intake = createIntake(3);
  const entered: number[] = [];
  const all = Promise.all(Array.from({ length: 8 }, (_, index) => intake().then(() => entered.push(index))));
  const counts: number[] = [];
  while (entered.length < 8) {
    await nextRound();
    counts.push(entered.length);
  }
  await all;
  assert.deepEqual(entered, [0, 1, 2, 3, 4, 5, 6, 7]);
  const steps = counts.map((count, index) => count - (counts[index - 1] ?? 0));
  assert.ok(
    steps.every((step) => step <= 3),
    steps.join(),
  );
});

test('one that comes later finds it open', async () => {
  const intake = createIntake(1);
  await intake();
  await Promise.all([intake(), intake()]);
  await intake();
});
