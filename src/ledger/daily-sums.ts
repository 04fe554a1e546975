/** What rows add to the sums of their days. Pure. */
import type { StoredRequest } from './record.ts';

/** A row of `daily_usage`, by column. */
type DailySum = {
  key_id: string;
  day: string;
  model: string;
  requests: number;
  errors: number;
  tokens_in: number;
  tokens_out: number;
  cache_read: number;
  cache_write: number;
  cost_usd: number;
};

/** One sum for each key, day and model among the rows, and for all keys together under `*`; rows without a key count for nobody. */
export function dailySums(rows: readonly StoredRequest[]): DailySum[] {
  const sums = new Map<string, DailySum>();
  for (const row of rows) {
    if (row.key_id === null) continue;
    const day = new Date(row.at).toISOString().slice(0, 10);
    const model = row.model ?? '';
    for (const key_id of [row.key_id, '*']) {
      const name = `${key_id} ${day} ${model}`;
      let sum = sums.get(name);
      if (sum === undefined) sums.set(name, (sum = emptySum(key_id, day, model)));
      sum.requests += 1;
      if (row.status >= 400 || row.error !== null) sum.errors += 1;
      sum.tokens_in += row.tokens_in;
      sum.tokens_out += row.tokens_out;
      sum.cache_read += row.cache_read;
      sum.cache_write += row.cache_write;
      sum.cost_usd += row.cost_usd;
    }
  }
  return [...sums.values()];
}

function emptySum(key_id: string, day: string, model: string): DailySum {
  return {
    key_id,
    day,
    model,
    requests: 0,
    errors: 0,
    tokens_in: 0,
    tokens_out: 0,
    cache_read: 0,
    cache_write: 0,
    cost_usd: 0,
  };
}
