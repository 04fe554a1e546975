import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { defaultCaps } from '../caps.ts';
import { readPage, type PageText } from './read.ts';
import { pageRequest } from '../request.ts';

const url = 'http://site.com/';
const forever = new AbortController().signal;

function read(
  body: Iterable<Buffer>,
  request: Record<string, unknown> = {},
  signal = forever,
  type = 'text/html',
): Promise<PageText> {
  const reply = { status: 200, headers: { 'content-type': type }, body: Readable.from(body) };
  return readPage(reply, url, pageRequest.parse({ url, ...request }), defaultCaps, signal);
}

test('metadata is complete however small max_bytes is', async () => {
  const page = [Buffer.from(`<p>${'x'.repeat(700_000)}`), Buffer.from('<title>at the end</title>')];
  const { metadata, truncated } = await read(page, { format: 'metadata', max_bytes: 1 });
  assert.deepEqual([metadata.title, truncated], ['at the end', false]);
  assert.equal((await read(page, { max_bytes: 1 })).truncated, true);
  const endless = Array<Buffer>(11).fill(Buffer.alloc(1_000_000, 'x'));
  assert.equal((await read(endless, { format: 'metadata' })).truncated, true, 'at a cap it is');
});

test('reading stops when the caller has left', async () => {
  const gone = new AbortController();
  let given = 0;
  function* endless(): Generator<Buffer> {
    for (; given < 70; given += 1) {
      if (given === 2) gone.abort(new Error('gone'));
      yield Buffer.alloc(100_000, 'x');
    }
  }
  await assert.rejects(read(endless(), {}, gone.signal), /gone/);
  assert.ok(given < 30, `${given} pieces were still read`);
});

test('each type of text returns text and refuses binary data', async () => {
  const types = 'text/csv application/toml application/octet-stream unknown/unknown application/ld+json';
  for (const type of types.split(' ')) {
    const { text, kind } = await read([Buffer.from('a: é\n')], {}, forever, type);
    assert.deepEqual([text, kind], ['a: é\n', 'text']);
    await assert.rejects(read([Buffer.from('PK\x03'), Buffer.from('\x04\x14')], {}, forever, type), {
      code: 'unsupported_content_type',
    });
  }
  const binary = [Buffer.from([0x1f, 0x8b, 8, 0])];
  await assert.rejects(read(binary, {}, forever, 'text/plain'), { message: /sent as text/ });
  await assert.rejects(read(binary, {}, forever, 'image/png'), { message: /neither HTML nor text/ });
  const { text } = await read([Buffer.from('été', 'utf16le')], {}, forever, 'text/plain; charset=utf-16');
  assert.equal(text, 'été');
});
