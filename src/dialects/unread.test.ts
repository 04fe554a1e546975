import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { ignoredHeader, unreadNames } from './unread.ts';

const schema = z.object({
  a: z.array(z.union([z.string(), z.object({ b: z.number() })])),
  open: z.unknown().optional(),
});

function unread(body: unknown): string[] {
  return [...unreadNames(body, schema.parse(body))];
}

test('the names of unread fields are dotted, without positions, and each once', () => {
  assert.deepEqual(
    unread({ a: ['x', { b: 1, c: 2 }, { b: 1, c: { d: 3 } }], e: [], open: { f: 1 }, g: null }),
    ['a.c', 'e'],
  );
});

test('a header of unread names is short, and in ASCII whatever the names are', () => {
  const name = 'größe, \r\nx: 🙂';
  assert.equal(ignoredHeader(unread({ a: [], [name]: 1 })), 'gr__e____x___');
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 1]));
  const header = ignoredHeader(unread({ a: [], ...many }));
  assert.match(header, /^f0, f1, (?:f\d+, ){30}\.\.\.$/);
  const long = ignoredHeader(unread({ a: [{ b: 1, ['x'.repeat(1e6)]: 1 }] }));
  assert.equal(long, `a.${'x'.repeat(62)}`);
});
