import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedCache } from './bounded-cache.ts';

const bounds = { ttlMs: 1000, perKey: 2, all: 3, bytesPerKey: 10, bytesInAll: 15 };

function there(cache: BoundedCache<string>, ...ids: string[]): boolean[] {
  return ids.map((id) => cache.get(id) === id);
}

test('the oldest finished entry makes room, and an unfinished entry stays', () => {
  const cache = new BoundedCache<string>(bounds);
  for (const id of ['a1', 'a2'])
    assert.equal(
      cache.add(id, 'a', () => id),
      id,
    );
  const unmade = (): string => assert.fail('it was made');
  assert.throws(() => cache.add('a3', 'a', unmade), { code: 'rate_limited' }, 'the key has its share');
  cache.add('b1', 'b', () => 'b1');
  assert.throws(() => cache.add('c1', 'c', unmade), { code: 'rate_limited' }, 'all places are taken');
  cache.finish('a2', 1);
  cache.finish('a1', 1);
  assert.equal(
    cache.add('c1', 'c', () => 'c1'),
    'c1',
  );
  assert.deepEqual(there(cache, 'a1', 'a2', 'b1', 'c1'), [false, true, true, true]);
  assert.equal(
    cache.add('a3', 'a', () => 'a3'),
    'a3',
  );
  assert.deepEqual(there(cache, 'a2', 'a3', 'b1', 'c1'), [false, true, true, true]);
});

test('the bytes of a cache are bounded for a key and in all', () => {
  const cache = new BoundedCache<string>({ ...bounds, perKey: 9, all: 9 });
  for (const id of ['a1', 'a2', 'b1', 'b2']) cache.add(id, id.charAt(0), () => id);
  cache.finish('a1', 6);
  cache.finish('a2', 5);
  assert.deepEqual(there(cache, 'a1', 'a2'), [false, true]);
  cache.finish('b1', 10);
  assert.deepEqual(there(cache, 'a2', 'b1'), [true, true]);
  cache.finish('b2', 11);
  assert.deepEqual(there(cache, 'a2', 'b1', 'b2'), [true, false, false], 'too large for the cache itself');
  cache.add('c1', 'c', () => 'c1');
  cache.add('c2', 'c', () => 'c2');
  cache.finish('c1', 9);
  assert.deepEqual(there(cache, 'a2', 'c1', 'c2'), [true, true, true]);
  cache.add('d1', 'd', () => 'd1');
  cache.finish('d1', 2);
  assert.deepEqual(there(cache, 'a2', 'c1', 'c2', 'd1'), [false, true, true, true], 'the oldest of all');
});

test('the time of an entry begins when it is finished', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cache = new BoundedCache<string>(bounds);
  cache.add('a1', 'a', () => 'a1');
  t.mock.timers.tick(5000);
  cache.finish('a1', 1);
  t.mock.timers.tick(999);
  assert.deepEqual(there(cache, 'a1'), [true]);
  t.mock.timers.tick(1);
  assert.deepEqual(there(cache, 'a1'), [false]);
  cache.finish('a1', 1);
  cache.remove('a1');
});

test('an entry that is used is kept for its time again', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cache = new BoundedCache<string>(bounds);
  for (const id of ['a1', 'a2']) {
    cache.add(id, 'a', () => id);
    cache.finish(id, 1);
  }
  t.mock.timers.tick(bounds.ttlMs - 1);
  cache.touch('a1');
  cache.touch('unknown');
  t.mock.timers.tick(bounds.ttlMs - 1);
  assert.deepEqual(there(cache, 'a1', 'a2'), [true, false]);
  t.mock.timers.tick(1);
  assert.deepEqual(there(cache, 'a1'), [false]);
});
