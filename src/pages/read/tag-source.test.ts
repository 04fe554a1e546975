import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Token, Tokenizer } from 'parse5';

import { checkRows } from '../../../test/support/rows.ts';
import { longestTag, longestValue, shortenTag, TagSource } from './tag-source.ts';

const url = `data:image/png;base64,${'A'.repeat(100)}`;
const short = 'data:image/png;base64,omitted';
const long = 'x'.repeat(longestValue + 1);

function inPieces(raw: string, size: number) {
  const source = new TagSource();
  for (let at = 0; at < raw.length; at += size) source.write(raw.slice(at, at + size));
  return source.end();
}

const cases: readonly (readonly [raw: string, text: string, complete?: boolean])[] = [
  [`<img src="${url}" alt='a "b"'>`, `<img src="${short}" alt='a "b"'>`],
  [`<img src=${url} alt=a>`, `<img src=${short} alt=a>`],
  [`<IMG\nSRC = '${url}'/>`, `<IMG\nSRC = '${short}'/>`],
  [`<img srcset="${url} 1x, /b 2x" x>`, `<img srcset="${short} 1x, /b 2x" x>`],
  [`<source data-srcset="/a 1x, ${url} 2x">`, `<source data-srcset="/a 1x, ${short} 2x">`],
  [`<a/href=${url}>`, `<a/href=${short}>`],
  [`<a =="${url}">`, `<a =="${short}">`],
  [`<a x="1"y="${url}"z>`, `<a x="1"y="${short}"z>`],
  [`</a href="${url}">`, `</a href="${short}">`],
  [`</><a href="${url}">`, `</><a href="${short}">`],
  [`<video poster="${url}"><`, `<video poster="${short}"><`],
  [`<div style="a:url(${url});b:c">`, `<div style="a:url(${short});b:c">`],
  // Names are no values.
  [`<a ${url} data:image/png,x>`, `<a ${url} data:image/png,x>`],
  // What is too long goes, and its name stays.
  [`<div data-page="${long}" id=a>`, '<div data-page="data:,omitted" id=a>', false],
  [`<div a=${long} id=b>`, '<div a=data:,omitted id=b>', false],
  [`<div a='${long.slice(1)}'>`, `<div a='${long.slice(1)}'>`],
  [`<div style="a:url(${url}${long})">`, `<div style="a:url(${short})">`],
];
test('a tag loses data: URLs and values that are too long, and nothing else', () =>
  checkRows(
    cases,
    ([raw]) => raw.slice(0, 60),
    ([raw, text, complete = true]) => {
      assert.deepEqual(shortenTag(raw), { text, complete });
      for (const size of [1, 2, 3, 5, 1000]) {
        assert.deepEqual(inPieces(raw, size), { text, complete }, `in pieces of ${size}`);
      }
    },
  ));

test('a tag that is still too long after shortening has no text', () => {
  const value = 'x'.repeat(longestValue - 10);
  const tag = (values: number): string => `<a ${`b="${value}" `.repeat(values)}>`;
  assert.equal(shortenTag(tag(3)).text, tag(3));
  assert.ok(tag(5).length > longestTag);
  assert.deepEqual(shortenTag(tag(5)), { text: undefined, complete: true });
});

/** The first tag of a text, as the tokenizer of the standard reads it, and what it leaves. */
function firstTag(text: string): { tag: Token.TagToken | undefined; rest: string } {
  let tag: Token.TagToken | undefined;
  const stop = (token: Token.TagToken): void => {
    tag ??= token;
  };
  const ignore = (): void => {};
  const tokenizer = new Tokenizer(
    { sourceCodeLocationInfo: true },
    {
      onStartTag: stop,
      onEndTag: stop,
      onComment: ignore,
      onDoctype: ignore,
      onCharacter: ignore,
      onNullCharacter: ignore,
      onWhitespaceCharacter: ignore,
      onEof: ignore,
    },
  );
  tokenizer.write(text, true);
  return { tag, rest: text.slice(tag?.location?.endOffset ?? 0) };
}

test('a shortened tag ends where it ended, with the same attribute names', () => {
  const bits = [
    ...`" ' = / > < a b srcset style \n \t \0 & &quot; ( ) , ; x`.split(' '),
    ' ',
    ` a="${url}"`,
    ` b='${url}`,
    `=${url}`,
    url,
    `"${url}`,
    'url(data:,aaaaaaaaaaaa',
  ];
  let seed = 1;
  const pick = (): string => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return bits[(seed >> 8) % bits.length] ?? '';
  };
  let shortened = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const soup = `<a ${Array.from({ length: 12 }, pick).join('')}`;
    const whole = firstTag(soup);
    if (whole.tag === undefined) continue;
    const raw = soup.slice(0, soup.length - whole.rest.length);
    const { text = '' } = shortenTag(raw);
    const { tag, rest } = firstTag(`${text}REST`);
    assert.equal(rest, 'REST', JSON.stringify(raw));
    assert.deepEqual(
      [tag?.selfClosing, tag?.attrs.map(({ name }) => name)],
      [whole.tag.selfClosing, whole.tag.attrs.map(({ name }) => name)],
      JSON.stringify(raw),
    );
    assert.deepEqual(inPieces(raw, 3).text, text);
    if (text !== raw) shortened += 1;
  }
  assert.ok(shortened > 1000, `${shortened}`);
});
