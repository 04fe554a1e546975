/** A usage report as tables for people, JSON and CSV. Pure. */
import {
  noUsage,
  sumUsage,
  type KeyUsage,
  type UsagePart,
  type UsageReport,
  type UsageTotals,
} from '../../ledger/usage.ts';
import { bar, cost, count, table } from './table.ts';
import { paint, type Terminal } from './terminal.ts';

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

export function usageTables(terminal: Terminal, report: UsageReport, byKey: KeyTotals, key?: string): string {
  const title = `${key === undefined ? 'All keys' : `Key ${key}`}, ${report.days.length} UTC days`;
  const parts = [
    `${paint(terminal, 'bold', title)}\n${section(
      terminal,
      'DAY',
      report.days.map(({ day, total }) => ({ name: day, totals: total })),
      report.period.total,
    )}`,
  ];
  if (report.period.models.length > 0) {
    const models = report.period.models.map(({ model, ...totals }) => ({ name: modelName(model), totals }));
    parts.push(section(terminal, 'MODEL', models));
  }
  if (key === undefined && byKey.length > 0) {
    parts.push(
      section(
        terminal,
        'KEY',
        byKey.map(({ key, totals }) => ({ name: key, totals })),
      ),
    );
  }
  return parts.join('\n');
}

function section(
  terminal: Terminal,
  title: string,
  entries: readonly { name: string; totals: UsageTotals }[],
  sum?: UsageTotals,
): string {
  const most = Math.max(...entries.map(({ totals }) => totals.requests));
  const rows = entries.map(({ name, totals }) =>
    cells(name, paint(terminal, 'cyan', bar(totals.requests, most)), totals),
  );
  if (sum !== undefined) rows.push(cells('total', '', sum));
  return table(
    [
      { title },
      { title: 'REQUESTS', right: true },
      { title: ''.padEnd(12) },
      { title: 'FAILED', right: true },
      { title: 'IN', right: true },
      { title: 'OUT', right: true },
      { title: 'CACHE READ', right: true },
      { title: 'CACHE WRITE', right: true },
      { title: 'COST', right: true },
    ],
    rows,
  );
}

function cells(name: string, bar: string, totals: UsageTotals): string[] {
  const counts = [
    totals.errors,
    totals.input_tokens,
    totals.output_tokens,
    totals.cache_read_input_tokens,
    totals.cache_creation_input_tokens,
  ];
  return [name, count(totals.requests), bar, ...counts.map(count), cost(totals.cost_usd)];
}

function modelName(model: string): string {
  return model === '' ? '(none)' : model;
}

export function usageJson(report: UsageReport, byKey: KeyTotals, key?: string): Record<string, unknown> {
  return {
    key: key ?? null,
    today: partJson(report.today),
    period: partJson(report.period),
    days: report.days.map((day) => ({ day: day.day, ...partJson(day) })),
    keys: byKey.map(({ key, totals }) => ({ key, ...totalsJson(totals) })),
  };
}

function partJson({ total, models }: UsagePart): Record<string, unknown> {
  return {
    ...totalsJson(total),
    models: models.map(({ model, ...totals }) => ({
      model: model === '' ? null : model,
      ...totalsJson(totals),
    })),
  };
}

function totalsJson(totals: UsageTotals): Record<string, number> {
  return {
    requests: totals.requests,
    errors: totals.errors,
    tokens_in: totals.input_tokens,
    tokens_out: totals.output_tokens,
    cache_read: totals.cache_read_input_tokens,
    cache_write: totals.cache_creation_input_tokens,
    cost_usd: totals.cost_usd,
  };
}

/** No field needs quotes: labels, model names and numbers hold neither commas nor quotes nor line ends. */
export function usageCsv(rows: readonly KeyUsage[], labels: ReadonlyMap<string, string>): string {
  const lines = rows.map((row) =>
    [row.day, labels.get(row.keyId) ?? row.keyId, row.model, ...Object.values(totalsJson(row))].join(','),
  );
  return [['day', 'key', 'model', ...Object.keys(totalsJson(noUsage()))].join(','), ...lines]
    .map((line) => `${line}\n`)
    .join('');
}
