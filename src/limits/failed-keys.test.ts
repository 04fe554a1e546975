import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStrangers, type Strangers } from './failed-keys.ts';
import { FakeClock } from '../../test/support/limits.ts';

function create(limit = 3, maxAddresses = 100): { clock: FakeClock; strangers: Strangers } {
  const clock = new FakeClock();
  return { clock, strangers: createStrangers({ limit, windowMs: 60_000, maxAddresses, clock }) };
}

function slowed(strangers: Strangers, address: string): boolean {
  try {
    strangers.wrongKey(address);
    return false;
  } catch {
    return true;
  }
}

test('slows an address after its wrong keys, and the time it tells works', () => {
  const { clock, strangers } = create();
  for (let n = 0; n < 3; n += 1) {
    assert.equal(slowed(strangers, '203.0.113.7'), false);
    clock.advance(500);
  }
  assert.throws(() => strangers.wrongKey('203.0.113.7'), {
    code: 'rate_limited',
    details: { limit: 'unauthenticated', retryAfter: 59, shouldRetry: true },
  });
  clock.advance(58_000);
  assert.equal(slowed(strangers, '203.0.113.7'), true);
  clock.advance(1_000);
  assert.equal(slowed(strangers, '203.0.113.7'), false);
});

test('slows nobody else', () => {
  const { strangers } = create(1);
  strangers.wrongKey('203.0.113.7');
  assert.equal(slowed(strangers, '203.0.113.8'), false);
});

test('a whole /64 counts as one', () => {
  const { strangers } = create(1);
  strangers.wrongKey('2001:db8:1:2::1');
  assert.equal(slowed(strangers, '2001:db8:1:2:ffff::2'), true);
  assert.equal(slowed(strangers, '2001:db8:1:3::1'), false);
});

test('remembers a bounded number of addresses, the latest ones', () => {
  const { strangers } = create(1, 10);
  for (let n = 0; n < 1_000; n += 1) slowed(strangers, `10.0.${n >> 8}.${n & 255}`);
  assert.equal(strangers.remembered, 10);
  assert.equal(slowed(strangers, '10.0.3.231'), true, 'the latest');
  assert.equal(slowed(strangers, '10.0.0.0'), false, 'forgotten');
});

test('0 turns it off', () => {
  const { strangers } = create(0);
  for (let n = 0; n < 100; n += 1) strangers.wrongKey('203.0.113.7');
  assert.equal(strangers.remembered, 0);
});
