import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readContentType, sniffKind } from './content-type.ts';

const kinds: readonly (readonly [header: string | string[] | undefined, kind: string, charset?: string])[] = [
  ['text/html', 'html'],
  ['TEXT/HTML; Charset="UTF-8"', 'html', 'UTF-8'],
  ["text/html;charset='gbk'", 'html', 'gbk'],
  ['text/html; charset=utf8;foo', 'html', 'utf8'],
  ['application/xhtml+xml', 'html'],
  ['text/plain', 'text'],
  ['text/css', 'text'],
  ['application/json', 'text'],
  ['application/ld+json', 'text'],
  ['application/xml', 'text'],
  ['application/atom+xml;type=feed', 'text'],
  ['text/event-stream', 'unsupported'],
  ['image/svg+xml', 'unsupported'],
  ['application/jsonp', 'unsupported'],
  ['application/pdf', 'unsupported'],
  [undefined, 'unknown'],
  ['', 'unknown'],
  ['html', 'unknown'],
  ['text/html, text/plain', 'unknown'],
  [['image/png', 'text/html; charset=x'], 'html', 'x'],
  [['text/html', 'nonsense'], 'html'],
];
for (const [header, kind, charset] of kinds) {
  test(`${JSON.stringify(header)}: ${kind}`, () => {
    const type = readContentType(header);
    assert.deepEqual([type.kind, type.charset], [kind, charset]);
  });
}

test('what an untyped body starts with', () => {
  for (const [start, kind] of [
    ['<!DOCTYPE HTML><p>', 'html'],
    ['\n  <html lang=en>', 'html'],
    ['<!-- x --><p>', 'html'],
    ['\ufeff<p>x', 'html'],
    ['<pre>', 'text'],
    ['{"a":1}', 'text'],
    ['plain', 'text'],
    ['', 'text'],
    ['\x7fELF\x02\x01\x01\x00', 'unsupported'],
    ['%PDF-1.7\n%\xe2\xe3\n1 0 obj', 'unsupported'],
    ['%!PS-Adobe-3.0\n', 'unsupported'],
  ] as const) {
    assert.equal(sniffKind(Buffer.from(start)), kind, start);
  }
});
