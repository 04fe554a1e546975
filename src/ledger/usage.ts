/** What was used, from the daily sums: a report costs the number of its days, however many requests there were. */
import { noTokens, type TokenUsage } from '../conversation.ts';
import type { Store } from '../store/sqlite.ts';

/** As `GET /v1/usage` returns them. */
export type UsageTotals = TokenUsage & {
  requests: number;
  /** Requests that were refused or failed. */
  errors: number;
  cost_usd: number;
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
    input_tokens: row.tokens_in,
    output_tokens: row.tokens_out,
    cache_read_input_tokens: row.cache_read,
    cache_creation_input_tokens: row.cache_write,
    cost_usd: row.cost_usd,
  };
}

export function noUsage(): UsageTotals {
  return { requests: 0, errors: 0, ...noTokens, cost_usd: 0 };
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
  totals.input_tokens += more.input_tokens;
  totals.output_tokens += more.output_tokens;
  totals.cache_read_input_tokens += more.cache_read_input_tokens;
  totals.cache_creation_input_tokens += more.cache_creation_input_tokens;
  totals.cost_usd += more.cost_usd;
}

/** The last n UTC days, today last. */
function lastDays(now: number, days: number): string[] {
  return Array.from({ length: days }, (_, i) =>
    new Date(now - (days - 1 - i) * dayMs).toISOString().slice(0, 10),
  );
}
