/** The timings of some ways, next to those of one of them. Pure. */
import type { Timing } from './bare.ts';
import { ratio, spread, type Spread } from './stats.ts';

export type TimedRow<Name extends string> = {
  name: Name;
  first: Spread;
  whole: Spread;
  /** Median of the ratios in the same round. */
  firstToBare: number;
  wholeToBare: number;
};

export function timedRows<Name extends string>(
  seen: Readonly<Record<Name, readonly Timing[]>>,
  bare: readonly Timing[],
): TimedRow<Name>[] {
  return (Object.keys(seen) as Name[]).map((name) => ({
    name,
    first: spread(firsts(seen[name])),
    whole: spread(wholes(seen[name])),
    firstToBare: ratio(firsts(seen[name]), firsts(bare)),
    wholeToBare: ratio(wholes(seen[name]), wholes(bare)),
  }));
}

export function firsts(timings: readonly Timing[]): number[] {
  return timings.map(({ first }) => first);
}

export function wholes(timings: readonly Timing[]): number[] {
  return timings.map(({ whole }) => whole);
}
