/** What a lane tells: to a key about itself, and to /ready and the tests about everyone. */
import type { DailyUse } from './budget.ts';
import type { LaneLimits } from './lane-limits.ts';
import type { SlidingWindow } from './windows.ts';

export type WindowState = {
  limit: number;
  remaining: number;
  /** Until the whole limit is there again. */
  resetMs: number;
  /** Until more than `remaining` is there; where `remaining` is 0, until a retry works. */
  nextMs: number;
};

/** What one key has left in a lane. A limit that is off is absent; so is a daily one that cannot be read. */
export type LaneState = {
  rpm?: WindowState;
  daily?: WindowState;
  globalDaily?: WindowState;
  /** A limit of 0 is off. */
  concurrency: { limit: number; running: number; globalLimit: number; globalRunning: number; queued: number };
};

export type LaneSnapshot = {
  running: number;
  queued: number;
  /** Reservations that have not ended: always `running + queued`. */
  reserved: number;
  /** What a recent request took, for estimates. */
  typicalMs: number;
  countsWritable: boolean;
  /** Endings of a ticket that had already ended. Anything but 0 is a defect in the caller. */
  doubleEnds: number;
  /** Daily counts that could not be given back because the store failed. */
  lostGiveBacks: number;
  keys: { keyId: string; running: number; queued: number }[];
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
