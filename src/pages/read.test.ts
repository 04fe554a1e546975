import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { defaultCaps } from './caps.ts';
import { readPage, type PageText } from './read.ts';
import { pageRequest } from './request.ts';

const url = 'http://site.com/';
const forever = new AbortController().signal;

function read(
  body: Iterable<Buffer>,
  request: Record<string, unknown> = {},
  signal = forever,
): Promise<PageText> {
  const reply = { status: 200, headers: { 'content-type': 'text/html' }, body: Readable.from(body) };
  return readPage(reply, url, pageRequest.parse({ url, ...request }), defaultCaps, signal);
}

test('metadata does not depend on how much of the page would be returned, and is not cut with it', async () => {
  const page = [Buffer.from(`<p>${'x'.repeat(700_000)}`), Buffer.from('<title>at the end</title>')];
  const { metadata, truncated } = await read(page, { format: 'metadata', max_bytes: 1 });
  assert.deepEqual([metadata.title, truncated], ['at the end', false]);
  assert.equal((await read(page, { max_bytes: 1 })).truncated, true);
  const endless = Array<Buffer>(11).fill(Buffer.alloc(1_000_000, 'x'));
  assert.equal((await read(endless, { format: 'metadata' })).truncated, true, 'at a cap it is');
});

test('nobody works on for a caller that has gone', async () => {
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
