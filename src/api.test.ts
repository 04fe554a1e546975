import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { base64, completeRequest } from './api.ts';

describe('the schema of a completion', () => {
  test('requires a prompt only', () => {
    assert.deepEqual(completeRequest.parse({ prompt: 'x' }), { prompt: 'x' });
  });

  test('accepts attachments in base64 as the Messages API does', () => {
    const taken = ['AAAA', 'AAA=', 'AA==', '+/9z', 'A'.repeat(8_000_000)];
    const refused = ['', 'A', 'AAA', 'A===', 'AA=A', 'AAAA\n', ' AAAA', '-_9z', 'data:AAAA', 'AA==AAAA'];
    for (const data of taken) assert.ok(base64.safeParse(data).success, data.slice(0, 20));
    for (const data of refused) assert.ok(!base64.safeParse(data).success, data);
  });

  test('keeps every text unchanged', () => {
    for (const prompt of ['  x\r\n', '\ufeffx', '\u0001\u007f', 'e\u0301', '👩‍👩‍👧', '\u202ex', '\uffff', '/']) {
      const { prompt: taken, system } = completeRequest.parse({ prompt, system: prompt });
      assert.deepEqual([taken, system], [prompt, prompt]);
    }
    assert.equal(completeRequest.parse({ prompt: 'x', system: '' }).system, '');
  });
});
