/** Medians, percentiles and ratios. Pure. */

/** The value below which `share` (0 to 1) of the values lie, by the nearest rank; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export type Spread = { median: number; p90: number };

export function spread(values: readonly number[]): Spread {
  return { median: median(values), p90: percentile(values, 0.9) };
}

/** The median of the ratios of values that were measured in the same round. */
export function ratio(values: readonly number[], base: readonly number[]): number {
  return median(values.map((value, round) => value / (base[round] ?? Number.NaN)));
}
