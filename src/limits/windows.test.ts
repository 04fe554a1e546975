import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../test/support/limits.ts';
import { DayClock, minuteMs, SlidingWindow } from './windows.ts';

const hourMs = 3_600_000;

describe('the sliding window', () => {
  test('a sliding window admits exactly the limit and returns the wait for the next take', () => {
    const window = new SlidingWindow(minuteMs);
    let passed = 0;
    for (let at = 0; at < 60; at += 1) {
      if (window.waitMs(at, 20) > 0) continue;
      window.take(at);
      passed += 1;
    }
    assert.equal(passed, 20);
    assert.equal(window.waitMs(60, 20), 59_940);
    assert.equal(window.waitMs(59_999, 20), 1);
    assert.equal(window.waitMs(60_000, 20), 0);
  });

  test('a sliding window never admits twice the limit around the turn of a minute', () => {
    const window = new SlidingWindow(minuteMs);
    for (let n = 0; n < 20; n += 1) window.take(59_000);
    assert.equal(window.waitMs(61_000, 20), 58_000);
  });

  test('a sliding window with a lowered limit waits until enough takes have expired', () => {
    const window = new SlidingWindow(minuteMs);
    for (const at of [0, 10_000, 20_000, 30_000]) window.take(at);
    assert.equal(window.waitMs(30_000, 2), 50_000);
  });

  test('a sliding window refunds a take that has not expired', () => {
    const window = new SlidingWindow(minuteMs);
    window.take(0);
    window.take(1_000);
    window.refund(1_000);
    assert.equal(window.used(2_000), 1);
    assert.equal(window.used(minuteMs), 0);
    window.refund(0);
    assert.equal(window.used(minuteMs), 0);
  });

  test('a sliding window returns when one take and when all takes expire', () => {
    const window = new SlidingWindow(minuteMs);
    assert.deepEqual([window.nextMs(0), window.emptyMs(0)], [minuteMs, 0]);
    window.take(0);
    window.take(15_000);
    assert.deepEqual([window.nextMs(20_000), window.emptyMs(20_000)], [40_000, 55_000]);
  });
});

describe('the day', () => {
  test('the day changes at midnight UTC', () => {
    const clock = new FakeClock(Date.parse('2026-02-28T23:59:59Z'));
    const days = new DayClock(clock);
    assert.equal(days.today(), '2026-02-28');
    assert.equal(days.changeInMs(), 1_000);
    clock.advance(1_000);
    assert.equal(days.today(), '2026-03-01');
    assert.equal(days.changeInMs(), 24 * hourMs);
  });

  test('a clock that is set back gives no earlier day', () => {
    const clock = new FakeClock(Date.parse('2026-03-10T00:00:01Z'));
    const days = new DayClock(clock);
    clock.jumpWall(-2_000);
    assert.equal(days.today(), '2026-03-10');
    assert.equal(days.changeInMs(), 24 * hourMs + 1_000);
    clock.advance(24 * hourMs);
    assert.equal(days.today(), '2026-03-10');
    clock.advance(1_000);
    assert.equal(days.today(), '2026-03-11');
  });

  test('a clock that was years ahead freezes the day for at most 24 hours', () => {
    const clock = new FakeClock(Date.parse('2026-03-10T12:00:00Z'));
    const days = new DayClock(clock);
    clock.jumpWall(8_000 * 24 * hourMs);
    assert.equal(days.today(), '2048-02-03');
    clock.jumpWall(-8_000 * 24 * hourMs);
    assert.equal(days.changeInMs(), 24 * hourMs);
    clock.advance(24 * hourMs - 1);
    assert.equal(days.today(), '2048-02-03');
    clock.advance(1);
    assert.equal(days.today(), '2026-03-11');
  });

  test('a clock that jumps back and forth gives one further day', () => {
    const clock = new FakeClock(Date.parse('2026-03-10T12:00:00Z'));
    const days = new DayClock(clock);
    const seen = new Set([days.today()]);
    for (let n = 0; n < 10; n += 1) {
      clock.jumpWall(n % 2 === 0 ? 24 * hourMs : -24 * hourMs);
      seen.add(days.today());
    }
    assert.deepEqual([...seen], ['2026-03-10', '2026-03-11']);
  });

  test('roomInMs skips days that are full', () => {
    const days = new DayClock(new FakeClock(Date.parse('2026-03-10T22:00:00Z')));
    assert.equal(
      days.roomInMs(() => false),
      2 * hourMs,
    );
    assert.equal(
      days.roomInMs((day) => day === '2026-03-11'),
      26 * hourMs,
    );
  });
});
