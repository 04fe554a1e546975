import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { latest } from './latest.ts';

test('latest returns the last answer at once, and asks when the last question is old', async () => {
  const answers: PromiseWithResolvers<number>[] = [];
  let now = 0;
  const known = latest(
    () => {
      const answer = Promise.withResolvers<number>();
      answers.push(answer);
      return answer.promise;
    },
    300,
    () => now,
  );
  const seen = (): unknown => ({ ...known(), questions: answers.length });
  assert.deepEqual(seen(), { value: undefined, asking: true, questions: 1 });
  now = 1000;
  assert.deepEqual(seen(), { value: undefined, asking: true, questions: 1 });
  answers[0]?.resolve(5);
  await turn();
  assert.deepEqual(seen(), { value: 5, asking: true, questions: 2 });
  answers[1]?.resolve(6);
  await turn();
  now = 1299;
  assert.deepEqual(seen(), { value: 6, asking: false, questions: 2 });
  now = 1300;
  assert.deepEqual(seen(), { value: 6, asking: true, questions: 3 });
});
