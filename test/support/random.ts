/** Repeatable random numbers (mulberry32), and how many rounds of them a test takes. */
import { runsAll } from './needs.ts';

/** The seed of a random test. A failure names the seed; `SEED=<n>` repeats it, or tries another. */
export const seed = Number(process.env['SEED'] ?? 20260801);

/** All rounds with TESTS=all (`npm run test:all`), a tenth of them otherwise. */
export function rounds(all: number): number {
  return runsAll ? all : Math.ceil(all / 10);
}

export class Random {
  #state: number;

  constructor(from: number) {
    this.#state = from >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `from` to `to`, inclusive. */
  int(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new Error('nothing to pick from');
    return items[this.below(items.length)] as T;
  }

  /** From `least` to `most` items of `make`. */
  list<T>(least: number, most: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.int(least, most) }, (_, index) => make(index));
  }
}
