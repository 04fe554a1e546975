/** A clock that tests move by hand, and counts in memory that can fail. */
import type { DailyCounts } from '../../src/store/daily.ts';
import type { Clock } from '../../src/limits/clock.ts';

export class FakeClock implements Clock {
  #monotonic: number;
  #wall: number;
  #timers: { at: number; fn: () => void }[] = [];

  constructor(wall = Date.parse('2026-03-10T12:00:00Z'), monotonic = 1_000) {
    this.#wall = wall;
    this.#monotonic = monotonic;
  }

  get timers(): number {
    return this.#timers.length;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  wall(): number {
    return this.#wall;
  }

  setTimer(ms: number, fn: () => void): { cancel(): void } {
    const timer = { at: this.#monotonic + ms, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
      },
    };
  }

  /** Lets time pass on both clocks and calls each due timer at its time. */
  advance(ms: number): void {
    const end = this.#monotonic + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== due);
      this.#pass(due.at - this.#monotonic);
      due.fn();
    }
    this.#pass(end - this.#monotonic);
  }

  /** Sets the wall clock forwards or backwards; no time passes. */
  jumpWall(ms: number): void {
    this.#wall += ms;
  }

  /** Drops all timers, as the end of a process does. */
  forgetTimers(): void {
    this.#timers = [];
  }

  #pass(ms: number): void {
    this.#monotonic += ms;
    this.#wall += ms;
  }
}

export class MemoryCounts implements DailyCounts {
  failReads = false;
  failAdds = false;
  readonly counts = new Map<string, number>();

  read(day: string, [first, second]: readonly [string, string]): [number, number] {
    if (this.failReads) throw new Error('database is locked');
    return [this.counts.get(`${day} ${first}`) ?? 0, this.counts.get(`${day} ${second}`) ?? 0];
  }

  take(day: string, wanted: readonly { scope: string; limit: number | null }[]): boolean {
    if (this.failAdds) throw new Error('disk is full');
    if (this.failReads && wanted.some(({ limit }) => limit !== null)) throw new Error('database is locked');
    const full = wanted.some(
      ({ scope, limit }) => limit !== null && (this.counts.get(`${day} ${scope}`) ?? 0) >= limit,
    );
    if (!full) for (const { scope } of wanted) this.#add(`${day} ${scope}`, 1);
    return !full;
  }

  add(day: string, amounts: readonly { scope: string; count: number }[]): void {
    if (this.failAdds) throw new Error('disk is full');
    for (const { scope, count } of amounts) this.#add(`${day} ${scope}`, count);
  }

  refund(day: string, scopes: readonly string[]): void {
    if (this.failAdds) throw new Error('disk is full');
    for (const scope of scopes) this.#add(`${day} ${scope}`, -1);
  }

  #add(entry: string, delta: number): void {
    this.counts.set(entry, (this.counts.get(entry) ?? 0) + delta);
  }
}

/** Waits until all settled promises have run. */
export function tick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
