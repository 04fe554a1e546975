import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue, mayWait } from './fair-queue.ts';

function filled(...items: string[]): FairQueue<string> {
  const queue = new FairQueue<string>();
  for (const item of items) queue.add(item.slice(0, 1), item);
  return queue;
}

type Rules = { mayGoOn?: (item: string) => boolean; underWay?: (item: string) => number };

/** Takes the next one and serves it, as an owner of slots does. */
function take(
  queue: FairQueue<string>,
  { mayGoOn = () => true, underWay = () => 0 }: Rules = {},
): string | undefined {
  const item = queue.next(mayGoOn, underWay);
  if (item !== undefined) queue.served(item.slice(0, 1));
  return item;
}

function drain(queue: FairQueue<string>, rules: Rules = {}): string[] {
  const taken: string[] = [];
  for (let item = take(queue, rules); item !== undefined; item = take(queue, rules)) taken.push(item);
  return taken;
}

test("next takes the keys in turn and each key's items in order", () => {
  assert.deepEqual(drain(filled('a1', 'a2', 'a3', 'b1', 'c1', 'b2')), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

test("a burst of one key does not hold up another key's single item", () => {
  const queue = filled('a2', 'a3', 'a4');
  // Its first had not to wait.
  queue.served('a');
  queue.add('b', 'b1');
  assert.deepEqual(drain(queue), ['b1', 'a2', 'a3', 'a4']);
});

test('next takes the key with the fewest running first', () => {
  const running: Record<string, number> = { a: 2, b: 1, c: 0 };
  const underWay = (item: string): number => running[item.slice(0, 1)] ?? 0;
  const queue = filled('a1', 'b1', 'c1', 'c2');
  queue.served('c');
  assert.deepEqual(drain(queue, { underWay }), ['c1', 'c2', 'b1', 'a1']);
});

test('a key that cannot start keeps its turn and blocks no other key', () => {
  const queue = filled('a1', 'b1', 'b2', 'c1');
  assert.equal(take(queue, { mayGoOn: (item) => !item.startsWith('a') }), 'b1');
  assert.deepEqual(drain(queue), ['a1', 'c1', 'b2']);
});

test('remove takes out one item only', () => {
  const queue = filled('a1', 'a2', 'b1');
  queue.remove('a', 'a1');
  queue.remove('a', 'a1');
  queue.remove('x', 'x1');
  assert.deepEqual([queue.size, queue.of('a'), queue.of('x')], [2, 1, 0]);
  assert.deepEqual(queue.all().sort(), ['a2', 'b1']);
  assert.deepEqual(drain(queue), ['a2', 'b1']);
  assert.equal(queue.size, 0);
});

for (const [what, max, waiting, ofKey, may] of [
  ['a queue without places takes no key', 0, 0, 0, false],
  ['a key takes half of the places', 8, 3, 3, true],
  ['a key with half of the places gets no further place', 8, 4, 4, false],
  ['a key takes the larger half of an odd number of places', 5, 2, 2, true],
  ['a full queue refuses a key that has a place', 8, 8, 1, false],
  ['a full queue takes a key that has no place', 8, 8, 0, true],
  ['an overfull queue takes a key that has no place', 8, 11, 0, true],
] as const) {
  test(`mayWait: ${what}`, () => {
    assert.equal(mayWait(max, waiting, ofKey), may);
  });
}
