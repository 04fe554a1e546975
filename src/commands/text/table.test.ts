import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bar, cost, count, seconds, table, time } from './table.ts';
import { paint, usesColours, type Terminal } from './terminal.ts';

const terminal = (colours: boolean): Terminal => ({
  out: () => {},
  err: () => {},
  colours,
  gone: () => false,
});

test('table aligns columns, also with colours, without trailing spaces', () => {
  const columns = [{ title: 'A' }, { title: 'N', right: true }, { title: 'B' }];
  const text = 'A        N  B\nlonger   1  x\ns       10\n';
  assert.equal(
    table(columns, [
      ['longer', '1', 'x'],
      ['s', '10', ''],
    ]),
    text,
  );
  const painted = table(columns, [
    [paint(terminal(true), 'red', 'longer'), '1', 'x'],
    ['s', '10', ''],
  ]);
  assert.ok(painted.includes('\x1b['));
  assert.equal(painted.replaceAll(/\x1b\[[0-9;]*m/g, ''), text);
  assert.equal(paint(terminal(false), 'red', 'longer'), 'longer');
});

test('paint adds colours only on a terminal that has them', () => {
  assert.equal(usesColours({ isTTY: true, hasColors: () => true }), true);
  assert.equal(usesColours({ isTTY: true, hasColors: () => false }), false);
  assert.equal(usesColours({}), false);
});

test('bar is empty for 0, visible for any value and full for the largest', () => {
  assert.equal(bar(0, 10), '');
  assert.equal(bar(0, 0), '');
  assert.equal(bar(1, 1_000_000), '▏');
  assert.equal(bar(5, 10, 4), '██');
  assert.equal(bar(9, 16, 2), '█▏');
  assert.equal(bar(10, 10, 4), '████');
});

test('count, cost and time format numbers', () => {
  assert.deepEqual([0, 999, 1000, 1_234_567].map(count), ['0', '999', '1 000', '1 234 567']);
  assert.deepEqual([0, 0.0123, 12.345].map(cost), ['$0', '$0.0123', '$12.35']);
  assert.deepEqual([0, 840, 9999, 75_400].map(seconds), ['0.0s', '0.8s', '10.0s', '75s']);
  assert.equal(time(Date.UTC(2030, 0, 31, 18, 0, 5)), '2030-01-31 18:00:05');
});
