/** The two kinds of window a limit can have: a sliding one on the monotonic clock, and the UTC day. */
import { dayMs, utcDay } from '../time.ts';
import type { Clock } from './clock.ts';

export const minuteMs = 60_000;

/**
 * A sliding log: at most `limit` takes in any `spanMs`. It is exact; counters per calendar minute would allow twice the limit around
 * the turn of a minute. It holds one number for each take, so the limit bounds it.
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
    // A lowered limit can be below the takes so far: all but `limit - 1` have to expire.
    const blocker = this.#taken[this.used(now) - limit];
    return blocker === undefined ? 0 : blocker + this.#spanMs - now;
  }

  take(now: number): void {
    this.#taken.push(now);
  }

  /** Undoes the take made at `at`, if it has not expired. */
  refund(at: number): void {
    const index = this.#taken.lastIndexOf(at);
    if (index !== -1) this.#taken.splice(index, 1);
  }

  /** Milliseconds until the oldest take expires; a whole span without takes. */
  nextMs(now: number): number {
    this.used(now);
    const oldest = this.#taken[0];
    return oldest === undefined ? this.#spanMs : oldest + this.#spanMs - now;
  }

  /** Milliseconds until all takes have expired. */
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

/** How many days ahead `roomInMs` looks. Days after today have counts only if the clock was wrong earlier. */
const daysAhead = 8;

/**
 * The UTC day that requests are counted in.
 *
 * It follows the wall clock forwards at once. A wall clock that jumps back would give out the budget of an earlier day in addition,
 * so the day in use stays until the wall clock catches up. A clock that was far ahead must not freeze the budget for years, so the
 * day also ends after 24 hours of monotonic time.
 */
export class DayClock {
  readonly #clock: Clock;
  #day: number;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#day = dayOf(clock.wall());
    this.#since = clock.monotonic();
  }

  today(): string {
    const seen = dayOf(this.#clock.wall());
    const inUseMs = this.#clock.monotonic() - this.#since;
    if (seen > this.#day || (seen < this.#day && inUseMs >= dayMs)) {
      this.#day = seen;
      this.#since = this.#clock.monotonic();
    }
    return utcDay(this.#day * dayMs);
  }

  /** Milliseconds until another day begins, if the wall clock does not jump. */
  changeInMs(): number {
    this.today();
    const wall = this.#clock.wall();
    const untilMidnight = (this.#day + 1) * dayMs - wall;
    if (dayOf(wall) === this.#day) return untilMidnight;
    // The wall clock is behind. If it catches up before the 24 hours are over, midnight ends the day.
    const until24Hours = this.#since + dayMs - this.#clock.monotonic();
    return dayOf(wall + until24Hours) < this.#day ? until24Hours : untilMidnight;
  }

  /** Milliseconds until a day that is not `full`, if the wall clock does not jump. */
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
