import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExactly, withoutExactNumbers } from './exact-json.ts';

const exact =
  '[12345678901234567890,-9007199254740993,1.0,1E5,-0,1e400,0.1234567890123456789,{"__proto__":2.50}]';

test('numbers are written as they stood', () => {
  assert.equal(JSON.stringify(parseExactly(exact)), exact);
});

test('everything else is as usual', () => {
  const text = '{"a":[1,-2.5,1e+21,"1.0",true,null],"b":{}}';
  assert.deepEqual(parseExactly(text), JSON.parse(text));
  assert.throws(() => parseExactly('{"a":01}'), SyntaxError);
});

test('and numbers can be had as numbers again', () => {
  assert.deepEqual(withoutExactNumbers(parseExactly('{"a":[1.0,12345678901234567890]}')), {
    a: [1, 12345678901234567000],
  });
});
