import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, limitHeaders } from './headers.ts';
import type { LaneState } from './lane-state.ts';

const concurrency = { limit: 2, running: 0, globalLimit: 2, globalRunning: 0, queued: 0 };
const now = Date.parse('2026-03-10T12:00:00.250Z');
const rpm = { limit: 20, remaining: 19, resetMs: 59_500, nextMs: 29_100 };
const daily = { limit: 200, remaining: 19, resetMs: 43_199_750, nextMs: 43_199_750 };
const globalDaily = { limit: 500, remaining: 480, resetMs: 43_199_750, nextMs: 43_199_750 };

test('limitHeaders returns no headers without limits', () => {
  assert.deepEqual(limitHeaders({ concurrency }, now), {});
});

test('limitHeaders returns one window in all three families', () => {
  assert.deepEqual(limitHeaders({ concurrency, rpm }, now), {
    'anthropic-ratelimit-requests-limit': '20',
    'anthropic-ratelimit-requests-remaining': '19',
    'anthropic-ratelimit-requests-reset': '2026-03-10T12:01:00Z',
    'x-ratelimit-limit-requests': '20',
    'x-ratelimit-remaining-requests': '19',
    'x-ratelimit-reset-requests': '59.5s',
    'ratelimit-policy': '"key_rpm";q=20;w=60',
    ratelimit: '"key_rpm";r=19;t=30',
  });
});

const tightest: [string, Omit<LaneState, 'concurrency'>, string][] = [
  ['the window with the fewest requests left', { rpm: { ...rpm, remaining: 3 }, daily, globalDaily }, '20'],
  ['of two equal windows, the window that is full again later', { rpm, daily, globalDaily }, '200'],
  [
    'the window of all keys, if it has the fewest left',
    { rpm, daily, globalDaily: { ...globalDaily, remaining: 0 } },
    '500',
  ],
];

for (const [what, state, limit] of tightest) {
  test(`limitHeaders reports the tightest window: ${what}`, () => {
    const headers = limitHeaders({ concurrency, ...state }, now);
    assert.equal(headers['anthropic-ratelimit-requests-limit'], limit);
    assert.equal(headers['x-ratelimit-limit-requests'], limit);
    assert.equal(
      headers['ratelimit-policy'],
      '"key_rpm";q=20;w=60, "key_daily";q=200;w=86400, "global_daily";q=500;w=86400',
    );
    assert.equal(headers['ratelimit']?.split(', ').length, 3);
  });
}

for (const [ms, text] of [
  [0, '0s'],
  [0.2, '1ms'],
  [20, '20ms'],
  [999.5, '1s'],
  [1_000, '1s'],
  [7_660, '7.66s'],
  [60_000, '1m0s'],
  [360_000, '6m0s'],
  [1_396_298, '23m16.298s'],
  [86_400_000, '24h0m0s'],
] as const) {
  test(`duration writes ${ms} ms as ${text}`, () => assert.equal(duration(ms), text));
}
