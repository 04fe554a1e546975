/**
 * A page through the relay's fetch, against the same fetch without its guard and against Node's own.
 *
 * The guard refuses this machine's own addresses, so the pages need public addresses: two network namespaces, as in test/pages.
 * Without root, `ip` and `openssl` this is skipped, with a message.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { makeCertificates } from '../test/pages/certificates.ts';
import { makeNamespaces, ready, type Namespaces } from '../test/pages/namespaces.ts';
import { networkMissing } from '../test/pages/network.ts';
import type { Bench } from './bare.ts';
import { pageSizes, type Coding, type PageName } from './fetch-pages.ts';
import { wayNames, type WayName } from './fetch-ways.ts';
import { median, ratio, spread, type Spread } from './stats.ts';

export type FetchEffort = {
  quick: boolean;
  /** One page after the other; `maxMs` bounds these rounds. */
  pages: PageName[];
  rounds: number;
  maxMs: number;
  warmUp: number;
  /** Several callers at once. */
  ratedPages: PageName[];
  ratedRounds: number;
  seconds: number;
  callers: number;
};

/** `cpuMs`: CPU time of a page. */
export type Rate = { perSecond: number; cpuMs: number };

export type Case = { page: PageName; coding: Coding; scheme: 'http' | 'https' };

/** Measured in the namespace: for each way, one value per round. */
export type FetchRaw = {
  timed: (Case & { ms: Record<WayName, number[]> })[];
  rated: { page: PageName; rates: Record<WayName, Rate[]> }[];
  outputBytes: Record<string, number>;
};

/** The median of the ratios in the same round. */
type Ratios = { toUnguarded: number; toNode: number; toNodeKept: number };
export type TimeRow = { way: WayName; ms: Spread; msPerMb: number } & Ratios;
export type RateRow = Rate & { way: WayName; mbPerSecond: number; rateTo: Ratios; cpuTo: Ratios };

export type FetchSide =
  | { skipped: string }
  | {
      rounds: number;
      callers: number;
      pages: { page: PageName; bytes: number; strippedBytes: number }[];
      times: (Case & { rows: TimeRow[] })[];
      rates: { page: PageName; rows: RateRow[] }[];
    };

export async function measureFetch(bench: Bench, quick: boolean): Promise<FetchSide> {
  const missing = networkMissing() || opensslMissing();
  if (missing !== false) return { skipped: missing };
  let namespaces: Namespaces;
  try {
    namespaces = makeNamespaces();
  } catch (error) {
    return { skipped: `no network could be made: ${(error as Error).message.split('\n')[0]}` };
  }
  try {
    const effort = quick ? quickEffort : wholeEffort;
    return evaluate(await measureIn(namespaces, bench, effort), effort);
  } finally {
    await namespaces.close();
  }
}

const wholeEffort: FetchEffort = {
  quick: false,
  pages: Object.keys(pageSizes) as PageName[],
  rounds: 40,
  maxMs: 150_000,
  warmUp: 60,
  ratedPages: Object.keys(pageSizes) as PageName[],
  ratedRounds: 5,
  seconds: 1.2,
  callers: 4,
};

const quickEffort: FetchEffort = {
  quick: true,
  pages: ['10 kB', '200 kB', '2 MB'],
  rounds: 8,
  maxMs: 5000,
  warmUp: 6,
  ratedPages: ['200 kB'],
  ratedRounds: 2,
  seconds: 0.4,
  callers: 4,
};

async function measureIn(namespaces: Namespaces, bench: Bench, effort: FetchEffort): Promise<FetchRaw> {
  const { authority, good } = makeCertificates(namespaces.folder, 'DNS:*.site.com');
  const file = (name: string): string => join(import.meta.dirname, name);
  const web = namespaces.start('net', file('fetch-web.ts'), { WEB: JSON.stringify({ certificate: good }) });
  // Such as --cpu-prof, for both processes that fetch.
  const { BENCH_NODE_FLAGS = '' } = process.env;
  const environment = { NODE_EXTRA_CA_CERTS: authority, ...(BENCH_NODE_FLAGS && { BENCH_NODE_FLAGS }) };
  const flags = BENCH_NODE_FLAGS.split(' ').filter((flag) => flag !== '');
  const app = namespaces.start('app', file('fetch-app.ts'), environment, flags);
  await Promise.all([ready(web), ready(app)]);
  const failed = new AbortController();
  app.once('exit', () => failed.abort(new Error('the process that fetches has ended')));
  const measured = once(app, 'message', { signal: failed.signal });
  app.send({ bench, effort });
  const [raw] = (await measured) as [FetchRaw];
  return raw;
}

function opensslMissing(): string | false {
  try {
    execFileSync('openssl', ['version'], { stdio: 'pipe' });
    return false;
  } catch {
    return '"openssl" does not work here';
  }
}

function evaluate({ timed, rated, outputBytes }: FetchRaw, { pages, callers }: FetchEffort): FetchSide {
  return {
    rounds: timed[0]?.ms.relay.length ?? 0,
    callers,
    pages: pages.map((page) => ({
      page,
      bytes: pageSizes[page],
      strippedBytes: outputBytes[page] ?? Number.NaN,
    })),
    times: timed.map(({ ms, ...which }) => ({
      ...which,
      rows: wayNames.map((way) => ({
        way,
        ms: spread(ms[way]),
        msPerMb: median(ms[way]) / (pageSizes[which.page] / 1e6),
        ...ratios(ms, way, (value) => value),
      })),
    })),
    rates: rated.map(({ page, rates }) => ({
      page,
      rows: wayNames.map((way) => {
        const perSecond = median(rates[way].map((rate) => rate.perSecond));
        return {
          way,
          perSecond,
          mbPerSecond: (perSecond * pageSizes[page]) / 1e6,
          cpuMs: median(rates[way].map(({ cpuMs }) => cpuMs)),
          rateTo: ratios(rates, way, (rate) => rate.perSecond),
          cpuTo: ratios(rates, way, ({ cpuMs }) => cpuMs),
        };
      }),
    })),
  };
}

function ratios<T>(measured: Record<WayName, T[]>, way: WayName, value: (each: T) => number): Ratios {
  const to = (base: WayName): number => ratio(measured[way].map(value), measured[base].map(value));
  return { toUnguarded: to('unguarded'), toNode: to('node'), toNodeKept: to('nodeKept') };
}
