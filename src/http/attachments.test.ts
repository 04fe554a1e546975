import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageBlock, UserBlock } from '../conversation.ts';
import { requireRoom } from './attachments.ts';
import { BodyBudget, largeBodies } from './body-budget.ts';

const limits = { maxInputBytes: 100, maxAttachmentBytes: 20 };

function asked(content: UserBlock[], bodyBytes: number, given = limits): void {
  requireRoom({ system: [], messages: [{ role: 'user', content }] }, bodyBytes, given);
}

const image = (bytes: number): ImageBlock => ({
  type: 'image',
  source: { type: 'base64', media_type: 'image/png', data: 'A'.repeat(bytes) },
});

test('text and attachments have separate limits', () => {
  asked([{ type: 'text', text: 'x' }], 100);
  asked([image(20)], 120);
  asked([{ type: 'tool_result', tool_use_id: 'x', content: [image(12)] }, image(8)], 120);
  assert.throws(() => asked([{ type: 'text', text: 'x' }], 101), {
    code: 'payload_too_large',
    message: /MAX_INPUT_BYTES/,
  });
  assert.throws(() => asked([image(20)], 121), {
    code: 'payload_too_large',
    message: /100 bytes \(MAX_INPUT_BYTES\)/,
  });
  assert.throws(() => asked([image(12), image(12)], 60), {
    code: 'payload_too_large',
    message: /20 bytes of base64 \(MAX_ATTACHMENT_BYTES\)/,
  });
  const notes: UserBlock = {
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data: 'x'.repeat(50) },
  };
  asked([notes], 60);
  assert.throws(() => asked([image(4)], 60, { ...limits, maxAttachmentBytes: 0 }), {
    code: 'payload_too_large',
    message: /accepts no images or documents \(MAX_ATTACHMENT_BYTES is 0\)/,
  });
});

test('the body budget is bounded for one key and in all, and takes released bytes back', () => {
  const budget = new BodyBudget(10);
  const releases = Array.from({ length: largeBodies.perKey }, () => budget.reserve('a', 10));
  assert.throws(() => budget.reserve('a', 1), { code: 'rate_limited' });
  for (let n = largeBodies.perKey; n < largeBodies.all; n += 1) budget.reserve(`b${n}`, 10);
  assert.throws(() => budget.reserve('c', 1), { code: 'rate_limited' });
  releases[0]?.();
  budget.reserve('c', 10);
  assert.throws(() => budget.reserve('a', 1), { code: 'rate_limited' });
});
