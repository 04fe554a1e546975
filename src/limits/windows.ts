/**
 * The two kinds of window a limit can have: a sliding one on the monotonic clock, and the UTC day.
 *
 * Pure: every function takes its time as an argument or from the clock it was given.
 */
import { dayMs, utcDay } from '../time.ts';
import type { Clock } from './clock.ts';

export const minuteMs = 60_000;

/**
 * A sliding log: at most `limit` takes in any `spanMs`. Exact, where counters per calendar minute would let twice the
 * limit through around the turn of a minute. It holds one number a take, so it is bounded by the limit it is asked
 * about, and it is empty again one span after the last take.
 *
 * Times are monotonic milliseconds and never decrease from one call to the next.
 */
export class SlidingWindow {
  readonly #spanMs: number;
  #taken: number[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  used(now: number): number {
    const firstAlive = this.#taken.findIndex((at) => at + this.#spanMs > now);
    if (firstAlive === -1) this.#taken = [];
    else if (firstAlive > 0) this.#taken.splice(0, firstAlive);
    return this.#taken.length;
  }

  /** Milliseconds until one more fits under `limit` (1 or more); 0 when it fits now. */
  waitMs(now: number, limit: number): number {
    // After a limit was lowered there can be more takes than it allows: all but `limit - 1` have to expire.
    const blocker = this.#taken[this.used(now) - limit];
    return blocker === undefined ? 0 : blocker + this.#spanMs - now;
  }

  take(now: number): void {
    this.#taken.push(now);
  }

  /** Undoes the take made at `at`; without effect when it has expired. */
  refund(at: number): void {
    const index = this.#taken.lastIndexOf(at);
    if (index !== -1) this.#taken.splice(index, 1);
  }

  /** Milliseconds until the oldest take expires; a whole span when there is none. */
  nextMs(now: number): number {
    this.used(now);
    const oldest = this.#taken[0];
    return oldest === undefined ? this.#spanMs : oldest + this.#spanMs - now;
  }

  /** Milliseconds until nothing is taken; 0 when nothing is. */
  emptyMs(now: number): number {
    this.used(now);
    const newest = this.#taken.at(-1);
    return newest === undefined ? 0 : newest + this.#spanMs - now;
  }
}

/** The UTC day of a time in Unix milliseconds, as days since 1970. */
function dayOf(wallMs: number): number {
  return Math.floor(wallMs / dayMs);
}

/** How many days ahead `roomInMs` looks. Days after today hold counts only when the clock was wrong earlier. */
const daysAhead = 8;

/**
 * Which UTC day is being counted.
 *
 * It follows the wall clock forwards at once. A wall clock that jumps back to an earlier day would hand out that day's
 * budget on top of the one in use, so the day in use stays until the wall clock catches up or, so that a clock which
 * was wrongly far ahead cannot freeze the budget for years, until it has been in use for 24 hours of monotonic time.
 */
export class DayClock {
  readonly #clock: Clock;
  #day: number;
  #name: string;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#day = dayOf(clock.wall());
    this.#name = utcDay(this.#day * dayMs);
    this.#since = clock.monotonic();
  }

  /** Such as `2026-01-31`. */
  today(): string {
    const seen = dayOf(this.#clock.wall());
    const inUseMs = this.#clock.monotonic() - this.#since;
    if (seen > this.#day || (seen < this.#day && inUseMs >= dayMs)) {
      this.#day = seen;
      this.#name = utcDay(seen * dayMs);
      this.#since = this.#clock.monotonic();
    }
    return this.#name;
  }

  /** Milliseconds until another day is counted, if the wall clock does not jump. */
  changeInMs(): number {
    this.today();
    const wall = this.#clock.wall();
    const untilMidnight = (this.#day + 1) * dayMs - wall;
    if (dayOf(wall) === this.#day) return untilMidnight;
    // The wall clock is behind. Until the day is let go it may have caught up; then midnight ends the day as ever.
    const untilLetGo = this.#since + dayMs - this.#clock.monotonic();
    return dayOf(wall + untilLetGo) < this.#day ? untilLetGo : untilMidnight;
  }

  /** Milliseconds until a day is counted that is not `full`, if the wall clock does not jump. */
  roomInMs(full: (day: string) => boolean): number {
    const wall = this.#clock.wall();
    let waitMs = this.changeInMs();
    for (let looked = 1; looked < daysAhead; looked += 1) {
      const day = dayOf(wall + waitMs);
      if (!full(utcDay(day * dayMs))) break;
      waitMs = (day + 1) * dayMs - wall;
    }
    return waitMs;
  }
}
