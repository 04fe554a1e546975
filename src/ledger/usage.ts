/** What was used, from the daily sums: a report costs the number of its days, however many requests there were. */
import type { Store } from '../store/sqlite.ts';

export type UsageTotals = {
  requests: number;
  /** Of these, the ones that were refused or failed. */
  errors: number;
  tokensIn: number;
  tokensOut: number;
  cacheRead: number;
  cacheWrite: number;
  costUsd: number;
};

/** By model as asked for; requests that named none count under the empty name. */
export type UsagePart = { total: UsageTotals; models: ({ model: string } & UsageTotals)[] };

export type UsageReport = {
  today: UsagePart;
  period: UsagePart;
  /** One entry for each day of the period, oldest first, today last; `day` is `YYYY-MM-DD` in UTC. */
  days: ({ day: string } & UsagePart)[];
};

export type Usage = {
  /** One key, or all of them together; the last `days` UTC days with today. */
  report(options: { keyId?: string; days: number }): UsageReport;
  /** The period's sums of each key, day and model, oldest first. */
  rows(options: { keyId?: string; days: number }): KeyUsage[];
};

export type KeyUsage = { day: string; keyId: string; model: string } & UsageTotals;

type UsageRow = {
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

const dayMs = 86_400_000;

export function openUsage(store: Store, now: () => number = Date.now): Usage {
  const ofKey = store.db.prepare(
    'SELECT * FROM daily_usage WHERE key_id = ? AND day BETWEEN ? AND ? ORDER BY day',
  );
  const ofDays = store.db.prepare(
    "SELECT * FROM daily_usage WHERE day BETWEEN ? AND ? AND key_id <> '*' ORDER BY day",
  );
  return {
    report({ keyId = '*', days }) {
      const names = lastDays(now(), days);
      const byDay = new Map(names.map((day) => [day, emptyPart()]));
      const period = emptyPart();
      for (const row of ofKey.all(keyId, names[0] ?? '', names.at(-1) ?? '') as UsageRow[]) {
        addTo(period, row);
        const part = byDay.get(row.day);
        if (part !== undefined) addTo(part, row);
      }
      return {
        today: byDay.get(names.at(-1) ?? '') ?? emptyPart(),
        period,
        days: [...byDay].map(([day, part]) => ({ day, total: part.total, models: part.models })),
      };
    },
    rows({ keyId, days }) {
      const names = lastDays(now(), days);
      const [first, last] = [names[0] ?? '', names.at(-1) ?? ''];
      const found = keyId === undefined ? ofDays.all(first, last) : ofKey.all(keyId, first, last);
      return (found as UsageRow[]).map((row) => keyUsage(row));
    },
  };
}

function keyUsage(row: UsageRow): KeyUsage {
  return { day: row.day, keyId: row.key_id, model: row.model, ...totalsOf(row) };
}

function totalsOf(row: UsageRow): UsageTotals {
  return {
    requests: row.requests,
    errors: row.errors,
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
    cacheRead: row.cache_read,
    cacheWrite: row.cache_write,
    costUsd: row.cost_usd,
  };
}

export function noUsage(): UsageTotals {
  return { requests: 0, errors: 0, tokensIn: 0, tokensOut: 0, cacheRead: 0, cacheWrite: 0, costUsd: 0 };
}

function emptyPart(): UsagePart {
  return { total: noUsage(), models: [] };
}

function addTo(part: UsagePart, row: UsageRow): void {
  sumUsage(part.total, totalsOf(row));
  let entry = part.models.find(({ model }) => model === row.model);
  if (entry === undefined) {
    entry = { model: row.model, ...noUsage() };
    part.models.push(entry);
  }
  sumUsage(entry, totalsOf(row));
}

/** Adds to `totals`, in place. */
export function sumUsage(totals: UsageTotals, more: UsageTotals): void {
  totals.requests += more.requests;
  totals.errors += more.errors;
  totals.tokensIn += more.tokensIn;
  totals.tokensOut += more.tokensOut;
  totals.cacheRead += more.cacheRead;
  totals.cacheWrite += more.cacheWrite;
  totals.costUsd += more.costUsd;
}

/** The last n UTC days, today last. */
function lastDays(now: number, days: number): string[] {
  return Array.from({ length: days }, (_, i) =>
    new Date(now - (days - 1 - i) * dayMs).toISOString().slice(0, 10),
  );
}
