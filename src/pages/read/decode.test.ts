import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

import { RelayError } from '../../errors.ts';
import { checkRows } from '../../../test/support/rows.ts';
import { decode, readCoding, type Coding } from './decode.ts';

async function* parts(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function decoded(coding: Coding, bytes: Buffer, size: number): Promise<{ text: string; cut: boolean }> {
  let cut = false;
  const chunks: Buffer[] = [];
  for await (const chunk of decode(parts(bytes, size), coding, () => {
    cut = true;
  })) {
    chunks.push(chunk);
  }
  return { text: Buffer.concat(chunks).toString(), cut };
}

const text = 'hello '.repeat(10_000);
const gzip = gzipSync(text);
/** A header with every optional field: RFC 1952 section 2.3. */
const allFields = Buffer.concat([
  Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 2, 0, 0x41, 0x42]),
  Buffer.from('name\0comment\0'),
  Buffer.from([0, 0]),
  gzip.subarray(10),
]);

const cases: readonly (readonly [name: string, Coding, Buffer, expected: string, cut?: boolean])[] = [
  ['identity', 'identity', Buffer.from('abc'), 'abc'],
  ['gzip', 'gzip', gzip, text],
  ['gzip with every header field', 'gzip', allFields, text],
  ['gzip without its trailer', 'gzip', gzip.subarray(0, -8), text],
  ['gzip and garbage', 'gzip', Buffer.concat([gzip, Buffer.from('garbage')]), text],
  ['two members', 'gzip', Buffer.concat([gzip, gzip]), text + text],
  ['two members and zeros', 'gzip', Buffer.concat([gzip, gzip, Buffer.alloc(100)]), text + text],
  [
    'more members than a page has',
    'gzip',
    Buffer.concat(Array<Buffer>(1000).fill(gzipSync('a'))),
    'a'.repeat(100),
  ],
  ['no bytes at all', 'gzip', Buffer.alloc(0), ''],
  ['deflate', 'deflate', deflateSync(text), text],
  ['raw deflate', 'deflate', deflateRawSync(text), text],
  ['br', 'br', brotliCompressSync(text), text],
  ['br and garbage', 'br', Buffer.concat([brotliCompressSync(text), Buffer.from('garbage')]), text],
];

test('each coding is decoded, in pieces of any size', () =>
  checkRows(
    cases,
    ([name]) => name,
    async ([, coding, bytes, expected]) => {
      for (const size of [1, 7, 1_000_000]) {
        assert.deepEqual(await decoded(coding, bytes, size), { text: expected, cut: false });
      }
    },
  ));

test('a body that breaks off is decoded up to that point and reported as cut', async () => {
  for (const [coding, bytes] of [
    ['gzip', gzip.subarray(0, -20)],
    ['deflate', deflateSync(text).subarray(0, -10)],
  ] as const) {
    for (const size of [1, 7, 1_000_000]) {
      const { text: kept, cut } = await decoded(coding, bytes, size);
      assert.ok(cut && kept.length > text.length / 2 && text.startsWith(kept));
    }
  }
});

test('a body that is not in its coding is an upstream_protocol error', async () => {
  for (const coding of ['gzip', 'br'] as const) {
    await assert.rejects(decoded(coding, Buffer.from('<p>plain text'), 4), { code: 'upstream_protocol' });
  }
});

test('a bomb is decoded no further than it is read', async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  let fed = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of parts(bomb, 1024)) {
      fed += chunk.length;
      yield chunk;
    }
  }
  let read = 0;
  for await (const chunk of decode(counted(), 'gzip', () => {})) {
    read += chunk.length;
    if (read > 1 << 20) break;
  }
  assert.ok(fed < bomb.length / 16, `${fed} of ${bomb.length}`);
});

test('a coding is accepted only if it was offered and stands alone', () => {
  const read = (header: string | string[] | undefined): string => {
    try {
      return readCoding(header);
    } catch (error) {
      return error instanceof RelayError ? error.code : String(error);
    }
  };
  for (const [header, coding] of [
    [undefined, 'identity'],
    ['', 'identity'],
    ['identity', 'identity'],
    [' GZIP ', 'gzip'],
    ['x-gzip', 'gzip'],
    ['identity, br', 'br'],
    [['gzip', 'identity'], 'gzip'],
    ['gzip, gzip', 'unsupported_encoding'],
    [['gzip', 'br'], 'unsupported_encoding'],
    ['zstd', 'unsupported_encoding'],
    ['compress', 'unsupported_encoding'],
  ] as const) {
    assert.equal(read(typeof header === 'object' ? [...header] : header), coding);
  }
});
