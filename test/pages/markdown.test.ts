/** Pages as people write them, and the Markdown and text that is expected of each: markdown/*.html, *.md and *.txt. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { type Article, readContent } from '../../src/pages/read/article/worker.ts';
import { defaultCaps } from '../../src/pages/caps.ts';
import { readPage } from '../../src/pages/read/read.ts';
import { pageRequest } from '../../src/pages/request.ts';

const folder = join(import.meta.dirname, 'markdown');
const url = 'https://www.site.com/docs/page';
const pages = readdirSync(folder).filter((name) => name.endsWith('.html'));

/** All that happens to a page between its connection and its answer, in this process. */
async function read(html: string, format: 'markdown' | 'text'): Promise<Article> {
  const reply = {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: Readable.from([Buffer.from(html)]),
  };
  const request = pageRequest.parse({ url, format });
  const page = await readPage(reply, url, request, defaultCaps, new AbortController().signal);
  return readContent({ html: page.text, url, format, title: page.about.title ?? '' });
}

for (const name of pages) {
  for (const [format, ending] of [
    ['markdown', '.md'],
    ['text', '.txt'],
  ] as const) {
    const file = join(folder, name.replace('.html', ending));
    if (format === 'text' && !existsSync(file)) continue;
    test(`${name} reads as ${format}`, async () => {
      const { text } = await read(readFileSync(join(folder, name), 'utf8'), format);
      assert.equal(`${text}\n`, readFileSync(file, 'utf8'));
    });
  }
}
