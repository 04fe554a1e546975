import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readArticle } from './article.ts';
import { createSlots } from './slots.ts';

const slots = createSlots({ each: 2, waiting: 10 });
const forever = new AbortController().signal;
const url = 'https://site.com/a/b';
const read = (html: string, format: 'text' | 'markdown', signal = forever): Promise<string> =>
  readArticle({ html, url, format }, slots, signal);

test('fragments and pages without a body are read whole', async () => {
  assert.equal(await read('<p>one</p><p>two <b>x</b>', 'text'), 'one\n\ntwo x');
  assert.equal(await read('<title>t</title><td>cell', 'text'), 'cell');
  assert.equal(await read('', 'markdown'), '');
  assert.equal(
    await read('<ul><li>a<li>b</ul><a href="../x?y">l</a>', 'markdown'),
    '-   a\n-   b\n\n[l](https://site.com/x?y)',
  );
});

test('the text is laid out as a browser shows it', async () => {
  for (const [page, expected] of [
    ['<p>one<br>two<br><br>three<br></p><p>four', 'one\ntwo\n\nthree\n\nfour'],
    ['<p>a</p><ul><li>b<li>c<ul><li>d</ul></ul><p>e', 'a\n\nb\nc\nd\n\ne'],
    ['<table><tr><th>a<th>b<tr><td>1<td> <b>2</b> </table>c', 'a\tb\n1\t2\n\nc'],
    ['x <pre>\nif (a)\n\n\n  b <i>( )</i>;\n</pre> y', 'x\n\nif (a)\n\n\n  b ( );\n\ny'],
    ['a<b> b </b>c <i>\n</i> d&nbsp;e<wbr>f', 'a b c d ef'],
    ['<section>a</section>b<section><section>c', 'a\nb\nc'],
    [`a${'<b> </b>'.repeat(1000)}b`, 'a b'],
  ] as const) {
    assert.equal(await read(page, 'text'), expected, page.slice(0, 80));
  }
});

test('a script never runs, and is no text', async () => {
  assert.equal(
    await read('<p>a</p><script>document.body.textContent = "ran"</script><noscript>b</noscript>', 'text'),
    'a',
  );
});

test('a page that needs too much memory ends its worker, not the relay', async () => {
  await assert.rejects(read('<a href=x>a</a>'.repeat(130_000), 'markdown'), { code: 'page_too_complex' });
});

test('a reader that is given up is ended', async () => {
  const gone = new AbortController();
  setTimeout(() => gone.abort(new Error('gone')), 300);
  await assert.rejects(read('<div>'.repeat(380_000), 'text', gone.signal), /gone/);
  assert.equal(await read('<p>next', 'text'), 'next');
});
