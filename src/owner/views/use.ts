/** Use: who used what, by hour or day, stacked by key or model. */
import { html } from 'hono/html';
import { cost, count } from '../../commands/text/table.ts';
import type { UsageJson } from '../../commands/text/usage-text.ts';
import { mostSeries, stackedBars, type Bar } from '../charts.ts';
import type { OwnerData } from '../data.ts';
import { choice, live, named, table, type Column, type View } from '../layout.ts';

const periods = {
  '24h': { text: '24 hours', period: { hours: 24 } },
  '7d': { text: '7 days', period: { days: 7 } },
  '30d': { text: '30 days', period: { days: 30 } },
} as const;
const stacks = { key: 'by key', model: 'by model' } as const;

type Sums = UsageJson['today'];

export function useView(data: OwnerData, query: URLSearchParams): View {
  const span = oneOf(periods, query.get('period'), '24h');
  const stack = oneOf(stacks, query.get('stack'), 'key');
  const href = (next: { period?: string; stack?: string }): string =>
    `use?${new URLSearchParams({ period: span, stack, ...next }).toString()}`;
  const usage = data.use(periods[span].period);
  const parts = partsOf(usage, stack);
  const names = parts.map(({ name }) => name);
  const series = names.length > mostSeries ? [...names.slice(0, mostSeries - 1), 'others'] : names;
  const times = timesOf(usage);
  const bars = times.map(({ name, of }) => {
    const amounts = names.map((each) => of[stack].get(each) ?? 0);
    const head = amounts.slice(0, series.length - (names.length > mostSeries ? 1 : 0));
    const rest = amounts.slice(head.length).reduce((sum, amount) => sum + amount, 0);
    return { name, parts: names.length > mostSeries ? [...head, rest] : head };
  });
  const used = bars.filter((bar) => bar.parts.some((part) => part > 0)).toReversed();
  const { period } = usage;
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
          `Requests by ${'hours' in usage ? 'hour' : 'day'}, where there were any`,
          barColumns(series),
          used,
        ),
      )}
    </details>
  `;
  return { content, refreshS: 10 };
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

type Named = { name: string; sums: Omit<Sums, 'models'> };

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
function partsOf(usage: UsageJson, stack: keyof typeof stacks): Named[] {
  const parts =
    stack === 'key'
      ? usage.keys.map(({ key, ...sums }) => ({ name: key, sums }))
      : usage.period.models.map(({ model, ...sums }) => ({ name: model ?? 'no model', sums }));
  return parts.toSorted((a, b) => b.sums.requests - a.sums.requests);
}

function timesOf(usage: UsageJson) {
  const times =
    'hours' in usage
      ? usage.hours.map(({ hour, ...rest }) => ({ name: `${hour.replace('T', ' ')}:00`, ...rest }))
      : usage.days.map(({ day, ...rest }) => ({ name: day, ...rest }));
  return times.map(({ name, keys, models, ...sums }) => ({
    name,
    sums,
    of: {
      key: new Map(keys.map(({ key, requests }) => [key, requests])),
      model: new Map(models.map(({ model, requests }) => [model ?? 'no model', requests])),
    },
  }));
}

function oneOf<Name extends string>(
  known: Readonly<Record<Name, unknown>>,
  given: string | null,
  usual: Name,
): Name {
  return given !== null && Object.hasOwn(known, given) ? (given as Name) : usual;
}
