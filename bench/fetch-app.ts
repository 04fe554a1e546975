/** The relay's host of the fetch benchmark, a process in its own network namespace: it fetches and measures. */
import { once } from 'node:events';
import { codings, createRandom, makePage, pagePath, pageSizes, type PageName } from './fetch-pages.ts';
import { createWays, wayNames, type Way, type WayName } from './fetch-ways.ts';
import type { Bench } from './bare.ts';
import type { Case, FetchEffort, FetchRaw, Rate } from './fetch.ts';
import { startHttpRelay } from './http-target.ts';

type Order = { bench: Bench; effort: FetchEffort };

/** Each caller fetches from its own host, because the relay allows two fetches at a time from a host. */
const hosts = Array.from({ length: 8 }, (_, index) => `page-${index}.site.com`);
const schemes = ['http', 'https'] as const;

async function measure({ bench, effort }: Order): Promise<FetchRaw> {
  // Fetches are not limited, and there is a slot for each caller.
  const limits = { FETCH_RPM: '0', FETCH_DAILY: '0', FETCH_GLOBAL_DAILY: '0', FETCH_CONCURRENCY: '4' };
  const trusted = { NODE_EXTRA_CA_CERTS: process.env['NODE_EXTRA_CA_CERTS'] ?? '' };
  const relay = await startHttpRelay(bench, 1, 0, { ...limits, ...trusted });
  const { ways, close } = createWays(relay);
  const random = createRandom(1);
  const inTurn = (): Way[] => shuffled(ways, random);
  const until = performance.now() + effort.maxMs;
  const enough = (): boolean => performance.now() > until;
  try {
    const cases = casesOf(effort);
    const outputBytes = await check(ways, cases);
    for (let turn = 0; turn < effort.warmUp; turn += 1) {
      for (const { fetch } of ways) await fetch(urlOf('https', 0, '200 kB', 'gzip'));
    }
    const timed = cases.map(({ page, coding, scheme }) => ({ page, coding, scheme, ms: perWay() }));
    for (let round = 0; round < effort.rounds && !(round > 2 && enough()); round += 1) {
      for (const { page, coding, scheme, ms } of timed) {
        const url = urlOf(scheme, round, page, coding);
        for (const way of inTurn()) ms[way.name].push(await timeOf(() => way.fetch(url)));
      }
    }
    const rated = effort.ratedPages.map((page) => ({ page, rates: perWay<Rate>() }));
    for (let round = 0; round < effort.ratedRounds; round += 1) {
      for (const { page, rates } of rated) {
        for (const way of inTurn()) rates[way.name].push(await rate(way, page, effort));
      }
    }
    return { timed, rated, outputBytes };
  } finally {
    await close();
    await relay.stop();
  }
}

/** With `--quick`, only the most common kind of page. */
function casesOf({ pages, quick }: FetchEffort): Case[] {
  return pages.flatMap((page) =>
    codings.flatMap((coding) =>
      schemes
        .filter((scheme) => !quick || (scheme === 'https' && coding === 'gzip'))
        .map((scheme) => ({ page, coding, scheme })),
    ),
  );
}

/** Checks that all ways return the same page, or they are not comparable. Returns the size of each stripped page. */
async function check(ways: readonly Way[], cases: readonly Case[]): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const { page, coding, scheme } of cases) {
    const whole = makePage(pageSizes[page]);
    const url = urlOf(scheme, 0, page, coding);
    const got = {} as Record<WayName, string>;
    for (const way of ways) got[way.name] = await way.fetch(url);
    const stripped = got.relay;
    if (/<style|<svg|<!--/.test(stripped) || stripped.length < 1000)
      throw new Error(`${url} was not stripped`);
    const { html } = JSON.parse(got.endpoint) as { html: string };
    const same =
      html === stripped &&
      got.unguarded === stripped &&
      [got.unstripped, got.node, got.nodeKept].every((text) => text === whole);
    if (!same) throw new Error(`${url} does not come the same every way`);
    sizes[page] = Buffer.byteLength(stripped);
  }
  return sizes;
}

/** The pages that so many callers get in a time, each from its own host. */
async function rate(way: Way, page: PageName, { seconds, callers }: FetchEffort): Promise<Rate> {
  const cpuBefore = way.cpuSeconds();
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  let pages = 0;
  const call = async (_: unknown, caller: number): Promise<void> => {
    while (performance.now() < until) {
      await way.fetch(urlOf('https', caller, page, 'gzip'));
      pages += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const perSecond = (pages / (performance.now() - startedAt)) * 1000;
  return { perSecond, cpuMs: ((way.cpuSeconds() - cpuBefore) / pages) * 1000 };
}

function urlOf(scheme: 'http' | 'https', host: number, page: PageName, coding: 'identity' | 'gzip'): string {
  return `${scheme}://${hosts[host % hosts.length]}${pagePath(page, coding)}`;
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function perWay<T = number>(): Record<WayName, T[]> {
  return Object.fromEntries(wayNames.map((name) => [name, []])) as unknown as Record<WayName, T[]>;
}

/** A different order in each round, so that no way always runs after the same one. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

process.send?.({ ready: true });
process.once('disconnect', () => process.exit());
const [order] = (await once(process, 'message')) as [Order];
process.send?.(await measure(order));
