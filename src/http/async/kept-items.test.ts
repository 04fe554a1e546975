import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptItems, keptItemBounds } from './kept-items.ts';

test('an item is recalled for its key only, and the answer whose last use is the oldest is dropped first', () => {
  const kept = new KeptItems();
  const item = (id: string, text = 'x'): { id: string } => ({ id, ...{ text } });
  kept.keep('k1', { group: 'a', items: [item('a_0'), item('a_1', 'y')] });
  assert.deepEqual(kept.recall('k1', 'a', 'a_1'), { id: 'a_1', text: 'y' });
  assert.equal(kept.recall('k2', 'a', 'a_1'), undefined);
  assert.equal(kept.recall('k1', 'a', 'a_2'), undefined);
  for (let index = 1; index < keptItemBounds.perKey; index += 1)
    kept.keep('k1', { group: `b${index}`, items: [item('b')] });
  assert.ok(kept.recall('k1', 'a', 'a_0'), 'and is the newest from now on');
  kept.keep('k1', { group: 'c', items: [item('c')] });
  assert.ok(kept.recall('k1', 'a', 'a_0'));
  assert.equal(kept.recall('k1', 'b1', 'b'), undefined);
  kept.keep('k1', { group: 'd', items: [item('d', 'x'.repeat(keptItemBounds.bytesPerKey))] });
  assert.equal(kept.recall('k1', 'd', 'd'), undefined, 'it is too large');
});
