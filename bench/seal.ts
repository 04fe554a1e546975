/** What the seal costs: a new process and a hot one in each way of sealing, next to the same without. */
import { readFileSync } from 'node:fs';
import { descendants, startTestRelay, type TestRelay } from '../test/support/relay.ts';
import { pathOf, ways as sealWays } from '../test/support/seal-ways.ts';
import type { Bench, Timing } from './bare.ts';
import { askStarted } from './client.ts';
import { settled } from './proc.ts';
import { inTurns, type Effort } from './rounds.ts';
import { median } from './stats.ts';
import { firsts } from './timings.ts';

const none = 'no seal';

export type SealRow = {
  name: string;
  /** Medians; the difference is that of the same round. ms. */
  cold: number;
  coldMore: number;
  hot: number;
  hotMore: number;
  /** MB of what stays next to a process of the CLI (proportional set size). */
  memoryMb: number;
};

export type SealCost = { rounds: number; rows: SealRow[]; skipped: string[] };

type Way = { cold: () => Promise<Timing>; hot: () => Promise<Timing>; memoryMb: () => number };

export async function measureSeal(bench: Bench, effort: Effort): Promise<SealCost> {
  const able = sealWays.filter(({ skip }) => skip === false);
  const skipped = sealWays.flatMap(({ name, skip }) => (skip === false ? [] : [`${name}: ${skip}`]));
  const stops: (() => Promise<void> | void)[] = [];
  const ways = new Map<string, Way>();
  try {
    for (const way of able) {
      const { path, remove } = pathOf(way, 'readlink', 'dirname');
      stops.push(remove);
      const start = async (hot: boolean): Promise<TestRelay> => {
        const relay = await startTestRelay({
          claudeBin: bench.claudeBin,
          settings: { SEAL: 'auto', LOG_LEVEL: 'info', HOT_IDLE: '3600', HOT_PROCESSES: hot ? '1' : '0' },
          env: { ...bench.upstream, PATH: path },
        });
        stops.push(() => relay.stop());
        return relay;
      };
      const [cold, hot] = [await start(false), await start(true)];
      const run = (relay: TestRelay, kind: 'spawn' | 'hot') => async (): Promise<Timing> => {
        await settled(relay.process.pid ?? 0);
        return askStarted(kind, relay, bench);
      };
      await run(hot, 'spawn')();
      await run(cold, 'spawn')();
      ways.set(way.name, {
        cold: run(cold, 'spawn'),
        hot: run(hot, 'hot'),
        memoryMb: () => memoryNextToCli(hot.process.pid ?? 0),
      });
    }
    const names = [...ways.keys()];
    const of = (kind: 'cold' | 'hot') =>
      inTurns(names, (name) => ways.get(name)?.[kind]() ?? Promise.reject(new Error(name)), effort);
    const [cold, hot] = [await of('cold'), await of('hot')];
    const rows = names.map((name) => {
      const [mine, base] = [cold[name] ?? [], cold[none] ?? []];
      const [mineHot, baseHot] = [hot[name] ?? [], hot[none] ?? []];
      return {
        name,
        cold: median(firsts(mine)),
        coldMore: difference(firsts(mine), firsts(base)),
        hot: median(firsts(mineHot)),
        hotMore: difference(firsts(mineHot), firsts(baseHot)),
        memoryMb: ways.get(name)?.memoryMb() ?? Number.NaN,
      };
    });
    return { rounds: cold[none]?.length ?? 0, rows, skipped };
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

/** The median of the differences in the same round. */
function difference(values: readonly number[], base: readonly number[]): number {
  return median(values.map((value, round) => value - (base[round] ?? Number.NaN)));
}

function memoryNextToCli(relay: number): number {
  const kilobytes = descendants(relay)
    .filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'bwrap')
    .map((pid) => Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]));
  return (kilobytes.reduce((sum, each) => sum + each, 0) * 1024) / 1e6;
}
