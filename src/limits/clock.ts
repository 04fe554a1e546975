/** The time of the limits, which tests can move. */
export type Clock = {
  /** Milliseconds from an arbitrary start; never jumps. Minute windows and durations use only this. */
  monotonic(): number;
  /** Unix milliseconds; may jump in both directions. Used only for UTC days and for times the upstream names. */
  wall(): number;
  /** Calls `fn` once after `ms` milliseconds of monotonic time, unless cancelled. */
  setTimer(ms: number, fn: () => void): { cancel(): void };
};

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
