import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readContent } from './worker.ts';

const read = (html: string): string =>
  readContent({ html, url: 'https://site.com/', format: 'text', title: '' }).text;

test('text is laid out as a browser shows it', () => {
  for (const [page, expected] of [
    ['<p>one<br>two<br><br>three<br></p><p>four', 'one\ntwo\n\nthree\n\nfour'],
    ['<p>a</p><ul><li>b<li>c<ul><li>d</ul></ul><p>e', 'a\n\nb\nc\nd\n\ne'],
    ['<table><tr><th>a<th>b<tr><td>1<td> <b>2</b> </table>c', 'a\tb\n1\t2\n\nc'],
    ['x <pre>\nif (a)\n\n\n  b <i>( )</i>;\n</pre> y', 'x\n\nif (a)\n\n\n  b ( );\n\ny'],
    ['a<b> b </b>c <i>\n</i> d&nbsp;e<wbr>f', 'a b c d ef'],
    ['<section>a</section>b<section><section>c', 'a\nb\nc'],
    [`a${'<b> </b>'.repeat(1000)}b`, 'a b'],
  ] as const) {
    assert.equal(read(page), expected, page.slice(0, 80));
  }
});
