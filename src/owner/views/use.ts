/** Use: who used what, by hour or day, stacked by key or model. */
import { html } from 'hono/html';
import { cost, count } from '../../commands/text/table.ts';
import { totalsJson, type TotalsJson } from '../../commands/text/usage-text.ts';
import { noUsage, sumUsage, type KeyUsage } from '../../ledger/usage.ts';
import { mostSeries, stackedBars, type Bar } from '../charts.ts';
import type { OwnerData } from '../data.ts';
import { choice, live, named, table, type Column, type View } from '../layout.ts';

const periods = {
  '24h': { text: '24 hours', period: { hours: 24 }, refreshS: 10 },
  '7d': { text: '7 days', period: { days: 7 }, refreshS: 60 },
  '30d': { text: '30 days', period: { days: 30 }, refreshS: 60 },
} as const;
const stacks = { key: 'by key', model: 'by model' } as const;

export function useView(data: OwnerData, query: URLSearchParams): View {
  const span = oneOf(periods, query.get('period'), '24h');
  const stack = oneOf(stacks, query.get('stack'), 'key');
  const href = (next: { period?: string; stack?: string }): string =>
    `use?${new URLSearchParams({ period: span, stack, ...next }).toString()}`;
  const { times, rows, labels } = data.use(periods[span].period, stack);
  const nameOf = ({ keyId, model }: KeyUsage): string =>
    stack === 'key' ? (labels.get(keyId) ?? keyId) : model || 'no model';
  const parts = partsOf(rows, nameOf);
  const names = parts.map(({ name }) => name);
  const series = names.length > mostSeries ? [...names.slice(0, mostSeries - 1), 'others'] : names;
  const bars = barsOf(times, rows, nameOf, { names, series });
  const used = bars.filter((bar) => bar.parts.some((part) => part > 0)).toReversed();
  const period = sumOf(rows);
  const hot = period.hot_share === null ? 'no answers yet' : `${Math.round(period.hot_share * 100)} %`;
  const content = html`
    ${choice(
      'Period',
      Object.entries(periods).map(([name, { text }]) => ({
        text,
        href: href({ period: name }),
        now: name === span,
      })),
    )}
    ${choice(
      'Stacked',
      Object.entries(stacks).map(([name, text]) => ({
        text,
        href: href({ stack: name }),
        now: name === stack,
      })),
    )}
    ${live(
      'use',
      html`<dl class="figures">
          <div>
            <dt>Requests</dt>
            <dd>${count(period.requests)}</dd>
          </div>
          <div>
            <dt>Failed</dt>
            <dd>${count(period.errors)}</dd>
          </div>
          <div>
            <dt>Reckoned cost</dt>
            <dd>${cost(period.cost_usd)}</dd>
          </div>
          <div>
            <dt>Answers of a hot process</dt>
            <dd>${hot}</dd>
          </div>
          ${
            period.fallback_answers + period.fallback_usd === 0
              ? ''
              : html`<div>
                    <dt>Answers of a fallback</dt>
                    <dd>${count(period.fallback_answers)}</dd>
                  </div>
                  <div>
                    <dt>Billed to the second login</dt>
                    <dd>${cost(period.fallback_usd)}</dd>
                  </div>`
          }
        </dl>
        ${stackedBars(`Requests in ${periods[span].text}, ${stacks[stack]}`, series, bars)}
        ${table(stack === 'key' ? 'Keys' : 'Models', [nameColumn(stack), ...sums], parts)}`,
    )}
    <details>
      <summary>The chart as a table</summary>
      ${live(
        'bars',
        table(
          `Requests by ${span === '24h' ? 'hour' : 'day'}, where there were any`,
          barColumns(series),
          used,
        ),
      )}
    </details>
  `;
  return { content, refreshS: periods[span].refreshS };
}

function barColumns(series: readonly string[]): Column<Bar>[] {
  const columns = series.map((title, place) => ({
    title,
    number: true as const,
    cell: ({ parts }: Bar) => count(parts[place] ?? 0),
  }));
  return [{ title: 'Time', cell: ({ name }) => name }, ...columns];
}

function nameColumn(stack: keyof typeof stacks): Column<Named> {
  return { title: stack === 'key' ? 'Key' : 'Model', cell: ({ name }) => named(name) };
}

type Named = { name: string; sums: TotalsJson };

const sums: Column<Named>[] = [
  { title: 'Requests', number: true, cell: ({ sums }) => count(sums.requests) },
  { title: 'Failed', number: true, cell: ({ sums }) => count(sums.errors) },
  {
    title: 'In',
    number: true,
    cell: ({ sums }) => count(sums.tokens_in + sums.cache_read + sums.cache_write),
  },
  { title: 'Out', number: true, cell: ({ sums }) => count(sums.tokens_out) },
  { title: 'Reckoned cost', number: true, cell: ({ sums }) => cost(sums.cost_usd) },
  {
    title: 'Hot',
    number: true,
    cell: ({ sums }) => (sums.hot_share === null ? '-' : `${Math.round(sums.hot_share * 100)} %`),
  },
];

/** The most used first. */
function partsOf(rows: readonly KeyUsage[], nameOf: (row: KeyUsage) => string): Named[] {
  return [...Map.groupBy(rows, nameOf)]
    .map(([name, of]) => ({ name, sums: sumOf(of) }))
    .toSorted((a, b) => b.sums.requests - a.sums.requests);
}

function sumOf(rows: readonly KeyUsage[]): TotalsJson {
  const sum = noUsage();
  for (const row of rows) sumUsage(sum, row);
  return totalsJson(sum);
}

/** The requests of each day or hour. A series has a place in each bar; the last is for all further names. */
function barsOf(
  times: readonly string[],
  rows: readonly KeyUsage[],
  nameOf: (row: KeyUsage) => string,
  { names, series }: { names: readonly string[]; series: readonly string[] },
): Bar[] {
  const places = new Map(names.map((name, i) => [name, Math.min(i, series.length - 1)]));
  const rowsAt = Map.groupBy(rows, ({ time }) => time);
  return times.map((time) => {
    const parts = series.map(() => 0);
    for (const row of rowsAt.get(time) ?? []) {
      const place = places.get(nameOf(row)) ?? 0;
      parts[place] = (parts[place] ?? 0) + row.requests;
    }
    return { name: time.includes('T') ? `${time.replace('T', ' ')}:00` : time, parts };
  });
}

function oneOf<Name extends string>(
  known: Readonly<Record<Name, unknown>>,
  given: string | null,
  usual: Name,
): Name {
  return given !== null && Object.hasOwn(known, given) ? (given as Name) : usual;
}
