/** The result as a table for people. Pure. */
import type { FetchSide } from './fetch.ts';
import { fetchLines } from './fetch-report.ts';
import type { GrowthRow, HttpSide } from './http.ts';
import type { Latency } from './latency.ts';
import type { Network } from './network.ts';
import type { PageCost } from './page.ts';
import { hotFactor, type Saturation } from './saturation.ts';
import type { SealCost } from './seal.ts';
import { table } from './table.ts';

export type Result = {
  date: string;
  machine: { cores: number; memoryGib: number; arch: string; platform: string };
  versions: { node: string; claude: string; relay: string };
  options: { quick: boolean; delayMs: number };
  /** One minute's load average. */
  load: { start: number; end: number };
  seconds: number;
  latency?: Latency;
  saturation?: Saturation;
  network?: Network;
  http?: HttpSide;
  growth?: GrowthRow[];
  fetch?: FetchSide;
  seal?: SealCost;
  page?: PageCost;
};

const names = {
  bare: '`claude -p`, a process a request',
  cold: 'relay, cold',
  warm: 'relay, warm',
  hot: 'relay, hot',
  parked: 'a parked process by hand (the floor)',
} as const;

export function report(result: Result): string {
  const { machine, versions, options, load } = result;
  return [
    `${result.date}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.platform} ${machine.arch}, Node ${versions.node}, Claude Code ${versions.claude}, claude-relay ${versions.relay}`,
    `upstream delay ${options.delayMs} ms${options.quick ? ', --quick' : ''}, load average ${load.start} at the start and ${load.end} at the end, ${result.seconds} s`,
    ...(result.latency === undefined ? [] : latencyLines(result.latency)),
    ...(result.saturation === undefined ? [] : saturationLines(result.saturation)),
    ...(result.network === undefined ? [] : networkLines(result.network)),
    ...(result.http === undefined ? [] : httpLines(result.http)),
    ...(result.growth === undefined ? [] : growthLines(result.growth)),
    ...(result.fetch === undefined ? [] : fetchLines(result.fetch)),
    ...(result.seal === undefined ? [] : sealLines(result.seal)),
    ...(result.page === undefined ? [] : pageLines(result.page)),
    '',
  ].join('\n');
}

function latencyLines({ rounds, rows, cpu, added }: Latency): string[] {
  return [
    '',
    `Time to first text and to the whole answer, ms (${rounds} rounds)`,
    '',
    ...table(
      ['', 'first', 'p90', 'to bare', 'to floor', 'whole', 'p90', 'to bare', 'to floor'],
      rows.map((row) => [
        names[row.name],
        whole(row.first.median),
        whole(row.first.p90),
        share(row.firstToBare),
        share(row.firstToParked),
        whole(row.whole.median),
        whole(row.whole.p90),
        share(row.wholeToBare),
        share(row.wholeToParked),
      ]),
    ),
    '',
    `CPU a request (${cpu.batches} x ${cpu.requestsPerBatch} requests, one after the other)`,
    '',
    ...table(
      ['', 'CPU s a request', 'to bare'],
      cpu.rows.map((row) => [names[row.name], row.cpuSeconds.toFixed(3), share(row.toBare)]),
    ),
    '',
    `tokens that the CLI adds to a prompt: about ${added.tokens} (${added.characters} characters of text, all in the system prompt; ${added.bytes} bytes of the body in all)`,
  ];
}

function sealLines({ rounds, rows, skipped }: SealCost): string[] {
  const more = (value: number, digits: number): string => `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
  return [
    '',
    `The seal: time to first text, with the median of the differences to none (${rounds} rounds)`,
    '',
    ...table(
      ['', 'cold, ms', 'more', 'hot, ms', 'more', 'MB more'],
      rows.map((row) => [
        row.name,
        whole(row.cold),
        more(row.coldMore, 1),
        row.hot.toFixed(1),
        more(row.hotMore, 1),
        row.memoryMb.toFixed(2),
      ]),
    ),
    ...skipped.map((reason) => `skipped: ${reason}`),
  ];
}

function pageLines({ rows, views, closed, open, p99ToClosed }: PageCost): string[] {
  return [
    '',
    `The owner's page over ${rows} rows of the ledger`,
    '',
    ...table(
      ['view', 'median ms', 'p99 ms', 'times'],
      views.map(({ name, medianMs, p99Ms, times }) => [
        name,
        medianMs.toFixed(1),
        p99Ms.toFixed(1),
        String(times),
      ]),
    ),
    '',
    ...table(
      ['requests at 8 connections', 'p50 ms', 'p99 ms', 'p99 to closed'],
      [
        ['the page is closed', closed.p50Ms.toFixed(2), closed.p99Ms.toFixed(2), share(1)],
        ['every view is open in a tab', open.p50Ms.toFixed(2), open.p99Ms.toFixed(2), share(p99ToClosed)],
      ],
    ),
  ];
}

function saturationLines({ processes, batches, requestsPerBatch, rows }: Saturation): string[] {
  const name = {
    bare: '`xargs -P` of `claude -p`',
    singleUse: 'relay, a process a request',
    hot: `relay, hot (${hotFactor} x the requests)`,
  } as const;
  return [
    '',
    `Saturation, ${processes} processes at once (${batches} batches of ${requestsPerBatch})`,
    '',
    ...table(
      ['', 'requests/s', 'ratio', 'CPU s a request', 'ratio', 'on a hot process'],
      rows.map((row) => [
        name[row.name],
        row.perSecond.toFixed(2),
        share(row.throughputRatio),
        row.cpuSeconds.toFixed(3),
        share(row.cpuRatio),
        `${whole(row.hotShare * 100)} %`,
      ]),
    ),
  ];
}

function networkLines(result: Network): string[] {
  if ('skipped' in result) return ['', `Over a network: skipped (${result.skipped})`];
  const { answerDelayMs, oneWayMs, rounds, rows, hot } = result;
  return [
    '',
    `Over a network: ${oneWayMs} ms each way, TLS, ${answerDelayMs} ms before the answer; ms (${rounds} rounds)`,
    '',
    ...table(
      ['', 'first', 'p90', 'to bare', 'whole', 'p90', 'to bare'],
      rows.map((row) => [
        names[row.name],
        whole(row.first.median),
        whole(row.first.p90),
        share(row.firstToBare),
        whole(row.whole.median),
        whole(row.whole.p90),
        share(row.wholeToBare),
      ]),
    ),
    '',
    `upstream connections of a hot process: ${hot.connections} for its first request and ${hot.requests} hot ones`,
  ];
}

function httpLines({ runs, perSecondPerCore, memory }: HttpSide): string[] {
  return [
    '',
    'The HTTP side alone',
    '',
    ...table(
      ['', 'connections', 'p50 ms', 'p99 ms', 'requests/s', 'CPU µs a request'],
      runs.flatMap(({ connections, relay, plain }) =>
        (
          [
            ['relay', relay],
            ['smallest node:http server', plain],
          ] as const
        ).map(([name, run]) => [
          name,
          String(connections),
          run.p50Ms.toFixed(2),
          run.p99Ms.toFixed(2),
          whole(run.perSecond),
          whole(run.cpuMicrosPerRequest),
        ]),
      ),
    ),
    '',
    `one core's worth of CPU: ${whole(perSecondPerCore)} requests/s`,
    `resident memory: ${whole(memory.idleMb)} MB idle, ${whole(memory.loadMb)} MB under load, ${whole(memory.afterMb)} MB ${memory.afterSeconds} s after (${share(memory.afterMb / memory.idleMb)} x idle)`,
  ];
}

function growthLines(rows: GrowthRow[]): string[] {
  return [
    '',
    'Growth (8 connections)',
    '',
    ...table(
      ['keys', 'ledger rows', 'p50 ms', 'to first', 'p99 ms', 'CPU µs a request', 'to first'],
      rows.map(({ keys, rows, run, cpuToFirst, p50ToFirst }) => [
        String(keys),
        String(rows),
        run.p50Ms.toFixed(2),
        share(p50ToFirst),
        run.p99Ms.toFixed(2),
        whole(run.cpuMicrosPerRequest),
        share(cpuToFirst),
      ]),
    ),
  ];
}

function whole(value: number): string {
  return value.toFixed(0);
}

function share(value: number): string {
  return value.toFixed(2);
}
