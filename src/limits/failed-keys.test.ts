import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailedKeyLimiter, maxAddresses } from './failed-keys.ts';
import { FakeClock } from '../../test/support/limits.ts';

function create(): { clock: FakeClock; limiter: FailedKeyLimiter } {
  const clock = new FakeClock();
  return { clock, limiter: new FailedKeyLimiter(clock) };
}

/** Uses up the limit of an address. */
function fill(limiter: FailedKeyLimiter, address: string): void {
  for (let n = 0; n < 20; n += 1) limiter.record(address);
}

function slowed(limiter: FailedKeyLimiter, address: string): boolean {
  try {
    limiter.record(address);
    return false;
  } catch {
    return true;
  }
}

test('an address is refused after twenty failed keys, and a retry after the given time works', () => {
  const { clock, limiter } = create();
  for (let n = 0; n < 20; n += 1) {
    assert.equal(slowed(limiter, '203.0.113.7'), false);
    clock.advance(500);
  }
  assert.throws(() => limiter.record('203.0.113.7'), {
    code: 'rate_limited',
    details: { limit: 'unauthenticated', retryAfter: 290, shouldRetry: false },
  });
  clock.advance(289_000);
  assert.equal(slowed(limiter, '203.0.113.7'), true);
  clock.advance(1_000);
  assert.equal(slowed(limiter, '203.0.113.7'), false);
});

test('another address is not refused', () => {
  const { limiter } = create();
  fill(limiter, '203.0.113.7');
  assert.equal(slowed(limiter, '203.0.113.8'), false);
});

test('the addresses of an IPv6 /64 share one limit', () => {
  const { limiter } = create();
  fill(limiter, '2001:db8:1:2::1');
  assert.equal(slowed(limiter, '2001:db8:1:2:ffff::2'), true);
  assert.equal(slowed(limiter, '2001:db8:1:3::1'), false);
});

test('only the latest addresses are remembered', () => {
  const { limiter } = create();
  fill(limiter, '203.0.113.7');
  fill(limiter, '203.0.113.8');
  for (let n = 0; n < maxAddresses - 1; n += 1) limiter.record(`10.0.${n >> 8}.${n & 255}`);
  assert.equal(slowed(limiter, '203.0.113.8'), true, 'the latest');
  assert.equal(slowed(limiter, '203.0.113.7'), false, 'forgotten');
});
