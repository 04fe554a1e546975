import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageBlock, UserBlock } from '../conversation.ts';
import { requireRoom } from './attachments.ts';
import { LargeBodies, largeBodies } from './body-budget.ts';

const limits = { maxInputBytes: 100, maxAttachmentBytes: 20 };

function asked(content: UserBlock[], bodyBytes: number, given = limits): void {
  requireRoom({ system: [], messages: [{ role: 'user', content }] }, bodyBytes, given);
}

const image = (bytes: number): ImageBlock => ({
  type: 'image',
  source: { type: 'base64', media_type: 'image/png', data: 'A'.repeat(bytes) },
});

test('text and attachments are counted apart, each with its limit', () => {
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
    message: /takes no images and documents \(MAX_ATTACHMENT_BYTES is 0\)/,
  });
});

test('large bodies have their room, a part of it for each key, and give it back', () => {
  const bodies = new LargeBodies(10);
  const rooms = Array.from({ length: largeBodies.perKey }, () => bodies.enter('a'));
  for (const room of rooms) room.take(10);
  const more = bodies.enter('a');
  assert.throws(() => more.take(1), { code: 'rate_limited' });
  more.leave();
  const others = Array.from({ length: largeBodies.all - largeBodies.perKey }, (_, index) =>
    bodies.enter(`b${index}`),
  );
  for (const room of others) room.take(10);
  assert.throws(() => bodies.enter('c').take(1), { code: 'rate_limited' });
  rooms[0]?.leave();
  rooms[0]?.leave();
  bodies.enter('c').take(10);
  assert.throws(() => bodies.enter('a').take(1), { code: 'rate_limited' });
});
