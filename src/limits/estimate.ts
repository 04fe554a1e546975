/**
 * How long until a slot is free, judged by what recent requests took. An estimate: it is for telling a client that was
 * refused a slot when to come back, and nothing is decided by it.
 */

/** Assumed while nothing has been measured. */
const firstGuessMs = 5_000;
/** One measurement moves the estimate by this part, so that one odd request does not. */
const weight = 0.2;
/** A single turn never counts for more than this. */
const longestMs = 600_000;
/** Told to a client at most: within what the official SDKs obey, and soon enough to notice that slots are free again. */
const longestWaitMs = 60_000;

export class Estimate {
  #typicalMs = firstGuessMs;

  get typicalMs(): number {
    return this.#typicalMs;
  }

  note(tookMs: number): void {
    const bounded = Math.min(Math.max(tookMs, 0), longestMs);
    this.#typicalMs += (bounded - this.#typicalMs) * weight;
  }

  /**
   * Milliseconds until a slot is free for someone with `ahead` others waiting before them.
   * `runningMs` says for each slot in use how long its request has been running.
   */
  waitMs(ahead: number, runningMs: readonly number[]): number {
    if (runningMs.length === 0) return 1_000;
    // A request that outlives the estimate is taken to need a tenth of it more.
    const remaining = runningMs.map((ms) => Math.max(this.#typicalMs - ms, this.#typicalMs / 10));
    remaining.sort((a, b) => a - b);
    const rounds = Math.floor(ahead / remaining.length);
    const turn = remaining[ahead % remaining.length] ?? this.#typicalMs;
    return Math.min(Math.max(turn + rounds * this.#typicalMs, 1_000), longestWaitMs);
  }
}
