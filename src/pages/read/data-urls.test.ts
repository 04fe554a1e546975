import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import { DataUrls, type UrlPlace } from './data-urls.ts';

function shorten(text: string, place: UrlPlace, size = text.length): string {
  const urls = new DataUrls(place);
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += size) pieces.push(urls.write(text.slice(at, at + size)));
  return pieces.join('') + urls.end();
}

const png = `data:image/png;base64,${'iVBORw0KGgo+/AAA'.repeat(40)}==`;
const short = 'data:image/png;base64,omitted';
const svg = `data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' viewBox="0 0 9 9"><g fill='red'/></svg>`;

const cases: readonly (readonly [place: UrlPlace, text: string, expected: string])[] = [
  ['value', png, short],
  ['value', ` \n${png}`, ` \n${short}`],
  ['value', png.toUpperCase(), 'DATA:IMAGE/PNG;BASE64,omitted'],
  ['value', svg, 'data:image/svg+xml;utf8,omitted'],
  ['value', 'data:image/svg&#43;xml,%3Csvg%20xmlns', 'data:image/svg&#43;xml,omitted'],
  ['value', 'data:image/png; base64,AAAAAAAAAAAA', 'data:image/png; base64,omitted'],
  ['value', 'data:,a long text', 'data:,omitted'],
  ['value', 'data:;base64,AAAAAAAAAAAA', 'data:;base64,omitted'],
  ['value', 'data:text/plain;charset=utf-8,a long text', 'data:text/plain;charset=utf-8,omitted'],
  ['value', 'data:,short', 'data:,short'],
  ['value', short, short],
  ['value', `background: url(${png}) no-repeat`, `background: url(${short}) no-repeat`],
  ['value', `background: url( ${png} )`, `background: url( ${short} )`],
  ['value', `background: url('${png}'), url("${png}")`, `background: url('${short}'), url("${short}")`],
  ['value', `url(&quot;${png}&quot;) x`, `url(&quot;${short}&quot;) x`],
  ['value', `url(&#39;${png}&#x27;) x`, `url(&#39;${short}&#x27;) x`],
  [
    'value',
    `{&quot;a&quot;:&quot;${png}&quot;,&quot;b&quot;:1}`,
    `{&quot;a&quot;:&quot;${short}&quot;,&quot;b&quot;:1}`,
  ],
  ['value', `{"a":"${png}","b":1}`, `{"a":"${short}","b":1}`],
  ['list', `${png} 1x, ${png} 2x, /a.png 3x`, `${short} 1x, ${short} 2x, /a.png 3x`],
  ['list', `/a.png 1x,${png} 2x`, `/a.png 1x,${short} 2x`],
  ['style', `a{b:url(${png})}c{d:url('${png}')}`, `a{b:url(${short})}c{d:url('${short}')}`],
  ['style', `@import "${png}";a{b:url(\n${png}\n)}`, `@import "${short}";a{b:url(\n${short}\n)}`],
  ['script', `{"image":"${png}","b":1}`, `{"image":"${short}","b":1}`],
  [
    'script',
    '{"image":"data:image\\/png;base64,AAAA\\/AAAAAAAA","b":1}',
    '{"image":"data:image\\/png;base64,omitted","b":1}',
  ],
  [
    'script',
    '{"a":"data:image/svg+xml,%3Csvg a=\\"b\\"%3E","b":1}',
    '{"a":"data:image/svg+xml,omitted","b":1}',
  ],
  // What decides how a script is read stays.
  ['script', `{"a":"${svg.replaceAll('"', '\\"')}"}`, `{"a":"${svg.replaceAll('"', '\\"')}"}`],
  ['script', `a="data:image/png,AAAAAAAAAA-->"`, `a="data:image/png,omitted-->"`],
  ['script', `a="data:image/png,AAAAAAAA-----<"`, `a="data:image/png,omitted--<"`],
  ['script', `a="data:image/png,omitted--`, `a="data:image/png,omitted--`],
  ['script', `a = '${png}' + 1`, `a = '${short}' + 1`],
  // Not a data: URL, or not certainly one.
  ...[
    'metadata:image/png,a long text',
    '{ data: [1, 2], data:foo,bar }',
    'Data:24/7, every day of the year',
    'Data: image/png, a long text',
    `see data:${'x'.repeat(300)},`,
    'data:',
    'a data',
    '/?u=data%3Aimage/png;base64,AAAAAAAAAAAA',
  ].map((text) => ['value', text, text] as const),
  ['script', `x = data:image/png,AAAAAAAAAAAAA`, `x = data:image/png,AAAAAAAAAAAAA`],
];

test('a data: URL becomes its head and one word, and no other text changes', () =>
  checkRows(
    cases,
    ([place, text]) => `in a ${place}: ${text.slice(0, 50)}`,
    ([place, text, expected]) => {
      for (const size of [text.length, 1, 2, 3, 7, 64]) {
        assert.equal(shorten(text, place, size), expected, `in pieces of ${size}`);
      }
      assert.equal(shorten(expected, place), expected, 'once is enough');
    },
  ));

test('no hostile text takes time that grows faster than the text', () => {
  for (const unit of [
    'data:',
    'data:;',
    '"data:,',
    'data:image/',
    '"data:image/png,\\',
    '(data:,)',
    ' data:;;,',
  ]) {
    const text = unit.repeat(1_000_000 / unit.length);
    const before = process.cpuUsage();
    shorten(text, 'value', 65_536);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 15_000_000, `${unit}: ${(user + system) / 1000} ms`);
  }
});
