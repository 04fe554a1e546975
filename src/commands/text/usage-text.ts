/** A usage report as tables for people, JSON and CSV. Pure. */
import {
  noUsage,
  sumUsage,
  type KeyUsage,
  type UsagePart,
  type UsageReport,
  type UsageTotals,
} from '../../ledger/usage.ts';
import { cost, count, table } from './table.ts';

export type KeyTotals = readonly { key: string; totals: UsageTotals }[];

/** The most used first. */
export function totalsByKey(rows: readonly KeyUsage[], labels: ReadonlyMap<string, string>): KeyTotals {
  const sums = new Map<string, UsageTotals>();
  for (const row of rows) {
    const key = labels.get(row.keyId) ?? row.keyId;
    const totals = sums.get(key) ?? noUsage();
    sumUsage(totals, row);
    sums.set(key, totals);
  }
  return [...sums]
    .map(([key, totals]) => ({ key, totals }))
    .sort((a, b) => b.totals.requests - a.totals.requests || a.key.localeCompare(b.key));
}

export function usageTables(report: UsageReport, byKey: KeyTotals, key?: string): string {
  const unit = unitOf(report);
  const title = `${key === undefined ? 'All keys' : `Key ${key}`}, ${report.times.length} UTC ${unit}s`;
  const { total } = report.period;
  const shown = total.fallback_answers + total.fallback_usd > 0 ? { ...columns, ...fallbacks } : columns;
  const cells = (name: string, totals: UsageTotals): string[] => [
    name,
    ...Object.values(shown).map((cell) => cell(totals)),
  ];
  const section = (title: string, rows: readonly string[][]): string =>
    table([title, ...Object.keys(shown)], rows);
  const times = report.times.map(({ time, total }) => cells(time.replace('T', ' '), total));
  const models = report.period.models.map(({ model, ...totals }) => cells(model || '(none)', totals));
  const keys = key === undefined ? byKey.map(({ key, totals }) => cells(key, totals)) : [];
  return [
    `${title}\n${section(unit.toUpperCase(), [...times, cells('total', total)])}`,
    ...(models.length > 0 ? [section('MODEL', models)] : []),
    ...(keys.length > 0 ? [section('KEY', keys)] : []),
  ].join('\n');
}

type Columns = Readonly<Record<string, (totals: UsageTotals) => string>>;

const columns: Columns = {
  ' REQUESTS': ({ requests }) => count(requests),
  ' FAILED': ({ errors }) => count(errors),
  ' IN': ({ input_tokens }) => count(input_tokens),
  ' OUT': ({ output_tokens }) => count(output_tokens),
  ' CACHE READ': ({ cache_read_input_tokens }) => count(cache_read_input_tokens),
  ' CACHE WRITE': ({ cache_creation_input_tokens }) => count(cache_creation_input_tokens),
  ' RECKONED': ({ cost_usd }) => cost(cost_usd),
  ' HOT': (totals) => {
    const share = hotShare(totals);
    return share === null ? '-' : `${Math.round(share * 100)}%`;
  },
};

/** Only if a fallback answered in that time. */
const fallbacks: Columns = {
  ' FALLBACK': ({ fallback_answers }) => count(fallback_answers),
  ' BILLED': ({ fallback_usd }) => cost(fallback_usd),
};

/** The part of the answers that came from a hot process; null without an answer. */
function hotShare({ answers, hot_answers }: UsageTotals): number | null {
  return answers === 0 ? null : hot_answers / answers;
}

/** `keys` of the whole period, and of each of its days or hours. */
export function usageJson(
  report: UsageReport,
  rows: readonly KeyUsage[],
  labels: ReadonlyMap<string, string>,
  key?: string,
) {
  const keys = (of: readonly KeyUsage[]) => totalsByKey(of, labels).map(keyTotalsJson);
  const rowsAt = Map.groupBy(rows, ({ time }) => time);
  const partOf = ({ time, ...part }: UsageReport['times'][number]) => ({
    ...partJson(part),
    keys: keys(rowsAt.get(time) ?? []),
  });
  const dayOf = (part: UsageReport['times'][number]) => ({ day: part.time, ...partOf(part) });
  const hourOf = (part: UsageReport['times'][number]) => ({ hour: part.time, ...partOf(part) });
  return {
    key: key ?? null,
    today: partJson(report.today),
    period: partJson(report.period),
    ...(unitOf(report) === 'hour' ? { hours: report.times.map(hourOf) } : { days: report.times.map(dayOf) }),
    keys: keys(rows),
  };
}

function keyTotalsJson({ key, totals }: KeyTotals[number]) {
  return { key, ...totalsJson(totals) };
}

function unitOf({ times }: UsageReport): 'day' | 'hour' {
  return times[0]?.time.includes('T') === true ? 'hour' : 'day';
}

function partJson({ total, models }: UsagePart) {
  return {
    ...totalsJson(total),
    models: models.map(({ model, ...totals }) => ({
      model: model === '' ? null : model,
      ...totalsJson(totals),
    })),
  };
}

export type TotalsJson = ReturnType<typeof totalsJson>;

/** With the ledger's names. */
export function totalsJson(totals: UsageTotals) {
  return { ...countsOf(totals), hot_share: hotShare(totals) };
}

function countsOf(totals: UsageTotals) {
  return {
    requests: totals.requests,
    errors: totals.errors,
    tokens_in: totals.input_tokens,
    tokens_out: totals.output_tokens,
    cache_read: totals.cache_read_input_tokens,
    cache_write: totals.cache_creation_input_tokens,
    cost_usd: totals.cost_usd,
    answers: totals.answers,
    hot_answers: totals.hot_answers,
    fallback_answers: totals.fallback_answers,
    fallback_usd: totals.fallback_usd,
  };
}

/** No field needs quotes: labels, model names and numbers have no commas, quotes or line ends. */
export function usageCsv(rows: readonly KeyUsage[], labels: ReadonlyMap<string, string>): string {
  const lines = rows.map((row) =>
    [row.time, labels.get(row.keyId) ?? row.keyId, row.model, ...Object.values(countsOf(row))].join(','),
  );
  return [['day', 'key', 'model', ...Object.keys(countsOf(noUsage()))].join(','), ...lines]
    .map((line) => `${line}\n`)
    .join('');
}
