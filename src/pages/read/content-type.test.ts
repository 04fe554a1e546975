import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import { readContentType } from './content-type.ts';
import { isBinary, sniffKind } from './sniff.ts';

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
  ['text/html, text/plain', 'text'],
  ['text/html;charset=gbk, text/html', 'html', 'gbk'],
  ['text/plain;charset=gbk, text/html', 'html'],
  ['text/html; x="a; charset=koi8-r, b"; charset=gbk', 'html', 'gbk'],
  ['text/html; charset="gbk', 'html', 'gbk'],
  ['text/html; charset=gbk; charset=koi8-r', 'html', 'gbk'],
  ['text/html; xcharset=gbk', 'html'],
  [['image/png', 'text/html; charset=x'], 'html', 'x'],
  [['text/html', 'nonsense'], 'html'],
  ['*/*', 'unknown'],
  ['unknown/unknown', 'unknown'],
  ['application/octet-stream', 'file'],
  ['binary/octet-stream', 'file'],
  ...[
    'text/yaml text/csv text/x-anything text/markdown text/vnd.graphviz message/rfc822 message/http',
    'application/yaml application/x-yaml application/toml application/x-ndjson application/jsonl',
    'application/javascript application/x-javascript application/ecmascript application/typescript',
    'application/sql application/graphql application/x-sh application/x-python application/x-httpd-php',
    'application/csv application/rtf application/x-tex application/x-subrip application/n-quads',
    'application/vnd.apple.mpegurl application/vnd.oai.openapi application/x-www-form-urlencoded',
    'application/openapi+yaml application/problem+json application/geo+json-seq model/gltf+json',
  ].flatMap((types) => types.split(' ').map((type) => [type, 'text'] as const)),
  ['application/vnd.oai.openapi+json;version=3.1', 'text'],
  ...[
    'application/zip application/gzip application/wasm application/x-tar application/msword',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document application/json-x',
    'application/protobuf application/cbor application/jsonp image/png audio/mpeg video/mp4 font/woff2',
    'multipart/mixed application/ld+jsonx application/vnd.ms-excel application/postscript',
  ].flatMap((types) => types.split(' ').map((type) => [type, 'unsupported'] as const)),
];
test('the Content-Type header decides the kind of a page and its charset label', () =>
  checkRows(
    kinds,
    ([header]) => JSON.stringify(header),
    ([header, kind, charset]) => {
      const type = readContentType(header);
      assert.deepEqual([type.kind, type.charset], [kind, charset]);
    },
  ));

test('the first bytes of a body without a type decide its kind', () => {
  for (const [start, kind] of [
    ['<!DOCTYPE HTML><p>', 'html'],
    ['\n  <html lang=en>', 'html'],
    ['<!-- x --><p>', 'html'],
    ['\ufeff<p>x', 'html'],
    ['<pre>', 'html'],
    ['<article>', 'html'],
    ['<nav>', 'text'],
    ['<?xml version="1.0"?><html>', 'text'],
    ['\ufeff<nav>', 'text'],
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

test('the type decides where a page names its encoding', () => {
  for (const [header, encoding] of [
    ['text/html', 'html'],
    ['application/xhtml+xml', 'xml'],
    ['text/xml', 'xml'],
    ['application/rss+xml', 'xml'],
    ['application/json', 'json'],
    ['application/problem+json; charset=x', 'json'],
    ['text/plain', 'text'],
    ['application/yaml', 'text'],
    [undefined, 'text'],
  ] as const) {
    assert.equal(readContentType(header).encoding, encoding, header);
  }
});

test('bytes that no text has are binary, except in UTF-16', () => {
  for (const [start, binary] of [
    [Buffer.from('text \x1b[0m\x0c\t\r\n'), false],
    [Buffer.from('\x00'), true],
    [Buffer.from('PK\x03\x04'), true],
    [Buffer.from('\ufeffa', 'utf16le'), false],
    [Buffer.from('<?xml version="1.0"?>', 'utf16le'), false],
    [Buffer.from('text', 'utf16le'), true],
    [Buffer.concat([Buffer.alloc(1023, 'x'), Buffer.from([0])]), true],
    [Buffer.concat([Buffer.alloc(1024, 'x'), Buffer.from([0])]), false],
  ] as const) {
    assert.equal(isBinary(start), binary, JSON.stringify(start.toString('latin1', 0, 20)));
  }
});
