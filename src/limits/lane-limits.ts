/** The limits of a request. 0 always means no limit. */
import type { Spend } from './spending.ts';

/** Completions and page fetches have separate budgets and separate slots. */
export type Lane = 'complete' | 'fetch';

/** `model`: the requested model of a completion, or `fallbackLogin`. `most`: what it can spend. */
export type LaneWork = { lane: Lane; model?: string; most?: () => Spend };

export type LaneLimits = {
  /** Running at once, all keys together. */
  concurrency: number;
  /** Running at once, one key. */
  keyConcurrency: number;
  /** Requests of one key in any 60 seconds. */
  keyRpm: number;
  /** Requests of one key in a UTC day. */
  keyDaily: number;
  /** Requests of all keys together in a UTC day. */
  globalDaily: number;
};

/** A key's own limits. If one is absent, the lane's applies. */
export type KeyLimits = {
  keyId: string;
  rpm?: number | undefined;
  daily?: number | undefined;
  concurrency?: number | undefined;
  budget?: Spend | undefined;
};

export function limitsFor(lane: LaneLimits, key: KeyLimits): LaneLimits {
  return {
    ...lane,
    keyConcurrency: key.concurrency ?? lane.keyConcurrency,
    keyRpm: key.rpm ?? lane.keyRpm,
    keyDaily: key.daily ?? lane.keyDaily,
  };
}

/** Whether one more fits in addition to `used`. */
export function fits(limit: number, used: number): boolean {
  return limit === 0 || used < limit;
}
