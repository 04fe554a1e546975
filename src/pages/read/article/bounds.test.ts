/** Pages made to become much more than they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readContent } from './worker.ts';

const read = (html: string, format: 'markdown' | 'text' = 'markdown'): string =>
  readContent({ html, url: 'https://site.com/', format, title: '' }).text;

test('a cell that spans everything adds 100 columns at most', () => {
  const page = '<table><tr><th>a<th>b<tr><td colspan=99999999 rowspan=99999999>c<td>d<tr><td>e</table>';
  for (const format of ['markdown', 'text'] as const) assert.ok(read(page, format).length < 2000);
  assert.match(read(page), /^\| a \| b \|.*\n\| --- \|.*\n\| c \| +\|.* d \|\n/);
  // Together, many such cells are no table of one width.
  const many = `<table>${'<tr><td colspan=99999999 rowspan=99999999>a<td>b'.repeat(50)}</table>`;
  assert.ok(read(many).length < 2000);
});

test('a table with one long row does not fill up its other rows', () => {
  const page = `<table><tr>${'<th>a'.repeat(600)}${'<tr><td>b'.repeat(600)}</table>`;
  const markdown = read(page);
  assert.ok(markdown.length < 40_000, `${markdown.length}`);
  assert.match(markdown, /\n\| b \|\n\| b \|$/);
});

test('nested tables are read once', () => {
  const markdown = read('<table><tr><th>a<td>'.repeat(40) + 'x');
  assert.ok(markdown.length < 2000, markdown);
  assert.match(markdown, /x/);
});

test('delimiters of formulas that are never closed stay text', () => {
  for (const delimiter of ['\\(', '\\[', '$$', '\\(\\[']) {
    assert.equal(read(`<p>${delimiter.repeat(20_001)}`, 'text').length, delimiter.length * 20_001);
  }
});

test('the fence of code is one backtick longer than the longest run inside', () => {
  const run = '`'.repeat(10_000);
  assert.equal(read(`<pre>${'` '.repeat(10_000)}${run}</pre>`).length, 20_000 + 3 * 10_000 + 2 + 2);
});

test('deeply nested lines, links and code are read as one', () => {
  assert.equal(read(`<pre>${'<span class=line>'.repeat(300)}x`), '```\nx\n```');
  assert.equal(read(`<pre>${'<pre>'.repeat(300)}x`), '```\nx\n```');
  assert.equal(read(`<p>${'<code>'.repeat(300)}x`), '`x`');
  assert.equal(read(`<a href=/x>${'<div>'.repeat(300)}x`), '[x](https://site.com/x)');
});

test('an image with an invalid address keeps its alt text only', () => {
  const long = `<p>a <img alt=b srcset="${'a,'.repeat(50_000)}"> <img alt=c srcset="${', '.repeat(50_000)}"></p>`;
  assert.match(read(long), /c$/);
  assert.equal(
    read('<p>a <img alt=b src="data:x;base64,AAAA"><img alt=c src="DATA:IMAGE/PNG;base64,AAAA">'),
    'a ![b](data:,)![c](data:image/png,)',
  );
});
