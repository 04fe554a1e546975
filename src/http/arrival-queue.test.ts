import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArrivalQueue } from './arrival-queue.ts';

const nextRound = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('the arrival queue lets requests in in their order, a few at each round', async () => {
  const queue = new ArrivalQueue(3);
  const entered: number[] = [];
  const all = Promise.all(
    Array.from({ length: 8 }, (_, index) => queue.enter().then(() => entered.push(index))),
  );
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

test('a request that arrives after the others passes the arrival queue', async () => {
  const queue = new ArrivalQueue(1);
  await queue.enter();
  await Promise.all([queue.enter(), queue.enter()]);
  await queue.enter();
});
