import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArrivalQueue } from './arrival-queue.ts';

const nextRound = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('the arrival queue admits requests in order, a few in each round', async () => {
  const queue = new ArrivalQueue();
  const entered: number[] = [];
  const all = Promise.all(
    Array.from({ length: 20 }, (_, index) => queue.enter().then(() => entered.push(index))),
  );
  const counts: number[] = [];
  while (entered.length < 20) {
    await nextRound();
    counts.push(entered.length);
  }
  await all;
  assert.deepEqual(
    entered,
    Array.from({ length: 20 }, (_, index) => index),
  );
  const steps = counts.map((count, index) => count - (counts[index - 1] ?? 0));
  assert.ok(
    steps.every((step) => step <= 8),
    steps.join(),
  );
});

test('a request that arrives after the others passes the arrival queue', async () => {
  const queue = new ArrivalQueue();
  await queue.enter();
  await Promise.all(Array.from({ length: 20 }, () => queue.enter()));
  await queue.enter();
});
