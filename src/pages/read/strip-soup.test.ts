/** Random tag soup, read back by a whole HTML parser: nothing that was to go may be there, however the soup nests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DefaultTreeAdapterTypes as Dom, html, parse, Tokenizer } from 'parse5';

import { Output } from './output.ts';
import { createStripper } from './strip.ts';
import { Random, rounds, seed } from '../../../test/support/random.ts';

const soups = rounds(60_000);

const tags = [
  ...'script style svg math select option noscript template frameset frame noframes title textarea iframe'.split(
    ' ',
  ),
  ...'xmp noembed plaintext table tr td p div b a mi mo mtext annotation-xml foreignObject desc body html'.split(
    ' ',
  ),
  ...'head form button image br caption colgroup input mglyph malignmark SCRIPT path/ svg/ math/'.split(' '),
  'script type="application/ld+json"',
  'font color=x',
  'annotation-xml encoding="text/html"',
  'title a="</noscript><script>"',
  'a title="</noscript><script>x</script>"',
  'img src="data:image/png;base64,</noscript><script>"',
  "a style='b:url(data:image/png,</script>x)'",
  'script type="application/ld+json" src=data:image/png,aaaaaaaa',
];
const bits = [
  ...'< </ <! <!-- --> --!> <![CDATA[ ]]> > " \' / = x script alert(1) &lt; & &amp &notin &# &#x41 - ! 🎉'.split(
    ' ',
  ),
  '\0',
  '\n',
  '\r',
  '\r\n',
  ' ',
  '<!doctype html>',
  '<?x',
  '</script ',
  '<script',
  '<!--<script>',
  '"data:image/png;base64,aaaaaaaa',
];

function soup(from: number): string {
  const random = new Random(from);
  return random
    .list(1, 25, () => {
      const kind = random.next();
      if (kind < 0.45) return `<${random.pick(tags)}>`;
      return kind < 0.7 ? `</${/^[^ /]*/.exec(random.pick(tags))?.[0]}>` : random.pick(bits);
    })
    .join('');
}

function run(page: string, size = page.length, strip = true): string {
  const output = new Output(1_000_000);
  const stripper = createStripper(output, { strip, observers: [] });
  for (let at = 0; at < page.length; at += size) stripper.read(page.slice(at, at + size));
  stripper.end();
  return output.toString();
}

/** The nodes of a page's tree that should not be there. */
function left(page: string, scriptingEnabled: boolean): string[] {
  const found: string[] = [];
  const waiting: Dom.Node[] = [parse(page, { scriptingEnabled })];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (['style', 'svg', '#comment'].includes(node.nodeName)) found.push(node.nodeName);
    if (node.nodeName === 'script' && 'attrs' in node && node.namespaceURI === html.NS.HTML) {
      const type = node.attrs.find(({ name }) => name === 'type')?.value ?? '';
      if (!/^application\/ld\+json/i.test(type)) found.push('script');
    }
    if ('childNodes' in node) waiting.push(...node.childNodes);
    if ('content' in node) waiting.push(node.content);
  }
  return found;
}

test('no parser finds a script, style, drawing or comment in a stripped soup of random tags', () => {
  let scripts = 0;
  for (let index = 0; index < soups; index += 1) {
    const from = seed + index;
    const page = soup(from);
    const stripped = run(page);
    for (const scripting of [true, false]) {
      assert.deepEqual(left(stripped, scripting), [], `SEED=${from}: ${JSON.stringify(page)}`);
    }
    assert.equal(run(stripped), stripped, `SEED=${from}: once is enough`);
    if (index % 100 === 0 && left(page, true).includes('script')) scripts += 1;
  }
  assert.ok(scripts > 0, 'there is something to take out');
});

test('a soup gives the same result in pieces of any size, however early the tokenizer drops its input', (t) => {
  const early = { bytes: 0 };
  const write: Tokenizer['write'] = Reflect.get(Tokenizer.prototype, 'write');
  t.after(() => {
    Tokenizer.prototype.write = write;
  });
  Tokenizer.prototype.write = function (...args) {
    this.preprocessor.bufferWaterline = early.bytes;
    return write.apply(this, args);
  };
  for (let index = 0; index < rounds(2000); index += 1) {
    const from = seed + index;
    const page = soup(from);
    early.bytes = 1 << 16;
    const whole = run(page);
    const kept = page.includes('data:') ? run(page, page.length, false) : page;
    for (const [bytes, size] of [
      [1 << 16, 1],
      [0, 1],
      [1, 2],
      [3, 1],
      [8, 5],
    ] as const) {
      early.bytes = bytes;
      assert.equal(run(page, size), whole, `SEED=${from}, ${bytes}, ${size}: ${JSON.stringify(page)}`);
      assert.equal(run(page, size, false), kept, `SEED=${from}, ${bytes}, ${size}: nothing is lost`);
    }
  }
});
