import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planSpares } from './spare-plan.ts';

const rows: [string, string[], number, string[]][] = [
  ['without requests all spares have the default model', [], 2, ['opus', 'opus']],
  ['one spare has the later of two models that were requested as often', ['sonnet', 'haiku'], 1, ['haiku']],
  [
    'one spare does not change for a single request',
    ['haiku', 'haiku', 'haiku', 'haiku', 'opus'],
    1,
    ['haiku'],
  ],
  ['two models get a spare each', ['sonnet', 'haiku', 'sonnet', 'haiku'], 2, ['haiku', 'sonnet']],
  [
    'three spares follow the shares of the models',
    ['haiku', 'haiku', 'haiku', 'sonnet'],
    3,
    ['haiku', 'haiku', 'sonnet'],
  ],
  ['without places there is no spare', ['opus'], 0, []],
];

for (const [name, recent, max, expected] of rows) {
  test(`planSpares: ${name}`, () => {
    assert.deepEqual(planSpares(recent, max, 'opus').toSorted(), expected.toSorted());
  });
}

test('planSpares returns as many as allowed, of requested models only', () => {
  for (let max = 1; max <= 8; max++) {
    const plan = planSpares(['a', 'b', 'c', 'a'], max, 'z');
    assert.equal(plan.length, max);
    assert.ok(plan.every((model) => 'abc'.includes(model)));
  }
});
