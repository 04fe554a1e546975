/**
 * The gate that closes when the upstream says the plan is used up until a time, so that not every request starts a
 * process to learn it again.
 *
 * Until that time nothing passes. After it one probe at a time does: a probe that works opens the gate, a further
 * "used up" closes it with the new time, and a probe that ends in any other way makes room for the next one.
 */
import type { Clock } from './clock.ts';

/** The longest window a plan has is seven days; a time further off is wrong. */
const longestMs = 8 * 86_400_000;
/** Waited when the time told is no time, or past: soon enough to recover, seldom enough to start no process a request. */
const unknownMs = 60_000;

export type Probe = {
  /** The upstream accepted the request. */
  works(): void;
  /** The request is over, in whatever way. */
  end(): void;
};

type Closed = { untilWall: number; untilMonotonic: number };

export class PlanGate {
  readonly #clock: Clock;
  #closed: Closed | undefined;
  #probe: Probe | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `untilWallMs`: Unix milliseconds, from the CLI's `rate_limit_event.rate_limit_info.resetsAt` (Unix seconds). */
  usedUp(untilWallMs: number): void {
    const told = untilWallMs - this.#clock.wall();
    const waitMs = Number.isFinite(told) && told > 0 ? Math.min(told, longestMs) : unknownMs;
    // Requests that were under way together can name different windows: the later one is when it can work.
    if (waitMs <= this.#remainingMs()) return;
    this.#closed = {
      untilWall: this.#clock.wall() + waitMs,
      untilMonotonic: this.#clock.monotonic() + waitMs,
    };
    this.#probe = undefined;
  }

  /** Milliseconds until a request may pass: 0 when one may now. While a probe is out, what it is expected to take. */
  waitMs(probeTakesMs: number): number {
    if (this.#closed === undefined) return 0;
    return this.#remainingMs() || (this.#probe === undefined ? 0 : Math.max(probeTakesMs, 1_000));
  }

  /** Call only when `waitMs` is 0. Gives the probe that this request is, if it is one. */
  enter(): Probe | undefined {
    if (this.#closed === undefined) return undefined;
    const probe: Probe = {
      works: () => {
        if (this.#probe === probe) this.#closed = undefined;
      },
      end: () => {
        if (this.#probe === probe) this.#probe = undefined;
      },
    };
    this.#probe = probe;
    return probe;
  }

  /** Unix milliseconds; undefined when the gate is open. In the past while probes decide. */
  get closedUntil(): number | undefined {
    return this.#closed?.untilWall;
  }

  /**
   * By whichever clock is first: the monotonic one may stand still while the machine sleeps, and the wall clock may be
   * set back. Being early costs one probe.
   */
  #remainingMs(): number {
    if (this.#closed === undefined) return 0;
    const byWall = this.#closed.untilWall - this.#clock.wall();
    const byMonotonic = this.#closed.untilMonotonic - this.#clock.monotonic();
    return Math.max(0, Math.min(byWall, byMonotonic));
  }
}
