import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noTokens, type AssistantBlock, type Conversation, type UserBlock } from '../conversation.ts';
import { completeUsage, Reckoning } from './reckoning.ts';

test('the cost of a turn is the reported one, and otherwise that of its tokens at the last known rate', () => {
  const reckoning = new Reckoning();
  const usage = { ...noTokens, input_tokens: 1000, output_tokens: 200 };
  assert.deepEqual(reckoning.used('opus', usage, null), { usd: 0.02, tokens: 1200 }, 'the dearest model');
  assert.deepEqual(reckoning.used('opus', usage, 0.01), { usd: 0.01, tokens: 1200 });
  const cached = { ...usage, cache_creation_input_tokens: 800, cache_read_input_tokens: 10_000 };
  assert.deepEqual(reckoning.used('opus', cached, null), { usd: 0.02, tokens: 2000 });
  assert.equal(reckoning.used('haiku', usage, null).usd, 0.02, 'each model has its rate');
});

test('the most that a turn can use follows from its text and max_tokens', () => {
  const reckoning = new Reckoning();
  const messages = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hello there' }] }];
  const bounded = reckoning.most('opus', { system: [], messages, maxTokens: 500 });
  assert.ok(bounded.tokens > 500 && bounded.tokens < 750, String(bounded.tokens));
  assert.ok(bounded.usd > 500 * 50e-6 && bounded.usd < 750 * 50e-6, String(bounded.usd));
  assert.ok(reckoning.most('opus', { system: [], messages }).tokens > 64_000);
});

test('the most that a turn can use covers texts that are short in characters and long in tokens', () => {
  const mostOf = (text: string): number =>
    new Reckoning().most('opus', {
      system: [],
      messages: [{ role: 'user', content: [{ type: 'text', text }] }],
      maxTokens: 1,
    }).tokens;
  for (const text of ['()[]{}'.repeat(20_000), ' \n\t'.repeat(40_000), '👩‍👩‍👧'.repeat(7000)]) {
    assert.ok(mostOf(text) >= Buffer.byteLength(text), text.slice(0, 9));
  }
  assert.ok(mostOf('x'.repeat(5_000_000)) < 1_000_100, 'no request is larger than the context');
});

test('the most that a turn can use has the amounts of docs/api.md', () => {
  const mostOf = (content: UserBlock | AssistantBlock): number => {
    const messages = [{ role: 'user', content: [content] }] as Conversation['messages'];
    const { usd, tokens } = new Reckoning().most('opus', { system: [], messages });
    assert.ok(usd >= 3.2 && usd < 3.4, String(usd));
    return tokens - 64_000 - 205;
  };
  const source = { type: 'base64', data: Buffer.from('/Type /Page ').toString('base64') } as const;
  assert.equal(mostOf({ type: 'image', source: { ...source, media_type: 'image/png' } }), 4800);
  assert.equal(mostOf({ type: 'document', source: { ...source, media_type: 'application/pdf' } }), 7800);
  assert.equal(mostOf({ type: 'redacted_thinking', data: 'x'.repeat(900) }), 900);
});

test('a turn that ends early used what it shows, and no more than it may', () => {
  const conversation = {
    system: [],
    messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hello there' }] }],
    maxTokens: 3000,
  };
  const started = { ...noTokens, input_tokens: 12, output_tokens: 1 };
  const outputOf = (text: string, hiddenMs = 0): number =>
    completeUsage(started, conversation, { text, hiddenMs }).output_tokens;
  assert.equal(outputOf(''), 1);
  const words = outputOf('lots of words here '.repeat(100));
  assert.ok(words > 400 && words < 800, String(words));
  assert.equal(outputOf('', 2000), 1);
  assert.equal(outputOf('', 7000), 500, 'thinking that it does not show');
  assert.equal(outputOf('', 900_000), 3000);
  const { input_tokens: input, output_tokens: output } = completeUsage(noTokens, conversation, {
    text: '',
    hiddenMs: 0,
  });
  assert.ok(input > 3 && output === 0, 'nothing was reported');
});
