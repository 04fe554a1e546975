import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { runsAll } from '../../../test/support/needs.ts';
import { checkRows } from '../../../test/support/rows.ts';
import { createJsonLdCollector } from './json-ld.ts';
import { Output } from './output.ts';
import { createStripper } from './strip.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const megabytes = runsAll ? 4_000_000 : 2_000_000;
const piece = 65_536;
const same = (unit: string) => (): string => unit.repeat(piece / unit.length);
const numbered = (unit: (index: number) => string) => {
  let index = 0;
  return (): string => {
    const units: string[] = [];
    for (let length = 0; length < piece; index += 1) {
      units.push(unit(index));
      length += units.at(-1)?.length ?? 0;
    }
    return units.join('');
  };
};

/** A token that has no end: how it starts, and how it goes on. */
const endless: Readonly<Record<string, readonly [start: string, more: () => string]>> = {
  'a value': ['<a b="', same('x')],
  'a value of what is replaced': ['<a b="', same('\0')],
  'a value of line ends': ['<a b="', same('\r\n')],
  'a value of pairs': ['<a b="', same('🎉')],
  'a value of references': ['<a b=', same('&lt;')],
  'the name of an attribute': ['<a b', same('B')],
  'the name of a tag': ['<a', same('B')],
  'the name of an end tag': ['</a', same('B')],
  attributes: ['<a ', numbered((index) => `${index.toString(36)}=1 `)],
  'attributes of an end tag': ['</a ', numbered((index) => `${index.toString(36)}=1 `)],
  'a comment': ['<!--', same('\0-')],
  'what is no comment': ['<?', same('\0')],
  'the name of a doctype': ['<!doctype ', same('X')],
  'the public name of a doctype': ['<!doctype x public "', same('X')],
  'the system name of a doctype': ['<!doctype x system "', same('X')],
};

test('the memory that one token takes does not grow with the token', () =>
  checkRows(
    Object.entries(endless),
    ([name]) => name,
    ([, [start, more]]) => {
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      const stripper = createStripper(new Output(1000), { strip: true, observers: [] });
      stripper.read(start);
      for (let size = 0; size < megabytes; size += piece) stripper.read(more());
      collectGarbage();
      const grown = process.memoryUsage().heapUsed - before;
      assert.ok(grown < megabytes / 2, `${(grown / 1e6).toFixed(0)} MB for ${megabytes / 1e6} MB`);
      stripper.end();
    },
  ));

test('a long name, value or list of attributes is kept, and is not mistaken for JSON-LD', () => {
  const spaces = ' '.repeat(5000);
  const many = Array.from({ length: 1500 }, (_, index) => `a${index}`).join(' ');
  const pages: readonly (readonly [page: string, expected: string])[] = [
    [`<a ${'B'.repeat(9000)}=1 type=x>`, `<a ${'B'.repeat(9000)}=1 type=x>`],
    [`<a ${many} href="${'x'.repeat(9000)}">y</a>`, `<a ${many} href="${'x'.repeat(9000)}">y</a>`],
    [`<!doctype ${'x'.repeat(9000)}>`, `<!doctype ${'x'.repeat(9000)}>`],
    [`<${'SCRIPT'.repeat(2000)}>a`, `<${'SCRIPT'.repeat(2000)}>a`],
    [`<!--${'x'.repeat(9000)}-->X`, 'X'],
    // A type that is too long, or that follows too many attributes, is not JSON-LD.
    [`<script type="application/ld+json${spaces}">a</script>X`, 'X'],
    [`<script type="${spaces}${'\0'.repeat(5000)}application/ld+json">a</script>X`, 'X'],
    [`<script ${many} type=application/ld+json>a</script>X`, 'X'],
  ];
  for (const [page, expected] of pages) {
    for (const size of [1, 4095, 4096, 65_536]) {
      const output = new Output(1_000_000);
      const stripper = createStripper(output, { strip: true, observers: [] });
      for (let at = 0; at < page.length; at += size) stripper.read(page.slice(at, at + size));
      stripper.end();
      assert.equal(output.toString(), expected, `${page.slice(0, 40)} in pieces of ${size}`);
    }
  }
});

test('a long token gives the same result in pieces of any size', () => {
  const long = (unit: string): string => unit.repeat(Math.ceil(140_000 / unit.length));
  const middles = [
    `<!--${long('🎉\r\n-')}-->`,
    `<a b="${long('&amp;')}">`,
    `<a b="${long('\0é')}" c=d>`,
    `<a b=&#${long('0')}65;>`,
    `<${long('tag')}>`,
    `</${long('tag')} x>`,
    `</><?${long('x&y')}>`,
    `<!doctype ${long('x ')}>`,
    `<svg><path d="${long('0 ')}"></svg>`,
    `<script src="${long('x')}">a</script>`,
    `<noscript><a b="${long('</noscript>')}">`,
    `<!--${long('x')}`,
    `<a ${long('b')}`,
    `<a b="${long('b')}data:image/png,${long('b')}" c='data:image/png,${long('"')}'>`,
    `<style>a{b:url('data:image/png,${long('"')}')}</style>`,
  ];
  const jsonLd = '<script type=application/ld+json>1</script>';
  for (const middle of middles) {
    const page = `one &am<p>two${middle}three${jsonLd}<!-- -->four`;
    for (const strip of [true, false]) {
      for (const max of [8, 1_000_000]) {
        const read = (size: number) => {
          const output = new Output(max);
          const collector = createJsonLdCollector(1000);
          const stripper = createStripper(output, { strip, observers: [collector] });
          for (let at = 0; at < page.length; at += size) stripper.read(page.slice(at, at + size));
          stripper.end();
          return [output.toString(), output.full, collector.blocks];
        };
        const whole = read(page.length);
        for (const size of [4096, 65_537]) {
          assert.deepEqual(
            read(size),
            whole,
            `${middle.slice(0, 30)}, strip ${strip}, ${max} in pieces of ${size}`,
          );
        }
      }
    }
  }
});
