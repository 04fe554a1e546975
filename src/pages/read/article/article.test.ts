import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readArticle } from './article.ts';
import { createSlots } from '../../guard/slots.ts';

const slots = createSlots({ each: 2, waiting: 10 });
const forever = new AbortController().signal;
const url = 'https://site.com/a/b';
const read = async (html: string, format: 'text' | 'markdown', signal = forever): Promise<string> =>
  (await readArticle({ html, url, format, title: '' }, slots, signal, 'key')).text;

test('fragments and pages without a body are read whole', async () => {
  assert.equal(await read('<p>one</p><p>two <b>x</b>', 'text'), 'one\n\ntwo x');
  assert.equal(await read('<title>t</title><td>cell', 'text'), 'cell');
  assert.equal(await read('', 'markdown'), '');
  assert.equal(
    await read('<ul><li>a<li>b</ul><a href="../x?y">l</a>', 'markdown'),
    '-   a\n-   b\n\n[l](https://site.com/x?y)',
  );
});

test('a script never runs, and is no text', async () => {
  assert.equal(
    await read('<p>a</p><script>document.body.textContent = "ran"</script><noscript>b</noscript>', 'text'),
    'a',
  );
});

test('a page that needs too much memory or time ends its worker, not the relay', async () => {
  const [links, tables] = await Promise.allSettled([
    read('<a href=x>a</a>'.repeat(130_000), 'markdown'),
    read('<table><tr><th>a<td>'.repeat(10_000), 'markdown'),
  ]);
  for (const { reason } of [links, tables] as PromiseRejectedResult[]) {
    assert.equal((reason as { code?: string }).code, 'page_too_complex');
  }
  assert.equal(await read('<p>next', 'text'), 'next');
});

test('a reader that is given up is ended', async () => {
  const gone = new AbortController();
  setTimeout(() => gone.abort(new Error('gone')), 300);
  await assert.rejects(read('<div>'.repeat(380_000), 'text', gone.signal), /gone/);
  assert.equal(await read('<p>next', 'text'), 'next');
});
