import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Output } from './output.ts';

test('text is cut between two characters, and nothing follows the cut', () => {
  const text = 'aé€🎉'.repeat(5);
  for (let max = 0; max <= Buffer.byteLength(text); max += 1) {
    for (const size of [1, 2, 3, 100]) {
      const output = new Output(max);
      for (let at = 0; at < text.length; at += size) output.addText(text.slice(at, at + size));
      const kept = output.toString();
      assert.ok(text.startsWith(kept) && kept.isWellFormed());
      assert.equal(output.length, Buffer.byteLength(kept));
      assert.ok(output.length <= max && max - output.length < 4);
      assert.equal(output.full, kept !== text);
    }
  }
});

test('a whole piece that does not fit ends the output', () => {
  const output = new Output(10);
  output.addWhole('<b>');
  output.addText('12345');
  output.addWhole('</b>');
  output.addText('x');
  assert.deepEqual([output.toString(), output.full], ['<b>12345', true]);
});

test('many pieces and a large piece fill the output to its last byte', () => {
  const output = new Output(1_000_000);
  for (let index = 0; index < 300_000; index += 1) output.addWhole('<p>');
  output.addText('x'.repeat(200_000));
  assert.deepEqual([output.length, output.full], [1_000_000, true]);
  assert.equal(output.toString(), '<p>'.repeat(300_000) + 'x'.repeat(100_000));
});

test('the text of a page is not cut inside a character reference', () => {
  const text = 'a&amp;é &CounterClockwiseContourIntegral;b&#x1f389;&c &';
  const whole = [
    'a',
    '&amp;',
    'é',
    ' ',
    '&CounterClockwiseContourIntegral;',
    'b',
    '&#x1f389;',
    '&c',
    ' ',
    '&',
  ];
  const starts = new Set(whole.map((_, index) => whole.slice(0, index + 1).join('')).concat(''));
  for (let max = 0; max <= Buffer.byteLength(text); max += 1) {
    const output = new Output(max);
    output.addText(text, { references: true });
    assert.ok(starts.has(output.toString()), output.toString());
    assert.ok(max - output.length < 33);
  }
  const plain = new Output(4);
  plain.addText('a&amp;');
  assert.equal(plain.toString(), 'a&am', 'what is no page has none');
});
