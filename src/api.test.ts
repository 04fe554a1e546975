import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { completeRequest, explain } from './api.ts';

function refusal(body: unknown): string {
  const { error } = completeRequest.safeParse(body);
  assert.ok(error, 'it was accepted');
  return explain(error);
}

describe('a request to complete', () => {
  test('needs a prompt only, and its format is text', () => {
    assert.deepEqual(completeRequest.parse({ prompt: 'x' }), { prompt: 'x', output_format: 'text' });
  });

  test('texts are taken as they are', () => {
    for (const prompt of ['  x\r\n', '\ufeffx', '\u0001\u007f', 'e\u0301', '👩‍👩‍👧', '\u202ex', '\uffff', '/']) {
      const { prompt: taken, system } = completeRequest.parse({ prompt, system: prompt });
      assert.deepEqual([taken, system], [prompt, prompt]);
    }
    assert.equal(completeRequest.parse({ prompt: 'x', system: '' }).system, '');
  });

  const cases: [body: unknown, sentence: RegExp | string][] = [
    [undefined, 'The request body must be a JSON object.'],
    [null, 'The request body must be a JSON object.'],
    [[], 'The request body must be a JSON object.'],
    [{}, 'Field "prompt" must be a string and is required.'],
    [{ prompt: 1 }, /^Field "prompt" must be a string/],
    [{ prompt: '' }, 'Field "prompt" must not be empty.'],
    [{ prompt: '\n\u00a0' }, 'Field "prompt" must not be empty.'],
    [{ prompt: '\ud800' }, /^Field "prompt" holds a lone surrogate/],
    [{ prompt: 'x', system: '\udfff' }, /^Field "system" holds a lone surrogate/],
    [{ prompt: 'x\0' }, 'Field "prompt" holds a NUL character.'],
    [{ prompt: 'x', model: [] }, /^Field "model" must be a string/],
    [{ prompt: 'x', output_format: 'XML' }, 'Field "output_format" must be one of text, json.'],
    [{ prompt: 'x', nonsense: 1 }, 'Unknown field "nonsense".'],
    [{ prompt: 'x', nonsense: 1, more: 2 }, 'Unknown fields "nonsense", "more".'],
    [JSON.parse('{"prompt":"x","__proto__":{}}'), 'Unknown field "__proto__".'],
  ];
  for (const [body, sentence] of cases) {
    test(JSON.stringify(body) ?? 'nothing', () => {
      const said = refusal(body);
      if (typeof sentence === 'string') assert.equal(said, sentence);
      else assert.match(said, sentence);
      assert.match(said, /^[^.]+\.$/, 'one sentence');
    });
  }

  test('a long field name is cut', () => {
    assert.ok(refusal({ prompt: 'x', ['y'.repeat(10_000)]: 1 }).length < 100);
  });
});
