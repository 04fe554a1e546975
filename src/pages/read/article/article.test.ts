import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readArticle } from './article.ts';
import { createSlots } from '../../guard/slots.ts';

const slots = createSlots({ each: 2, waiting: 10 });
const forever = new AbortController().signal;
const url = 'https://site.com/a/b';
const read = async (
  html: string,
  format: 'text' | 'markdown',
  signal = forever,
  ms = 60_000,
): Promise<string> => (await readArticle({ html, url, format, title: '' }, ms, slots, signal, 'key')).text;

test('a fragment and a page without a body are read whole', async () => {
  assert.equal(await read('<p>one</p><p>two <b>x</b>', 'text'), 'one\n\ntwo x');
  assert.equal(await read('<title>t</title><td>cell', 'text'), 'cell');
  assert.equal(await read('', 'markdown'), '');
  assert.equal(
    await read('<ul><li>a<li>b</ul><a href="../x?y">l</a>', 'markdown'),
    '-   a\n-   b\n\n[l](https://site.com/x?y)',
  );
});

test('a script does not run and is not in the text', async () => {
  assert.equal(
    await read('<p>a</p><script>document.body.textContent = "ran"</script><noscript>b</noscript>', 'text'),
    'a',
  );
});

test('a page that needs too much memory or time is refused, and the next page is read', async () => {
  const [links, tables] = await Promise.allSettled([
    read('<a href=x>a</a>'.repeat(130_000), 'markdown', forever, 1500),
    read('<table><tr><th>a<td>'.repeat(10_000), 'markdown', forever, 1500),
  ]);
  for (const { reason } of [links, tables] as PromiseRejectedResult[]) {
    assert.equal((reason as { code?: string }).code, 'page_too_complex');
  }
  assert.equal(await read('<p>next', 'text'), 'next');
});

test('a reader whose caller leaves is ended', async () => {
  const gone = new AbortController();
  setTimeout(() => gone.abort(new Error('gone')), 300);
  await assert.rejects(read('<div>'.repeat(380_000), 'text', gone.signal), /gone/);
  assert.equal(await read('<p>next', 'text'), 'next');
});
