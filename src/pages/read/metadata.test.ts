import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import type { PageAbout } from './metadata.ts';
import { defaultCaps } from '../caps.ts';
import { readPage } from './read.ts';
import { pageRequest } from '../request.ts';

const url = 'http://site.com/';

async function about(html: string, request: Record<string, unknown> = {}): Promise<PageAbout> {
  const reply = {
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: Readable.from([Buffer.from(html)]),
  };
  const signal = new AbortController().signal;
  return (await readPage(reply, url, pageRequest.parse({ url, ...request }), defaultCaps, signal)).about;
}

const jsonLd = (value: unknown): string =>
  `<script type="application/ld+json">${JSON.stringify(value)}</script>`;

test('about is the same in every format, also if the page is cut', async () => {
  const html = `<html lang="en-GB"><title>A boat | The Paper</title><meta property="og:site_name" content="The Paper">
<meta name="author" content="Ada Example"><meta name="description" content="How to fold">
<p>${'x'.repeat(1000)}</p><meta property="article:published_time" content="2024-05-06T07:08:09Z">`;
  for (const format of ['html', 'text', 'markdown', 'metadata']) {
    assert.deepEqual(await about(html, { format, max_bytes: 10 }), {
      title: 'A boat',
      byline: 'Ada Example',
      language: 'en-GB',
      published: '2024-05-06T07:08:09Z',
      site_name: 'The Paper',
      excerpt: 'How to fold',
    });
  }
  assert.deepEqual(await about('<p>nothing'), {});
});

const rows: readonly (readonly [what: string, html: string, expected: PageAbout])[] = [
  [
    'the og:title comes before the title',
    '<title>b</title><meta property="og:title" content="a">',
    { title: 'a' },
  ],
  ['an empty og:title is ignored', '<title>b</title><meta property="og:title" content="">', { title: 'b' }],
  [
    'a heading is the title of a page without one',
    '<h1> <img> </h1><h1>Fold &amp; <b>float</b>\n</h1><h1>x</h1>',
    { title: 'Fold & float' },
  ],
  ['a title without a site stays whole', '<title>A - B</title>', { title: 'A - B' }],
  [
    'the site comes off the beginning, too',
    '<title>B: C · A boat</title><meta name="application-name" content="B: C">',
    { title: 'A boat', site_name: 'B: C' },
  ],
  [
    'a title that is the site stays',
    '<title>The Paper</title><meta property="og:site_name" content="The Paper">',
    { title: 'The Paper', site_name: 'The Paper' },
  ],
  [
    'the address of a profile is no byline',
    '<meta property="article:author" content="https://social.example/ada">',
    {},
  ],
  [
    'Dublin Core',
    '<meta name="DC.creator" content="Ada"><meta name="dc.date.issued" content="2001">',
    { byline: 'Ada', published: '2001' },
  ],
  [
    'microdata',
    '<meta itemprop="datePublished" content="2020-01-02"><time itemprop="datePublished" datetime="2021">',
    { published: '2020-01-02' },
  ],
  [
    'a time element',
    '<p><time>now</time><time itemprop="datePublished" datetime="2021-03-04">March</time>',
    { published: '2021-03-04' },
  ],
  [
    'the language of a header in the page',
    '<meta http-equiv="Content-Language" content="de-AT"><meta property="og:locale" content="en_US">',
    { language: 'de-AT' },
  ],
  [
    'the language of Open Graph',
    '<html lang="{{x}}"><meta property="og:locale" content="pt_BR">',
    { language: 'pt-BR' },
  ],
  [
    'JSON-LD of an article',
    jsonLd({
      '@context': 'https://schema.org',
      '@type': ['NewsArticle'],
      headline: 'A boat',
      author: [{ '@type': 'Person', name: 'Ada' }, { name: 'Bo' }, 'Ada'],
      datePublished: '2024',
      inLanguage: 'fr',
      publisher: { name: 'P' },
      description: 'd',
    }),
    { title: 'A boat', byline: 'Ada, Bo', language: 'fr', published: '2024', site_name: 'P', excerpt: 'd' },
  ],
  [
    'the article of a graph comes before its page',
    jsonLd({
      '@graph': [
        { '@type': 'WebPage', name: 'page' },
        null,
        1,
        { '@type': 'BlogPosting', name: 'post', author: { name: 'Ada' } },
      ],
    }),
    { title: 'post', byline: 'Ada' },
  ],
  ['other JSON-LD says nothing', jsonLd([{ '@type': 'Organization', name: 'O' }]), {}],
  [
    'invalid JSON-LD',
    '<script type="application/ld+json">{"@type":"Article","name":</script><title>t</title>',
    { title: 't' },
  ],
  [
    'JSON-LD of the wrong types',
    jsonLd({ '@type': 'Article', name: 1, author: [[{}]], datePublished: {} }),
    {},
  ],
];
test('each way to describe a page fills the fields of about', () =>
  checkRows(
    rows,
    ([what]) => what,
    async ([, html, expected]) => assert.deepEqual(await about(html), expected),
  ));

test('a field of about has at most 2000 characters', async () => {
  const long = 'x '.repeat(100_000);
  const found = await about(
    `<title>${long}</title><meta name="author" content="${long}"><h1>${long}</h1>${jsonLd({ '@type': 'Article', description: long, author: Array.from({ length: 5000 }, () => ({ name: long.slice(0, 90) })) })}`,
  );
  for (const value of Object.values(found) as string[]) assert.ok(value.length <= 2000, `${value.length}`);
  const deep = '['.repeat(200_000);
  assert.deepEqual(await about(`<script type="application/ld+json">${deep}</script><h1>t</h1>`), {
    title: 't',
  });
});
