/** The time of the limits, which tests can move. */
export const systemClock = {
  /** Milliseconds from an arbitrary start; never jumps. Minute windows and durations use only this. */
  monotonic: () => performance.now(),
  /** Unix milliseconds; may jump in both directions. Used only for UTC days and for times the upstream names. */
  wall: () => Date.now(),
  /** Calls `fn` once after `ms` milliseconds of monotonic time, unless cancelled. */
  setTimer(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

export type Clock = typeof systemClock;
