import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannedReply } from './demo.ts';

test("the demo's answer is labelled and names the length of the prompt", () => {
  const request = { model: 'opus', max_tokens: 1, messages: [{ role: 'user', content: 'grüße an dich' }] };
  const text = JSON.stringify(cannedReply({ headers: {}, body: '', json: request }));
  assert.match(text, /\[demo: canned answer, no model was asked\]/);
  assert.match(text, /3 words, 15 bytes/);
});
