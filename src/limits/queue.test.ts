import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from './queue.ts';

function filled(...items: string[]): FairQueue<string> {
  const queue = new FairQueue<string>();
  for (const item of items) queue.add(item.slice(0, 1), item);
  return queue;
}

function drain(queue: FairQueue<string>, mayGoOn: (item: string) => boolean = () => true): string[] {
  const taken: string[] = [];
  for (let item = queue.next(mayGoOn); item !== undefined; item = queue.next(mayGoOn)) taken.push(item);
  return taken;
}

test('one key after the other, and within a key in order', () => {
  assert.deepEqual(drain(filled('a1', 'a2', 'a3', 'b1', 'c1', 'b2')), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

test("a burst of one key does not hold up another's single call", () => {
  const queue = filled('a1', 'a2', 'a3');
  assert.equal(
    queue.next(() => true),
    'a1',
  );
  queue.add('b', 'b1');
  assert.deepEqual(drain(queue), ['a2', 'b1', 'a3']);
});

test('a key that may not go on keeps its turn and blocks nobody', () => {
  const queue = filled('a1', 'b1', 'b2', 'c1');
  assert.equal(
    queue.next((item) => !item.startsWith('a')),
    'b1',
  );
  assert.deepEqual(drain(queue), ['a1', 'c1', 'b2']);
});

test('leaving frees the place and nothing else', () => {
  const queue = filled('a1', 'a2', 'b1');
  queue.remove('a', 'a1');
  queue.remove('a', 'a1');
  queue.remove('x', 'x1');
  assert.equal(queue.size, 2);
  assert.deepEqual(queue.all().sort(), ['a2', 'b1']);
  assert.deepEqual(drain(queue), ['a2', 'b1']);
  assert.equal(queue.size, 0);
});
