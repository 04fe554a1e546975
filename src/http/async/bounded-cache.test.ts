import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Shelf } from './bounded-cache.ts';

const bounds = { ttlMs: 1000, perKey: 2, all: 3, bytesPerKey: 10, bytesInAll: 15 };

function there(shelf: Shelf<string>, ...ids: string[]): boolean[] {
  return ids.map((id) => shelf.get(id) === id);
}

test('what is unfinished stays; of what is finished the oldest makes room', () => {
  const shelf = new Shelf<string>(bounds);
  for (const id of ['a1', 'a2'])
    assert.equal(
      shelf.put(id, 'a', () => id),
      id,
    );
  const unmade = (): string => assert.fail('it was made');
  assert.equal(shelf.put('a3', 'a', unmade), undefined, 'the key has its share');
  shelf.put('b1', 'b', () => 'b1');
  assert.equal(shelf.put('c1', 'c', unmade), undefined, 'all places are taken');
  shelf.finish('a2', 1);
  shelf.finish('a1', 1);
  assert.equal(
    shelf.put('c1', 'c', () => 'c1'),
    'c1',
  );
  assert.deepEqual(there(shelf, 'a1', 'a2', 'b1', 'c1'), [false, true, true, true]);
  assert.equal(
    shelf.put('a3', 'a', () => 'a3'),
    'a3',
  );
  assert.deepEqual(there(shelf, 'a2', 'a3', 'b1', 'c1'), [false, true, true, true]);
});

test('bytes are bounded for a key and in all', () => {
  const shelf = new Shelf<string>({ ...bounds, perKey: 9, all: 9 });
  for (const id of ['a1', 'a2', 'b1', 'b2']) shelf.put(id, id.charAt(0), () => id);
  shelf.finish('a1', 6);
  shelf.finish('a2', 5);
  assert.deepEqual(there(shelf, 'a1', 'a2'), [false, true]);
  shelf.finish('b1', 10);
  assert.deepEqual(there(shelf, 'a2', 'b1'), [true, true]);
  shelf.finish('b2', 11);
  assert.deepEqual(there(shelf, 'a2', 'b1', 'b2'), [true, false, false], 'too large for the shelf itself');
  shelf.put('c1', 'c', () => 'c1');
  shelf.put('c2', 'c', () => 'c2');
  shelf.finish('c1', 9);
  assert.deepEqual(there(shelf, 'a2', 'c1', 'c2'), [true, true, true]);
  shelf.put('d1', 'd', () => 'd1');
  shelf.finish('d1', 2);
  assert.deepEqual(there(shelf, 'a2', 'c1', 'c2', 'd1'), [false, true, true, true], 'the oldest of all');
});

test('its time begins when it is finished', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const shelf = new Shelf<string>(bounds);
  shelf.put('a1', 'a', () => 'a1');
  t.mock.timers.tick(5000);
  shelf.finish('a1', 1);
  t.mock.timers.tick(999);
  assert.deepEqual(there(shelf, 'a1'), [true]);
  t.mock.timers.tick(1);
  assert.deepEqual(there(shelf, 'a1'), [false]);
  shelf.finish('a1', 1);
  shelf.remove('a1');
});
