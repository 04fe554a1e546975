import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { base64, completeRequest, explain } from './api.ts';

function refusal(body: unknown): string {
  const { error } = completeRequest.safeParse(body);
  assert.ok(error, 'it was accepted');
  return explain(error);
}

describe('a request to complete', () => {
  test('needs a prompt only', () => {
    assert.deepEqual(completeRequest.parse({ prompt: 'x' }), { prompt: 'x' });
  });

  test('its attachments are base64 as the Messages API takes it', () => {
    const taken = ['AAAA', 'AAA=', 'AA==', '+/9z', 'A'.repeat(8_000_000)];
    const refused = ['', 'A', 'AAA', 'A===', 'AA=A', 'AAAA\n', ' AAAA', '-_9z', 'data:AAAA', 'AA==AAAA'];
    for (const data of taken) assert.ok(base64.safeParse(data).success, data.slice(0, 20));
    for (const data of refused) assert.ok(!base64.safeParse(data).success, data);
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
    [{ messages: [] }, 'Field "messages" must have at least 1 item.'],
    [{ messages: 'x' }, 'Field "messages" must be an array.'],
    [{ prompt: 'x', schema: 'x' }, 'Field "schema" must be an object.'],
    [{ prompt: 'x', schema: [] }, 'Field "schema" must be an object.'],
    [{ prompt: 'x', max_tokens: 1.5 }, 'Field "max_tokens" must be a whole number.'],
    [{ prompt: 'x', max_tokens: 0 }, 'Field "max_tokens" must be at least 1.'],
    [{ prompt: 'x', temperature: 2 }, 'Field "temperature" must be at most 1.'],
    [{ prompt: 'x', stop: 5 }, 'Field "stop" must be a string or an array.'],
    [{ prompt: 'x', stop: '' }, 'Field "stop" must have at least 1 character.'],
    [{ prompt: 'x', stop: Array(17).fill('x') }, 'Field "stop" must have at most 16 items.'],
    [{ prompt: 'x', stream: 'yes' }, 'Field "stream" must be a boolean.'],
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

  const places: [content: unknown, sentence: RegExp][] = [
    [undefined, /^Field "messages\.0\.content" must be a string or an array and is required\.$/],
    [5, /^Field "messages\.0\.content" must be a string or an array\.$/],
    ['', /^Field "messages\.0\.content" must not be empty\.$/],
    [[], /^Field "messages\.0\.content" must have at least 1 item\.$/],
    [[5], /^Field "messages\.0\.content\.0" must be an object\.$/],
    [[{ type: 'audio' }], /^Field "messages\.0\.content\.0\.type" must be one of text, image, document\.$/],
    [[{ type: 'text', text: 'x', id: 1 }], /^Unknown field "messages\.0\.content\.0\.id"\.$/],
    [
      [{ type: 'image', source: { type: 'base64', media_type: 'image/bmp', data: 'AAAA' } }],
      /^Field "messages\.0\.content\.0\.source\.media_type" must be one of image\/png, image\/jpeg, image\/gif, image\/webp\.$/,
    ],
    [
      [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'A' } }],
      /^Field "messages\.0\.content\.0\.source\.data" must be base64/,
    ],
    [
      [{ type: 'image', source: { type: 'url', url: 'https://example.com/x.png' } }],
      /^Field "messages\.0\.content\.0\.source\.type" must be one of base64\.$/,
    ],
  ];
  for (const [content, sentence] of places) {
    test(`a turn of ${JSON.stringify(content)}`, () => {
      assert.match(refusal({ messages: [{ role: 'user', content }] }), sentence);
    });
  }

  test('a long field name is cut', () => {
    assert.ok(refusal({ prompt: 'x', ['y'.repeat(10_000)]: 1 }).length < 100);
  });
});
