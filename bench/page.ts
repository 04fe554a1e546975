/** The owner's page over a large ledger: the time of each view, and what requests notice of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openCodes } from '../src/owner/codes.ts';
import { viewNames } from '../src/owner/layout.ts';
import { openStore } from '../src/store/sqlite.ts';
import { freePort } from '../test/support/ports.ts';
import type { Bench } from './bare.ts';
import { measureRun, startHttpRelay, type Run } from './http-target.ts';
import type { HttpEffort } from './http.ts';
import { median, percentile, ratio } from './stats.ts';

export type PageCost = {
  rows: number;
  views: { name: string; medianMs: number; p99Ms: number; times: number }[];
  /** Medians of the rounds, at 8 connections; `open`: while each view is open in a tab, and follows. */
  closed: Pick<Run, 'p50Ms' | 'p99Ms'>;
  open: Pick<Run, 'p50Ms' | 'p99Ms'>;
  /** Median of the ratios of the same round. */
  p99ToClosed: number;
};

const rows = 1_000_000;
/** The doctor's view starts programs, and is not a question to the ledger. */
const plain = viewNames.filter((name) => name !== 'doctor');
/** The forms of a view that have the most to read. */
const heavy = [
  'use?period=30d&stack=key',
  'use?period=30d&stack=model',
  'requests?key=old0&route=fetch',
  'requests?status=5&route=fetch',
  'trouble?period=7d',
];

export async function measurePage(bench: Bench, effort: HttpEffort): Promise<PageCost> {
  const port = await freePort();
  const relay = await startHttpRelay(bench, 20, rows, { ADMIN_PORT: String(port) });
  try {
    const { base, cookie } = await signIn(port, relay.dataDir);
    const get = async (view: string): Promise<{ tookMs: number; text: string }> => {
      const startedAt = performance.now();
      const answer = await fetch(base + view, { headers: { cookie } });
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(`${view}: ${answer.status}`);
      return { tookMs: performance.now() - startedAt, text };
    };
    await measureRun(relay, 8, effort.seconds);
    const times = effort.quick ? 10 : 100;
    const views: PageCost['views'] = [];
    for (const name of [...plain, ...heavy]) {
      const took: number[] = [];
      for (let i = 0; i < times; i += 1) took.push((await get(name)).tookMs);
      views.push({ name, medianMs: median(took), p99Ms: percentile(took, 0.99), times });
    }
    const closed: Run[] = [];
    const open: Run[] = [];
    for (let round = 0; round < effort.rounds; round += 1) {
      closed.push(await measureRun(relay, 8, effort.seconds));
      const tabs = new AbortController();
      const following = plain.map(async (view) => {
        for (let refreshS = 1; refreshS > 0 && !tabs.signal.aborted;) {
          refreshS = Number(/data-refresh="(\d+)"/.exec((await get(view)).text)?.[1]);
          await sleep(refreshS * 1000, undefined, { signal: tabs.signal }).catch(() => {});
        }
      });
      open.push(await measureRun(relay, 8, effort.seconds));
      tabs.abort();
      await Promise.all(following);
    }
    const of = (runs: readonly Run[], field: 'p50Ms' | 'p99Ms'): number[] => runs.map((run) => run[field]);
    const typical = (runs: readonly Run[]) => ({
      p50Ms: median(of(runs, 'p50Ms')),
      p99Ms: median(of(runs, 'p99Ms')),
    });
    const p99ToClosed = ratio(of(open, 'p99Ms'), of(closed, 'p99Ms'));
    return { rows, views, closed: typical(closed), open: typical(open), p99ToClosed };
  } finally {
    await relay.stop();
  }
}

/** As `claude-relay dashboard` and the browser do. */
async function signIn(port: number, dataDir: string): Promise<{ base: string; cookie: string }> {
  const store = openStore(dataDir);
  const { code } = openCodes(store, port).make();
  store.close();
  const origin = `http://127.0.0.1:${port}`;
  const answer = await fetch(`${origin}/open?code=${code}`);
  const path = /url=(\/s\/[^/]+\/)/.exec(await answer.text())?.[1] ?? '';
  return { base: origin + path, cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? '' };
}
