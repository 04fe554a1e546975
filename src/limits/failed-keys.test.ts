import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailedKeyLimiter } from './failed-keys.ts';
import { FakeClock } from '../../test/support/limits.ts';

function create(limit = 3, maxAddresses = 100): { clock: FakeClock; limiter: FailedKeyLimiter } {
  const clock = new FakeClock();
  return { clock, limiter: new FailedKeyLimiter({ limit, windowMs: 60_000, maxAddresses, clock }) };
}

function slowed(limiter: FailedKeyLimiter, address: string): boolean {
  try {
    limiter.record(address);
    return false;
  } catch {
    return true;
  }
}

test('an address is refused after three failed keys, and a retry after the given time works', () => {
  const { clock, limiter } = create();
  for (let n = 0; n < 3; n += 1) {
    assert.equal(slowed(limiter, '203.0.113.7'), false);
    clock.advance(500);
  }
  assert.throws(() => limiter.record('203.0.113.7'), {
    code: 'rate_limited',
    details: { limit: 'unauthenticated', retryAfter: 59, shouldRetry: true },
  });
  clock.advance(58_000);
  assert.equal(slowed(limiter, '203.0.113.7'), true);
  clock.advance(1_000);
  assert.equal(slowed(limiter, '203.0.113.7'), false);
});

test('another address is not refused', () => {
  const { limiter } = create(1);
  limiter.record('203.0.113.7');
  assert.equal(slowed(limiter, '203.0.113.8'), false);
});

test('the addresses of an IPv6 /64 share one limit', () => {
  const { limiter } = create(1);
  limiter.record('2001:db8:1:2::1');
  assert.equal(slowed(limiter, '2001:db8:1:2:ffff::2'), true);
  assert.equal(slowed(limiter, '2001:db8:1:3::1'), false);
});

test('only the latest addresses are remembered', () => {
  const { limiter } = create(1, 10);
  for (let n = 0; n < 1_000; n += 1) slowed(limiter, `10.0.${n >> 8}.${n & 255}`);
  assert.equal(slowed(limiter, '10.0.3.231'), true, 'the latest');
  assert.equal(slowed(limiter, '10.0.0.0'), false, 'forgotten');
});

test('a limit of 0 refuses no address', () => {
  const { limiter } = create(0);
  for (let n = 0; n < 100; n += 1) limiter.record('203.0.113.7');
});
