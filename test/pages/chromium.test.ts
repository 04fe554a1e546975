/** The relay reads the pages of chromium/shapes.ts as Chromium does, letter by letter. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { RelayError } from '../../src/errors.ts';
import { defaultCaps } from '../../src/pages/caps.ts';
import { type PageText, readPage } from '../../src/pages/read/read.ts';
import { pageRequest } from '../../src/pages/request.ts';
import { checkRows } from '../support/rows.ts';
import { needs } from '../support/needs.ts';
import { showInChromium } from './chromium/browser.ts';
import { type Shape, shapes } from './chromium/shapes.ts';
import { readRecord, shorten, textOfMarkup, textOfText } from './chromium/shown.ts';

const url = 'http://site.com/';
const record = readRecord();

async function read({ type, bytes }: Shape, size: number, request: Record<string, unknown>) {
  function* pieces(): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const headers = type === undefined ? {} : { 'content-type': [type].flat() };
  try {
    return await readPage(
      { status: 200, headers, body: Readable.from(pieces()) },
      url,
      pageRequest.parse({ url, ...request }),
      defaultCaps,
      new AbortController().signal,
    );
  } catch (error) {
    if (error instanceof RelayError && error.code === 'unsupported_content_type') return null;
    throw error;
  }
}

/** Every way in which the bytes can arrive, and both ways in which they can be kept. */
function readings({ bytes }: Shape): readonly { size: number; strip: boolean }[] {
  return [
    { size: bytes.length < 10_000 ? 1 : 999, strip: true },
    // Ends where the search for an encoding may end.
    { size: 1024, strip: false },
    { size: bytes.length, strip: true },
  ];
}

test('the relay reads each shape of page as Chromium does, or differs as documented', () =>
  checkRows(
    Object.entries(shapes),
    ([name]) => name,
    async ([name, shape]) => {
      const shown = record[name];
      assert.ok(shown !== undefined, 'not recorded: npm run record:chromium');
      const expected = shape.differs === undefined ? shown : shape.differs.returns;
      for (const { size, strip } of readings(shape)) {
        const page: PageText | null = await read(shape, size, { strip });
        if (page === null || expected === null) {
          assert.equal(page, expected);
          continue;
        }
        const isMarkup: boolean = page.kind === 'html' || (shown !== null && /xml/.test(shown.type));
        assert.equal(shorten(isMarkup ? textOfMarkup(page.text) : textOfText(page.text)), expected.text);
        if (shape.differs !== undefined || shown === null) continue;
        assert.equal(page.kind, /html/.test(shown.type) ? 'html' : 'text');
        if (page.kind !== 'html') continue;
        const { metadata } = (await read(shape, size, { format: 'metadata' })) ?? {};
        assert.equal(metadata?.language ?? '', shown.language);
      }
    },
  ));

test('the relay differs from Chromium where it is meant to', () => {
  for (const [name, { differs }] of Object.entries(shapes)) {
    if (differs !== undefined) assert.notDeepEqual(record[name]?.text, differs.returns?.text, name);
  }
});

test('the installed Chromium shows what was recorded', { skip: needs('chromium') }, async () => {
  assert.deepEqual(await showInChromium(shapes), record);
});
