import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cost, count, seconds, table, time } from './table.ts';

test('table aligns columns and leaves no trailing spaces', () => {
  const rows = [
    ['longer', '1', 'x'],
    ['s', '10', ''],
  ];
  assert.equal(table(['A', ' N', 'B'], rows), 'A        N  B\nlonger   1  x\ns       10\n');
});

test('count, cost and time format numbers', () => {
  assert.deepEqual([0, 999, 1000, 1_234_567].map(count), ['0', '999', '1 000', '1 234 567']);
  assert.deepEqual([0, 0.0123, 12.345].map(cost), ['$0', '$0.0123', '$12.35']);
  assert.deepEqual([0, 840, 9999, 75_400].map(seconds), ['0.0s', '0.8s', '10.0s', '75s']);
  assert.equal(time(Date.UTC(2030, 0, 31, 18, 0, 5)), '2030-01-31 18:00:05');
});
