/** The tables of the fetch benchmark. */
import type { Case, FetchSide, TimeRow } from './fetch.ts';
import { wayNames, type WayName } from './fetch-ways.ts';
import { table } from './table.ts';

const names = {
  relay: 'relay: guard and strip',
  endpoint: '`POST /v1/fetch`, whole',
  unstripped: 'relay, `strip: false`',
  unguarded: 'the same without the guard',
  node: "Node's fetch, a connection a page",
  nodeKept: "Node's fetch, kept connections",
} as const satisfies Record<WayName, string>;

type Measured = Exclude<FetchSide, { skipped: string }>;

export function fetchLines(result: FetchSide): string[] {
  if ('skipped' in result) return ['', `Fetching pages: skipped (${result.skipped})`];
  const { rounds, callers, pages, times } = result;
  return [
    '',
    `Fetching pages, one after the other, ms a page (${rounds} rounds; ratios are of the relay's time)`,
    '',
    ...table(
      [
        ...['page', 'relay', 'p90', 'ms/MB', 'endpoint', 'no strip', 'no guard', "Node's", 'kept'],
        ...['to no guard', "to Node's", 'to kept'],
      ],
      times.map(timeCells),
    ),
    '',
    ...slopeLines(result),
    `without scripts, styles, svg and comments: ${pages.map(({ page, strippedBytes }) => `${page} become ${(strippedBytes / 1000).toFixed(0)} kB`).join(', ')}`,
    '',
    `Fetching pages, ${callers} at a time (gzip, https; the first three ratios are of pages/s)`,
    '',
    ...rateTable(result),
  ];
}

function timeCells({ page, coding, scheme, rows }: Case & { rows: readonly TimeRow[] }): string[] {
  const of = (name: WayName): TimeRow | undefined => rows.find(({ way }) => way === name);
  const relay = of('relay');
  return [
    `${page}, ${coding}, ${scheme}`,
    cell(relay?.ms.median, 1),
    cell(relay?.ms.p90, 1),
    cell(relay?.msPerMb, 0),
    ...wayNames.filter((name) => name !== 'relay').map((name) => cell(of(name)?.ms.median, 1)),
    cell(relay?.toUnguarded, 2),
    cell(relay?.toNode, 2),
    cell(relay?.toNodeKept, 2),
  ];
}

/** The fixed cost of a page and the cost of its size, from the smallest and the largest page. */
function slopeLines({ times, pages }: Measured): string[] {
  const typical = times.filter(({ coding, scheme }) => coding === 'gzip' && scheme === 'https');
  const [small, large] = [typical[0], typical.at(-1)];
  const megabytes = ((pages.at(-1)?.bytes ?? 0) - (pages[0]?.bytes ?? 0)) / 1e6;
  if (small === undefined || large === undefined || megabytes === 0) return [];
  const each = wayNames.map((name, index) => {
    const [first, last] = [small.rows[index]?.ms.median, large.rows[index]?.ms.median];
    const perMb = first === undefined || last === undefined ? undefined : (last - first) / megabytes;
    return [names[name], cell(first, 1), cell(perMb, 0)];
  });
  return [...table([`gzip, https`, `ms for ${small.page}`, 'ms for each further MB'], each), ''];
}

function rateTable({ rates }: Measured): string[] {
  return table(
    [
      '',
      'page',
      'pages/s',
      'MB/s',
      'to no guard',
      "to Node's",
      'to kept',
      'CPU ms',
      'CPU to no guard',
      "to Node's",
    ],
    rates.flatMap(({ page, rows }) =>
      rows.map((row) => [
        names[row.way],
        page,
        cell(row.perSecond, row.perSecond < 100 ? 1 : 0),
        cell(row.mbPerSecond, 1),
        cell(row.rateTo.toUnguarded, 2),
        cell(row.rateTo.toNode, 2),
        cell(row.rateTo.toNodeKept, 2),
        cell(row.cpuMs, 1),
        cell(row.cpuTo.toUnguarded, 2),
        cell(row.cpuTo.toNode, 2),
      ]),
    ),
  );
}

function cell(value: number | undefined, digits: number): string {
  return value === undefined ? '' : value.toFixed(digits);
}
