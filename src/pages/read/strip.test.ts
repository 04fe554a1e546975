import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import { createJsonLdCollector } from './json-ld.ts';
import { createMetadataCollector } from './metadata.ts';
import { Output } from './output.ts';
import { createStripper, type PageObserver } from './strip.ts';

type Options = { strip?: boolean; size?: number; max?: number; observers?: PageObserver[] };

function run(
  page: string,
  { strip = true, size = 65_536, max = 50_000_000, observers = [] }: Options = {},
): Output {
  const output = new Output(max);
  const stripper = createStripper(output, { strip, observers });
  for (let at = 0; at < page.length; at += size) stripper.read(page.slice(at, at + size));
  stripper.end();
  return output;
}

const cases: readonly (readonly [page: string, expected: string])[] = [
  ['<script>if(a<b){}</script>X', 'X'],
  ['<SCRIPT src=x>a</ScRiPt\n foo>X', 'X'],
  ['<script/>S</script>X', 'X'],
  ['<script><!--<script></script>S--></script>X', 'X'],
  ['<script>a</script foo="</script>">X', 'X'],
  ['<script type=module>a</script><script type="text/plain" type="application/ld+json">a</script>X', 'X'],
  ['<style></STYLE >X', 'X'],
  ['<style><!-- </style>X', 'X'],
  ['<svg><svg></svg>S</svg>X', 'X'],
  ['<svg/>X', 'X'],
  ['<div><svg><path d="x"></div>X', '<div></div>X'],
  ['<svg><path><p>X', '<p>X'],
  ['<svg><g><font>a<font color=red>X', '<font color=red>X'],
  ['<svg><foreignObject><p>t</p></foreignObject></svg>X', 'X'],
  ['<svg><foreignObject><script>"</svg>"</script></foreignObject></svg>X', 'X'],
  ['<svg><title>t</svg>X', 'X'],
  ['<svg><section></section></svg>X', 'X'],
  ['<svg><desc><div></div></desc></body>X', '</body>X'],
  ['<!--->X', 'X'],
  ['<!-- a -- b --!>X', 'X'],
  ['<!-- unclosed X', ''],
  ['<! bogus >X', 'X'],
  ['<?xml version="1.0"?>X', 'X'],
  ['</ bogus>X', 'X'],
  ['<![CDATA[a]]>X', 'X'],
  ['a</>b', 'a</>b'],
  ['a</script></style></svg>b', 'ab'],
  ['a<div', 'a'],
  ['<!DOCTYPE html><P Class = x >&amp;&lt;\r\n</P >', '<!DOCTYPE html><P Class = x >&amp;&lt;\r\n</P >'],
  ['<title><!-- keep --></title>X', '<title><!-- keep --></title>X'],
  ['<textarea><script>keep</script></textarea>X', '<textarea><script>keep</script></textarea>X'],
  ['<iframe><style>keep</style></iframe>X', '<iframe><style>keep</style></iframe>X'],
  ['<plaintext><script>keep</script>', '<plaintext><script>keep</script>'],
  [
    '<noscript><iframe src=x></iframe><img></noscript>X',
    '<noscript><iframe src=x></iframe><img></noscript>X',
  ],
  [
    "<script type='application/LD+JSON; charset=utf-8'>{}</script>X",
    "<script type='application/LD+JSON; charset=utf-8'>{}</script>X",
  ],
  [
    '<select></select><script type=application/ld+json>"<p>"</script>',
    '<select></select><script type=application/ld+json>"<p>"</script>',
  ],
  ['<script type=application/ld+jsonx>{}</script>X', 'X'],
  ['<template><script>S</script>X</template>', '<template>X</template>'],
  // What a cut must not join.
  ['<<!-- -->script>alert(1)</script>', '< script>alert(1)'],
  ['<<svg></svg>script>alert(1)</script>', '< script>alert(1)'],
  ['<<style></style>b>x', '< b>x'],
  ['<<!-- --><script>a</script>/b>x', '< /b>x'],
  // What browsers may read as markup.
  ['<math><title><p><script>alert(1)</script></title>', '<math><title></title>'],
  ['<select><title><script>alert(1)</script></title>', '<select><title></title>'],
  ['<noscript><a title="</noscript><script>alert(1)</script>">x</noscript>', '<noscript>x</noscript>'],
  [
    '<math><script type=application/ld+json>{"a":"<p><script>"}</script>',
    '<math><script type=application/ld+json>{"a":"</script>',
  ],
  ['<math><mi>x</mi></math><title>a<b</title>', '<math><mi>x</mi></math><title>a<b</title>'],
  ['<math><mi><mo></mo></mi></math><title>a<b</title>', '<math><mi><mo></mo></mi></math><title>a</title>'],
];

test('strip removes scripts, styles, drawings and comments, and keeps everything else unchanged', () =>
  checkRows(
    cases,
    ([page]) => page,
    ([page, expected]) => {
      assert.equal(run(page).toString(), expected);
      assert.equal(run(expected).toString(), expected, 'once is enough');
      for (const size of [1, 2, 3])
        assert.equal(run(page, { size }).toString(), expected, `in pieces of ${size}`);
      assert.equal(run(page, { strip: false, size: 1 }).toString(), page, 'no strip, no change');
    },
  ));

test('a page is cut between two tokens, or between two characters of a text', () => {
  const page = '<p class="long">é🎉</p><b>x</b>';
  for (let max = 0; max <= Buffer.byteLength(page); max += 1) {
    const output = run(page, { max });
    const kept = output.toString();
    assert.ok(page.startsWith(kept) && output.length <= max);
    assert.match(kept, /^(<p class="long">(é(🎉(<\/p>(<b>(x(<\/b>)?)?)?)?)?)?)?$/);
    assert.equal(output.full, kept !== page);
  }
  assert.equal(run('<p>a &amp; b', { max: 8 }).toString(), '<p>a ');
  // What strip would have taken out is text like any other when it is kept.
  assert.equal(run('<script>let a = 1</script>', { strip: false, max: 13 }).toString(), '<script>let a');
  assert.equal(run('<svg>a b</svg>', { strip: false, max: 7 }).toString(), '<svg>a ');
});

test('JSON-LD is collected unchanged and within bounds', () => {
  const block = (text: string): string => `<script type="application/ld+json">${text}</script>`;
  const collect = (page: string, max = 1000): readonly string[] => {
    const collector = createJsonLdCollector(max);
    run(page, { observers: [collector], max: 0, size: 1 });
    return collector.blocks;
  };
  assert.deepEqual(collect(`${block(' {"a":"<b>"} ')}<p>${block('{"a":"&amp;é"}')}`), [
    '{"a":"<b>"}',
    '{"a":"&amp;é"}',
  ]);
  assert.deepEqual(
    collect(`<!--${block('1')}--><svg>${block('2')}</svg><title>${block('3')}</title>${block('4')}`),
    ['4'],
  );
  assert.deepEqual(collect(block('é'.repeat(5)) + block('12345') + block('1'), 11), ['é'.repeat(5), '1']);
  assert.equal(collect(block('1').repeat(1000)).length, 100);
  assert.deepEqual(collect('<script type="application/ld+json">{"unclosed":1}'), []);
});

test('metadata is collected within bounds', () => {
  const collect = (page: string) => {
    const collector = createMetadataCollector('https://site.com/a/b');
    run(page, { observers: [collector], max: 0 });
    return collector.metadata();
  };
  assert.deepEqual(
    collect(`<html lang=" de "><base href="/c/"><svg><title>no</title></svg><title> A\n &lt;B </title><title>no</title>
      <meta name=Description content="x  y"><meta name=description content=no><meta property=og:type content=a>
      <meta property=og:type content=no><meta property="og:__proto__" content=p><link rel="Canonical x" href="d">
      <link rel=alternate type="application/atom+xml" href="//f.com/x" title=F><link rel=alternate type=text/x href=y>
      <link rel=alternate type="application/rss+xml" href="javascript:alert(1)">`),
    {
      title: 'A <B',
      description: 'x y',
      language: 'de',
      canonical: 'https://site.com/c/d',
      open_graph: JSON.parse('{"type":"a","__proto__":"p"}') as unknown,
      feeds: [{ url: 'https://f.com/x', type: 'application/atom+xml', title: 'F' }],
    },
  );
  const many = collect(
    Array.from(
      { length: 500 },
      (_, index) => `<meta property=og:p${index} content=${'x'.repeat(9000)}>`,
    ).join('') +
      '<link rel=alternate type=application/rss+xml href=x>'.repeat(500) +
      `<title>${'y'.repeat(9000)}</title>`,
  );
  assert.equal(Object.keys(many.open_graph).length, 100);
  assert.equal(many.open_graph['p0']?.length, 2000);
  assert.deepEqual([many.feeds.length, many.title?.length], [20, 2000]);

  // A link that is too long is dropped, not shortened.
  const long = 'x'.repeat(2001);
  assert.deepEqual(
    collect(`<base href="/${long}/"><link rel=canonical href="${long}"><link rel=canonical href=d>`),
    {
      canonical: 'https://site.com/a/d',
      open_graph: {},
      feeds: [],
    },
  );
});

const megabytes = 2_000_000;
const fill = (unit: string): string => unit.repeat(Math.ceil(megabytes / unit.length)).slice(0, megabytes);
const numbered = (unit: (index: number) => string): string => {
  const pieces: string[] = [];
  for (let index = 0, size = 0; size < megabytes; index += 1) {
    const piece = unit(index);
    pieces.push(piece);
    size += piece.length;
  }
  return pieces.join('');
};

/** Shapes that one or another way to read HTML needs more than linear time, or a stack, for. */
const shapes: Readonly<Record<string, string>> = {
  'nested div': fill('<div>'),
  'nested svg': fill('<svg>'),
  'nested b and p': fill('<b><p>'),
  'div, then unmatched p': fill('<div>').slice(0, megabytes / 2) + fill('</p>').slice(0, megabytes / 2),
  'unmatched end tags': fill('</div>'),
  'nested tables': fill('<table><tr><td>'),
  'nested a': fill('<a href=x>'),
  'nested select': fill('<select>'),
  'nested math': fill('<math><mi>'),
  'svg and integration points': fill('<svg><foreignObject>'),
  'svg in and out': fill('<svg></svg>'),
  'one attribute': `<a b="${fill('x')}">`,
  'one attribute, unclosed': `<a b="${fill('x')}`,
  'many attributes': `<a ${numbered((index) => `a${index.toString(36)}=1 `)}>`,
  'one attribute many times': `<a ${fill('a=1 ')}>`,
  'one tag name': `<${fill('x')}>`,
  'comment openers': fill('<!--'),
  'empty comments': fill('<!---->'),
  'less-than signs': fill('<'),
  'less-than and cuts': fill('<<!---->'),
  references: fill('&notit;'),
  'end tags in a title': `<title>${fill('</titl')}`,
  'script openers in a script': `<script>${fill('<!--<script>')}`,
  text: fill('x'),
};

test('no shape of two megabytes takes time that grows faster than the page', (t) => {
  assert.equal(Object.keys(shapes).length, 24);
  run(fill('<p>warm up</p>'));
  for (const [name, page] of Object.entries(shapes)) {
    // The time of this process. A shape takes less than a second; one that grows with the square takes more than half a minute.
    const before = process.cpuUsage();
    run(page, { observers: [createJsonLdCollector(500_000), createMetadataCollector('https://site.com/')] });
    const { user, system } = process.cpuUsage(before);
    t.diagnostic(`${name}: ${Math.round((user + system) / 1000)} ms`);
    assert.ok(user + system < 15_000_000, `${name}: ${(user + system) / 1000} ms`);
  }
});
