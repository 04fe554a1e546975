/** What one key has left in a lane, for the headers of an answer and for `GET /v1/usage`. */
import type { DailyUse } from './budget.ts';
import type { LaneLimits } from './lane-limits.ts';
import type { SlidingWindow } from './windows.ts';

export type WindowState = {
  limit: number;
  remaining: number;
  /** Milliseconds until the whole limit is available. */
  resetMs: number;
  /** Milliseconds until more than `remaining` is available. */
  nextMs: number;
};

/** A limit that is off, or that cannot be read, is absent. */
export type LaneState = {
  rpm?: WindowState;
  daily?: WindowState;
  globalDaily?: WindowState;
  /** A limit of 0 is off. */
  concurrency: { limit: number; running: number; globalLimit: number; globalRunning: number; queued: number };
};

export function rpmState(limits: LaneLimits, window: SlidingWindow, now: number): Pick<LaneState, 'rpm'> {
  const limit = limits.keyRpm;
  if (limit === 0) return {};
  return {
    rpm: {
      limit,
      remaining: Math.max(0, limit - window.used(now)),
      resetMs: window.emptyMs(now),
      nextMs: window.waitMs(now, limit) || window.nextMs(now),
    },
  };
}

export function dailyState(limits: LaneLimits, used: DailyUse): Pick<LaneState, 'daily' | 'globalDaily'> {
  const state = (limit: number, taken: number): WindowState => ({
    limit,
    remaining: Math.max(0, limit - taken),
    resetMs: used.resetMs,
    nextMs: used.resetMs,
  });
  return {
    ...(limits.keyDaily > 0 ? { daily: state(limits.keyDaily, used.key) } : {}),
    ...(limits.globalDaily > 0 ? { globalDaily: state(limits.globalDaily, used.all) } : {}),
  };
}
