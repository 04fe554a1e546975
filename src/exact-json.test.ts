import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExactly, WrittenJson, writtenAs } from './exact-json.ts';

const exact =
  '[12345678901234567890,-9007199254740993,1.0,1E5,-0,1e400,0.1234567890123456789,{"__proto__":2.50}]';

test('parseExactly keeps the digits of every number for JSON.stringify', () => {
  assert.equal(JSON.stringify(parseExactly(exact)), exact);
});

test('parseExactly reads everything else as JSON.parse does', () => {
  const text = '{"a":[1,-2.5,1e+21,"1.0",true,null],"b":{}}';
  assert.deepEqual(parseExactly(text), JSON.parse(text));
  assert.throws(() => parseExactly('{"a":01}'), SyntaxError);
});

test('WrittenJson has the text, the value as doubles, and exact JSON', () => {
  const text = '{"a": [1.0, 12345678901234567890]}';
  const written = new WrittenJson(text);
  assert.deepEqual(written.value, { a: [1, 12345678901234567000] });
  assert.equal(JSON.stringify({ written }), '{"written":{"a":[1.0,12345678901234567890]}}');
  assert.deepEqual([writtenAs(written), writtenAs({ a: 1 })], [text, '{"a":1}']);
});

test('WrittenJson of a cut-off text has the text and the value given for it', () => {
  const written = new WrittenJson('{"a', {});
  assert.deepEqual([written.text, written.value], ['{"a', {}]);
  assert.throws(() => new WrittenJson('{"a'), SyntaxError);
});
