import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import { ByteSource } from './bytes.ts';
import { openText } from './charset.ts';
import type { EncodingRule } from './content-type.ts';

async function* parts(bytes: Uint8Array, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

async function read(
  bytes: Uint8Array,
  label?: string,
  size = bytes.length,
  rule: EncodingRule = 'html',
): Promise<[charset: string, text: string]> {
  const source = new ByteSource(parts(bytes, Math.max(1, size)));
  const text = await openText(source, label, rule);
  const pieces: string[] = [];
  for await (const piece of text.pieces()) pieces.push(piece);
  return [text.charset, pieces.join('')];
}

const cases: readonly (readonly [
  name: string,
  bytes: Uint8Array,
  label: string | undefined,
  charset: string,
  text: string,
])[] = [
  ['UTF-8 by itself', Buffer.from('é🎉'), undefined, 'utf-8', 'é🎉'],
  ['no UTF-8', Buffer.from([0x63, 0xe9]), undefined, 'windows-1252', 'cé'],
  [
    'windows-1252, all that Latin 1 has not',
    Buffer.from([0x80, 0x92, 0x81]),
    'iso-8859-1',
    'windows-1252',
    '€’\u0081',
  ],
  ['Shift_JIS 80', Buffer.from([0x80]), 'shift_jis', 'shift_jis', '\u0080'],
  ['an unknown label', Buffer.from('é'), 'klingon', 'utf-8', 'é'],
  ['utf8 as a label', Buffer.from('é'), 'UTF8', 'utf-8', 'é'],
  ['a mark against the header', Buffer.from('\ufeffé', 'utf16le'), 'utf-8', 'utf-16le', 'é'],
  ['utf-16 by header', Buffer.from('é', 'utf16le'), 'utf-16', 'utf-16le', 'é'],
  [
    'a meta tag cannot declare utf-16',
    Buffer.from('<meta charset=utf-16>é'),
    undefined,
    'utf-8',
    '<meta charset=utf-16>é',
  ],
  [
    'an XML declaration',
    Buffer.from([...Buffer.from('<?xml version="1.0" encoding="iso-8859-2"?>'), 0xb1]),
    undefined,
    'iso-8859-2',
    '<?xml version="1.0" encoding="iso-8859-2"?>ą',
  ],
  ['replacement', Buffer.from('secret'), 'iso-2022-kr', 'replacement', '\ufffd'],
  ['replacement of nothing', Buffer.from(''), 'hz-gb-2312', 'replacement', ''],
  ['nothing', Buffer.from(''), undefined, 'utf-8', ''],
  ['UTF-8 that breaks off', Buffer.from('été').subarray(0, -1), undefined, 'utf-8', 'ét\ufffd'],
  [
    'UTF-8 with a wrong byte',
    Buffer.concat([Buffer.from('é'.repeat(10)), Buffer.from([0xff])]),
    undefined,
    'utf-8',
    `${'é'.repeat(10)}\ufffd`,
  ],
  ['U+FEFF after the start', Buffer.from('a\ufeffé'), undefined, 'utf-8', 'a\ufeffé'],
];
test('the mark, the header, the page and its letters decide the encoding, in that order', () =>
  checkRows(
    cases,
    ([name]) => name,
    async ([, bytes, label, charset, text]) => {
      for (const size of [bytes.length, 1, 2])
        assert.deepEqual(await read(bytes, label, size), [charset, text]);
    },
  ));

test('a character that the sample cuts does not count against UTF-8', async () => {
  const [charset] = await read(Buffer.from(`é${'x'.repeat(65_533)}é`));
  assert.equal(charset, 'utf-8');
});

test('the first letters outside ASCII decide the encoding, wherever they are', async () => {
  const ascii = Buffer.alloc(200_000, 'x');
  for (const [letters, charset] of [
    [Buffer.from('é'), 'utf-8'],
    [Buffer.from([0xe9]), 'windows-1252'],
  ] as const) {
    for (const size of [97, 65_536, 300_000]) {
      const [found, text] = await read(Buffer.concat([ascii, letters]), undefined, size);
      assert.deepEqual([found, text.slice(-2), text.length], [charset, 'xé', 200_001]);
    }
  }
});

test('JSON and XML are read as UTF-8, whatever their bytes are', async () => {
  const bytes = Buffer.from([0x22, 0xe9, 0x22]);
  assert.deepEqual(await read(bytes, undefined, 1, 'json'), ['utf-8', '"\ufffd"']);
  assert.deepEqual(await read(bytes, undefined, 1, 'xml'), ['utf-8', '"\ufffd"']);
  assert.deepEqual(await read(bytes, 'latin1', 1, 'json'), ['windows-1252', '"é"']);
  const xml = '<?xml version="1.0"?><a>é</a>';
  assert.deepEqual(await read(Buffer.from(xml, 'utf16le'), undefined, 3, 'xml'), ['utf-16le', xml]);
});

test('the search for <meta charset> ends after 512 KiB', async () => {
  const meta = '<meta charset=gbk>';
  const head = (size: number): Buffer => Buffer.from(`<!--${'x'.repeat(size)}-->${meta}`);
  assert.equal((await read(head(500_000)))[0], 'gbk');
  assert.equal((await read(head(600_000)))[0], 'utf-8');
});

test('a text that is not HTML can name its encoding only in an XML declaration', async () => {
  const text = (bytes: Uint8Array, label?: string) => read(bytes, label, 3, 'text');
  for (const page of [
    '{"html": "<meta charset=windows-1251>é"}',
    '# About <meta charset="shift_jis">\né',
    '<?xml version="1.0" encoding="utf-16"?><a>é</a>',
    '<rss><!-- <?xml version="1.0" encoding="gbk"?> -->é</rss>',
  ]) {
    assert.deepEqual(await text(Buffer.from(page)), ['utf-8', page]);
  }
  const xml = '<?xml version="1.0" encoding="windows-1251" standalone="yes"?>';
  const bytes = Buffer.from([...Buffer.from(xml), 0xcf]);
  assert.deepEqual(await text(bytes), ['windows-1251', `${xml}П`]);
  assert.deepEqual(await text(bytes, 'windows-1252'), ['windows-1252', `${xml}Ï`]);
});
