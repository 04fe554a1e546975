/** What was used, from the daily sums: a report costs the number of its days, however many requests there were. */
import { noTokens, type TokenUsage } from '../conversation.ts';
import type { Store } from '../store/sqlite.ts';
import { dayMs, utcDay } from '../time.ts';

/** As `GET /v1/usage` returns them. */
export type UsageTotals = TokenUsage & {
  requests: number;
  /** Requests that were refused or failed. */
  errors: number;
  cost_usd: number;
  /** Answers of turns whose start is known, and those of a hot process. */
  answers: number;
  hot_answers: number;
};

/** By model as asked for; requests that named none are under the empty name. */
export type UsagePart = { total: UsageTotals; models: ({ model: string } & UsageTotals)[] };

export type UsageReport = {
  today: UsagePart;
  period: UsagePart;
  /** One entry for each UTC day of the period, oldest first, today last. */
  days: ({ day: string } & UsagePart)[];
};

/** The sums of one key, day and model. */
export type KeyUsage = { day: string; keyId: string; model: string } & UsageTotals;

/** The last `days` UTC days with today, of one key or of all. */
type UsagePeriod = { keyId?: string; days: number };

export type Usage = ReturnType<typeof openUsage>;

const columns = `key_id AS keyId, day, model, requests, errors, tokens_in AS input_tokens, tokens_out AS output_tokens,
  cache_read AS cache_read_input_tokens, cache_write AS cache_creation_input_tokens, cost_usd, answers, hot_answers`;

export function openUsage(store: Store, now: () => number = Date.now) {
  const ofKey = store.db.prepare(
    `SELECT ${columns} FROM daily_usage WHERE key_id = ? AND day BETWEEN ? AND ? ORDER BY day`,
  );
  const ofEachKey = store.db.prepare(
    `SELECT ${columns} FROM daily_usage WHERE day BETWEEN ? AND ? AND key_id <> '*' ORDER BY day`,
  );
  return {
    report({ keyId = '*', days }: UsagePeriod): UsageReport {
      const period = emptyPart();
      const byDay = lastDays(days).map((day) => Object.assign(emptyPart(), { day }));
      for (const row of ofKey.all(keyId, ...firstAndLast(days)) as KeyUsage[]) {
        addTo(period, row);
        addTo(byDay.find(({ day }) => day === row.day) ?? emptyPart(), row);
      }
      const { total, models } = byDay.at(-1) ?? emptyPart();
      return { today: { total, models }, period, days: byDay };
    },
    /** Oldest first, each key by itself. */
    rows({ keyId, days }: UsagePeriod): KeyUsage[] {
      const range = firstAndLast(days);
      const rows = keyId === undefined ? ofEachKey.all(...range) : ofKey.all(keyId, ...range);
      return rows as KeyUsage[];
    },
  };

  function lastDays(days: number): string[] {
    return Array.from({ length: days }, (_, i) => utcDay(now() - (days - 1 - i) * dayMs));
  }

  function firstAndLast(days: number): [string, string] {
    return [utcDay(now() - (days - 1) * dayMs), utcDay(now())];
  }
}

export function noUsage(): UsageTotals {
  return { requests: 0, errors: 0, ...noTokens, cost_usd: 0, answers: 0, hot_answers: 0 };
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

const summed = Object.keys(noUsage()) as (keyof UsageTotals)[];

/** Adds to `totals`, in place. */
export function sumUsage(totals: UsageTotals, more: UsageTotals): void {
  for (const field of summed) totals[field] += more[field];
}
