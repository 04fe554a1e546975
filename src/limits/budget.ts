/** The daily limits of one lane, over counts that outlive the process. */
import type { DailyCounts } from '../store/daily.ts';
import { fits, type Lane, type LaneLimits } from './lane-limits.ts';
import { countsUnavailable, refusal, type Blocked } from './refusals.ts';
import type { DayClock } from './windows.ts';

/** Requests that wait for a slot. They are counted when they get one; until then the limits keep room for them. */
export type WaitingCounts = { key: number; all: number };

/** Used today, and the milliseconds until the next day. */
export type DailyUse = { key: number; all: number; resetMs: number };

/** The methods, apart from `refund`, throw `not_ready` when the counts cannot be used. */
export class DailyBudget {
  readonly #lane: Lane;
  readonly #counts: DailyCounts;
  readonly #days: DayClock;

  constructor(lane: Lane, counts: DailyCounts, days: DayClock) {
    this.#lane = lane;
    this.#counts = counts;
    this.#days = days;
  }

  /** The daily limit without room for one more, if any. Its wait ends in a day in which both limits have room. */
  blocked(keyId: string, limits: LaneLimits, waiting: WaitingCounts): Blocked | undefined {
    const { keyDaily, globalDaily } = limits;
    if (keyDaily === 0 && globalDaily === 0) return undefined;
    const fullLimit = (day: string): 'key_daily' | 'global_daily' | undefined => {
      const [key, all] = this.#read(day, keyId);
      if (!fits(keyDaily, key + waiting.key)) return 'key_daily';
      return fits(globalDaily, all + waiting.all) ? undefined : 'global_daily';
    };
    const limit = fullLimit(this.#days.today());
    if (limit === undefined) return undefined;
    return { limit, waitMs: this.#days.roomInMs((day) => fullLimit(day) !== undefined) };
  }

  /** Counts one request, durably, and returns the day of the count. Throws the refusal of a limit without room, and counts nothing. */
  take(keyId: string, limits: LaneLimits, waiting: WaitingCounts): string {
    const day = this.#days.today();
    const [key, all] = this.#scopes(keyId);
    const room = (limit: number, used: number) => (limit > 0 ? limit - used : null);
    const counted = available(() =>
      this.#counts.take(day, [
        { scope: key, limit: room(limits.keyDaily, waiting.key) },
        { scope: all, limit: room(limits.globalDaily, waiting.all) },
      ]),
    );
    if (counted) return day;
    // Another relay on the same database may have refunded its count between the two statements.
    throw refusal(this.blocked(keyId, limits, waiting) ?? { limit: 'global_daily', waitMs: 1_000 });
  }

  /** Takes back what `take` counted. If the store fails, the day keeps the count: a limit is never exceeded. */
  refund(keyId: string, day: string): void {
    try {
      this.#counts.refund(day, this.#scopes(keyId));
    } catch {
      // The next request reports that the counts cannot be kept.
    }
  }

  /** Includes the requests that wait. */
  used(keyId: string, waiting: WaitingCounts): DailyUse {
    const [key, all] = this.#read(this.#days.today(), keyId);
    return { key: key + waiting.key, all: all + waiting.all, resetMs: this.#days.changeInMs() };
  }

  #read(day: string, keyId: string): readonly [number, number] {
    return available(() => this.#counts.read(day, this.#scopes(keyId)));
  }

  #scopes(keyId: string): [string, string] {
    return [`${this.#lane}:key:${keyId}`, `${this.#lane}:all`];
  }
}

function available<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    throw countsUnavailable(error);
  }
}
