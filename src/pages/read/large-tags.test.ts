/** Pages with tags that nobody reads: what is left of them, and that the rest of the page is there. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { defaultCaps } from '../caps.ts';
import { checkRows } from '../../../test/support/rows.ts';
import { readPage, type PageText } from './read.ts';
import { pageRequest } from '../request.ts';

const url = 'http://site.com/';

function read(page: string, request: Record<string, unknown> = {}, size = 65_536): Promise<PageText> {
  const bytes = Buffer.from(page);
  function* pieces(): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const headers = { 'content-type': 'text/html; charset=utf-8' };
  return readPage(
    { status: 200, headers, body: Readable.from(pieces()) },
    url,
    pageRequest.parse({ url, ...request }),
    defaultCaps,
    new AbortController().signal,
  );
}

const image = (size: number): string => `data:image/png;base64,${'A'.repeat(size)}`;
const big = 'x'.repeat(120_000);
const short = 'data:image/png;base64,omitted';
const jsonLd = (text: string): string => `<script type="application/ld+json">${text}</script>`;

const pages: readonly (readonly [
  name: string,
  page: string,
  expected: string,
  options?: { truncated?: true; request?: Record<string, unknown> },
])[] = [
  ['an image of 600 kB', `<p>a<img src="${image(600_000)}" alt=b>c`, `<p>a<img src="${short}" alt=b>c`],
  [
    'an image of 600 kB in a page that may be small',
    `<p>a<img src="${image(600_000)}" alt=b>c`,
    `<p>a<img src="${short}" alt=b>c`,
    { request: { max_bytes: 60 } },
  ],
  [
    'images of 3 MB together',
    `<img src="${image(60_000)}">`.repeat(50) + '<p>end',
    `<img src="${short}">`.repeat(50) + '<p>end',
  ],
  [
    'every attribute that can hold one',
    ['src', 'srcset', 'href', 'poster', 'data-src', 'xlink:href', 'content']
      .map((name) => `<a ${name}="${image(70_000)}">`)
      .join(''),
    ['src', 'srcset', 'href', 'poster', 'data-src', 'xlink:href', 'content']
      .map((name) => `<a ${name}="${short}">`)
      .join(''),
  ],
  [
    'a background of 150 kB',
    `<div style="background:url('${image(150_000)}')">a`,
    `<div style="background:url('${short}')">a`,
  ],
  [
    'style sheets, scripts and drawings that are kept',
    `<style>a{b:url(${image(150_000)})}</style><svg><image href="${image(150_000)}"/><style>a{b:url(${image(
      99_000,
    )})}</style></svg><script>a="${image(99_000)}"</script>b`,
    `<style>a{b:url(${short})}</style><svg><image href="${short}"/><style>a{b:url(${short})}</style></svg><script>a="${short}"</script>b`,
    { request: { strip: false } },
  ],
  ['JSON-LD with an image', jsonLd(`{"image":"${image(150_000)}"}`), jsonLd(`{"image":"${short}"}`)],
  [
    'text that quotes one',
    `<pre>&lt;img src="${image(100)}"&gt;</pre><textarea>${image(100)}</textarea>`,
    `<pre>&lt;img src="${image(100)}"&gt;</pre><textarea>${image(100)}</textarea>`,
  ],
  [
    'an attribute of 120 kB',
    `a<div data-page="${big}" id=b>c</div>d`,
    'a<div data-page="data:,omitted" id=b>c</div>d',
    { truncated: true },
  ],
  [
    'a tag of 120 kB in small attributes',
    `a<div ${'b="c" '.repeat(20_000)}>d</div>e`,
    'a<div>d</div>e',
    { truncated: true },
  ],
  ['an end tag of 120 kB', `a<p>b</p ${'b="c" '.repeat(20_000)}>c`, 'a<p>b</p>c', { truncated: true }],
  ['a name of 120 kB', `a<${big}>b`, 'ab', { truncated: true }],
  ['a doctype of 120 kB', `<!doctype ${big}>a`, 'a', { truncated: true }],
  // Without its start tag, its text would be markup.
  [
    'a text area of 120 kB of attributes',
    `<textarea ${'b="c" '.repeat(20_000)}><script>a</script></textarea>b`,
    '<textarea><script>a</script></textarea>b',
    { truncated: true },
  ],
  [
    'JSON-LD in a tag of 120 kB',
    `<script type="application/ld+json" ${'b="c" '.repeat(20_000)}>1</script>b`,
    `${jsonLd('1')}b`,
    { truncated: true },
  ],
  ['a `<` before what is left out', `<<${big}>script>a</script>`, '< script>a', { truncated: true }],
  ['a comment of 120 kB', `a<!--${big}-->b`, 'ab'],
  [
    'a tag larger than what may be returned',
    `a<div id="${'x'.repeat(2000)}">b</div>c`,
    'a<div>b</div>c',
    { truncated: true, request: { max_bytes: 1000 } },
  ],
];

test('a page goes on after each kind of large tag', () =>
  checkRows(
    pages,
    ([name]) => name,
    async ([, page, expected, { truncated = false, request = {} } = {}]) => {
      for (const size of [4093, page.length]) {
        const answer = await read(page, request, size);
        assert.equal(answer.text, expected);
        assert.equal(answer.truncated, truncated);
      }
    },
  ));

test('json_ld holds a block with a large image, with the image shortened', async () => {
  const { jsonLd: blocks } = await read(jsonLd(`{"image":"${image(600_000)}","name":"a"}`));
  assert.deepEqual(blocks, [`{"image":"${short}","name":"a"}`]);
});

test('a long attribute does not make an article truncated', async () => {
  const { text, truncated } = await read(`a<div data-page="${big}">b`, { format: 'text' });
  assert.deepEqual([text, truncated], ['a<div data-page="data:,omitted">b', false]);
});

test('a page of one endless image ends at the wire cap', async () => {
  const { text, truncated, decodedBytes } = await read(`<img src="${image(11_000_000)}">a`);
  assert.deepEqual([text, truncated, decodedBytes], ['', true, 5_000_000]);
});
