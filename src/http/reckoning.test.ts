import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noTokens } from '../conversation.ts';
import { Reckoning } from './reckoning.ts';

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
