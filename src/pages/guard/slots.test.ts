import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { createSlots } from './slots.ts';

const forever = new AbortController().signal;

test('a name has at most the given number of tasks at a time, in order, even if some fail', async () => {
  const slots = createSlots({ each: 2, waiting: 100 });
  const events: string[] = [];
  let running = 0;
  let most = 0;
  const work = (name: string, index: number): Promise<unknown> =>
    slots(name, 'key', forever, async () => {
      running += 1;
      most = Math.max(most, running);
      events.push(`${index}`);
      await setImmediate();
      running -= 1;
      if (index % 2 === 0) throw new Error('fails');
    }).catch(() => {});
  await Promise.all(Array.from({ length: 9 }, (_, index) => work('host', index)));
  assert.deepEqual(events, ['0', '1', '2', '3', '4', '5', '6', '7', '8']);
  assert.equal(most, 2);
});

test('a task of one name does not wait for tasks of another', async () => {
  const slots = createSlots({ each: 1, waiting: 10 });
  let release: () => void = () => {};
  const held = slots('a', 'key', forever, () => new Promise<void>((resolve) => (release = resolve)));
  assert.equal(await slots('b', 'key', forever, async () => 'b'), 'b');
  release();
  await held;
});

test('a full queue refuses a task, and a task that leaves makes room', async () => {
  const slots = createSlots({ each: 1, waiting: 1 });
  let release: () => void = () => {};
  const held = slots('a', 'key', forever, () => new Promise<void>((resolve) => (release = resolve)));
  const leaving = new AbortController();
  const waiting = slots('a', 'key', leaving.signal, async () => 'ran');
  await assert.rejects(
    slots('a', 'key', forever, async () => 'ran'),
    { code: 'rate_limited', details: { limit: 'target_host', retryAfter: 5 } },
  );
  leaving.abort(new Error('left'));
  // The place of the one that left is not handed to it.
  release();
  await assert.rejects(waiting, /left/);
  await held;
  assert.equal(await slots('a', 'key', forever, async () => 'ran'), 'ran');
});

test('a single task of one key goes before the later tasks of another key', async () => {
  const slots = createSlots({ each: 1, waiting: 100 });
  const order: string[] = [];
  const use = (keyId: string): Promise<void> =>
    slots('host', keyId, forever, async () => {
      order.push(keyId);
      await setImmediate();
    });
  await Promise.all([use('a'), use('a'), use('a'), use('a'), use('b')]);
  assert.equal(order.join(''), 'abaaa');
});

test('a key fills at most half of the queue, and each key’s first task finds a place', async () => {
  const slots = createSlots({ each: 1, waiting: 2 });
  let release: () => void = () => {};
  const held = slots('x', 'a', forever, () => new Promise<void>((resolve) => (release = resolve)));
  const waits = ['a', 'b', 'c'].map((keyId) => slots('x', keyId, forever, async () => keyId));
  await assert.rejects(
    slots('x', 'a', forever, async () => 'a'),
    { code: 'rate_limited' },
  );
  release();
  await held;
  assert.deepEqual(await Promise.all(waits), ['a', 'b', 'c']);
});
