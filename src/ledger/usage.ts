/** What was used, from the daily sums: a report costs the number of its days, however many requests there were. */
import { noTokens, type TokenUsage } from '../conversation.ts';
import type { Store } from '../store/sqlite.ts';
import { dayMs, hourMs, utcDay, utcHour } from '../time.ts';

/** As `GET /v1/usage` returns them. */
export type UsageTotals = TokenUsage & {
  requests: number;
  /** Requests that were refused or failed. */
  errors: number;
  cost_usd: number;
  /** Answers of turns whose start is known, and those of a hot process. */
  answers: number;
  hot_answers: number;
  /** Answers of a fallback, and what the second login was billed for. */
  fallback_answers: number;
  fallback_usd: number;
};

/** By model as asked for; requests that named none are under the empty name. */
export type UsagePart = { total: UsageTotals; models: ({ model: string } & UsageTotals)[] };

export type UsageReport = {
  today: UsagePart;
  period: UsagePart;
  /** One entry for each UTC day or hour of the period, oldest first. */
  times: ({ time: string } & UsagePart)[];
};

/** The sums of one key, model and UTC day (`2030-01-31`) or hour (`2030-01-31T17`). */
export type KeyUsage = { time: string; keyId: string; model: string } & UsageTotals;

/** The last UTC days with today, or the last hours (48 at most) with this one; of one key or of all. */
export type UsagePeriod = { keyId?: string | undefined } & ({ days: number } | { hours: number });

export type Usage = ReturnType<typeof openUsage>;

export function openUsage(store: Store, now: () => number = Date.now) {
  const daily = sumsOf(store, 'daily_usage', 'day');
  const hourly = sumsOf(store, 'hourly_usage', 'hour');

  const part = ({ keyId = '*', ...period }: UsagePeriod) => {
    const times = timesOf(period).map((time) => Object.assign(emptyPart(), { time }));
    const sum = emptyPart();
    for (const row of sumsIn({ keyId, ...period })) {
      addTo(sum, row);
      addTo(times.find(({ time }) => time === row.time) ?? emptyPart(), row);
    }
    return { period: sum, times };
  };
  const timesOf = (period: UsagePeriod): string[] =>
    'days' in period
      ? lastOf(period.days, (back) => utcDay(now() - back * dayMs))
      : lastOf(period.hours, (back) => utcHour(now() - back * hourMs));
  const rangeOf = (period: UsagePeriod): [string, string] => {
    const times = timesOf(period);
    return [times.at(0) ?? '', times.at(-1) ?? ''];
  };
  const sumsIn = ({ keyId, ...period }: UsagePeriod): KeyUsage[] => {
    const { ofKey, ofEachKey } = 'days' in period ? daily : hourly;
    const range = rangeOf(period);
    return (keyId === undefined ? ofEachKey.all(...range) : ofKey.all(...range, keyId)) as KeyUsage[];
  };

  return {
    report(period: UsagePeriod): UsageReport {
      const today = part({ keyId: period.keyId, days: 1 }).period;
      return { today, ...part(period) };
    },
    /** Oldest first, each key by itself. */
    rows: sumsIn,
    /** The same, of each key with all its models together, under the empty name. */
    rowsByKey: (period: UsagePeriod): KeyUsage[] =>
      ('days' in period ? daily : hourly).ofEachKeySummed.all(...rangeOf(period)) as KeyUsage[],
    /** The names of the days or hours, oldest first. */
    times: timesOf,
  };
}

/** The columns of `UsageTotals`. */
const columns = {
  requests: 'requests',
  errors: 'errors',
  input_tokens: 'tokens_in',
  output_tokens: 'tokens_out',
  cache_read_input_tokens: 'cache_read',
  cache_creation_input_tokens: 'cache_write',
  cost_usd: 'cost_usd',
  answers: 'answers',
  hot_answers: 'hot_answers',
  fallback_answers: 'fallback_answers',
  fallback_usd: 'fallback_usd',
} as const satisfies Record<keyof UsageTotals, string>;

function sumsOf(store: Store, table: string, period: string) {
  const select = (model: string, valueOf: (column: string) => string, where: string) => {
    const values = Object.entries(columns).map(([name, column]) => `${valueOf(column)} AS ${name}`);
    return store.db.prepare(
      `SELECT key_id AS keyId, ${period} AS time, ${model} AS model, ${values.join()} FROM ${table}
       WHERE ${period} BETWEEN ? AND ? AND ${where} ORDER BY ${period}`,
    );
  };
  const asItIs = (column: string): string => column;
  return {
    ofKey: select('model', asItIs, 'key_id = ?'),
    ofEachKey: select('model', asItIs, "key_id <> '*'"),
    ofEachKeySummed: select("''", (column) => `sum(${column})`, `key_id <> '*' GROUP BY key_id, ${period}`),
  };
}

/** Oldest first. */
function lastOf(count: number, nameOf: (back: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => nameOf(count - 1 - i));
}

export function noUsage(): UsageTotals {
  const answers = { answers: 0, hot_answers: 0, fallback_answers: 0, fallback_usd: 0 };
  return { requests: 0, errors: 0, ...noTokens, cost_usd: 0, ...answers };
}

function emptyPart(): UsagePart {
  return { total: noUsage(), models: [] };
}

function addTo(part: UsagePart, row: KeyUsage): void {
  sumUsage(part.total, row);
  let entry = part.models.find(({ model }) => model === row.model);
  if (entry === undefined) {
    entry = { model: row.model, ...noUsage() };
    part.models.push(entry);
  }
  sumUsage(entry, row);
}

const summed = Object.keys(columns) as (keyof UsageTotals)[];

/** Adds to `totals`, in place. */
export function sumUsage(totals: UsageTotals, more: UsageTotals): void {
  for (const field of summed) totals[field] += more[field];
}
