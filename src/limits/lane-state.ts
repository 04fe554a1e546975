/** What one key has left in a lane, for the headers of an answer and for `GET /v1/usage`. */
import type { LaneLimits } from './lane-limits.ts';
import type { Spending } from './spending.ts';
import type { SlidingWindow } from './windows.ts';

export type WindowState = {
  limit: number;
  remaining: number;
  /** Milliseconds until the whole limit is available. */
  resetMs: number;
  /** Milliseconds until more than `remaining` is available. */
  nextMs: number;
};

/** A limit that is off, or that cannot be read, is undefined. */
export type LaneState = {
  rpm?: WindowState | undefined;
  daily?: WindowState | undefined;
  globalDaily?: WindowState | undefined;
  budgets?: ReturnType<Spending['states']>;
  /** A limit of 0 is off. */
  concurrency: { limit: number; running: number; globalLimit: number; globalRunning: number; queued: number };
};

export function rpmState(
  { keyRpm }: LaneLimits,
  window: SlidingWindow,
  now: number,
): WindowState | undefined {
  if (keyRpm === 0) return undefined;
  return {
    limit: keyRpm,
    remaining: Math.max(0, keyRpm - window.used(now)),
    resetMs: window.emptyMs(now),
    nextMs: window.waitMs(now, keyRpm) || window.nextMs(now),
  };
}

export function dailyState(limit: number, used: number, resetMs: number): WindowState | undefined {
  if (limit === 0) return undefined;
  return { limit, remaining: Math.max(0, limit - used), resetMs, nextMs: resetMs };
}
