/** Estimates from recent requests when a slot is free, for the `retry-after` of a refusal. It decides nothing. */

/** Before the first measurement. */
const firstGuessMs = 5_000;
/** One measurement moves the estimate by this part. */
const weight = 0.2;
/** A longer request is measured as this. */
const longestMs = 600_000;
/** The official SDKs obey it, and a client notices soon enough that slots are free. */
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

  /** Milliseconds until a slot is free behind `ahead` waiting requests. `runningMs`: how long each running request has run. */
  waitMs(ahead: number, runningMs: readonly number[]): number {
    if (runningMs.length === 0) return 1_000;
    // A request that has run longer than the estimate is expected to need a tenth of it more.
    const remaining = runningMs.map((ms) => Math.max(this.#typicalMs - ms, this.#typicalMs / 10));
    remaining.sort((a, b) => a - b);
    const rounds = Math.floor(ahead / remaining.length);
    const turn = remaining[ahead % remaining.length] ?? this.#typicalMs;
    return Math.min(Math.max(turn + rounds * this.#typicalMs, 1_000), longestWaitMs);
  }
}
