import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannedReply } from './demo.ts';
import { callUrl } from './serve.ts';

test("the demo's answer is labelled and names the length of the prompt", () => {
  const request = { model: 'opus', max_tokens: 1, messages: [{ role: 'user', content: 'grüße an dich' }] };
  const text = JSON.stringify(cannedReply({ headers: {}, body: '', json: request }));
  assert.match(text, /\[demo: canned answer, no model was asked\]/);
  assert.match(text, /3 words, 15 bytes/);
});

test('the address to call is one that programs connect to', () => {
  const urls = ['http://0.0.0.0:8799', 'http://[::]:1', 'http://127.0.0.2:8799', 'http://10.0.0.1:80'];
  assert.deepEqual(
    urls.map((url) => callUrl({ url })),
    ['http://127.0.0.1:8799', 'http://[::1]:1', 'http://127.0.0.2:8799', 'http://10.0.0.1:80'],
  );
});
