/** The HTTP side alone, and how it grows with keys and ledger rows. */
import { sleep } from '../test/support/relay.ts';
import type { Bench } from './bare.ts';
import { measureRun, startHttpRelay, startPlainServer, type HttpTarget, type Run } from './http-target.ts';
import { residentMb, settled } from './proc.ts';
import { median, ratio } from './stats.ts';

type Memory = { idleMb: number; loadMb: number; afterMb: number; afterSeconds: number };

export type HttpSide = {
  /** By connections: the relay, and the smallest server of the same runtime. */
  runs: { connections: number; relay: Run; plain: Run }[];
  /** What one core can serve: the reciprocal of the CPU time of one request at 32 connections. */
  perSecondPerCore: number;
  memory: Memory;
};

export type HttpEffort = { rounds: number; seconds: number; afterSeconds: number; quick: boolean };

const concurrencies = [1, 32];

export async function measureHttpSide(bench: Bench, effort: HttpEffort): Promise<HttpSide> {
  const relay = await startHttpRelay(bench, 10, 0);
  const plain = await startPlainServer();
  try {
    await settled(relay.pid);
    await sleep(10_000);
    const idleMb = residentMb(relay.pid);
    for (const target of [plain, relay]) await measureRun(target, 32, effort.seconds);
    const seen = concurrencies.map((connections) => ({
      connections,
      relay: [] as Run[],
      plain: [] as Run[],
    }));
    let loadMb = residentMb(relay.pid);
    for (let round = 0; round < effort.rounds; round += 1) {
      for (const runs of seen) {
        runs.plain.push(await measureRun(plain, runs.connections, effort.seconds));
        runs.relay.push(await measureRun(relay, runs.connections, effort.seconds));
        loadMb = Math.max(loadMb, residentMb(relay.pid));
      }
    }
    await sleep(effort.afterSeconds * 1000);
    const afterMb = residentMb(relay.pid);
    const runs = seen.map((each) => ({
      connections: each.connections,
      relay: typical(each.relay),
      plain: typical(each.plain),
    }));
    return {
      runs,
      perSecondPerCore: 1e6 / (runs.at(-1)?.relay.cpuMicrosPerRequest ?? Number.NaN),
      memory: { idleMb, loadMb, afterMb, afterSeconds: effort.afterSeconds },
    };
  } finally {
    await Promise.all([relay.stop(), plain.stop()]);
  }
}

export type GrowthRow = { keys: number; rows: number; run: Run; cpuToFirst: number; p50ToFirst: number };

const sizes = [
  { keys: 1, rows: 0 },
  { keys: 100, rows: 0 },
  { keys: 10_000, rows: 0 },
  { keys: 1, rows: 1_000_000 },
  { keys: 10_000, rows: 1_000_000 },
] as const;

/** With `--quick`, the sizes that differ from the first in one thing only. */
const quickSizes = sizes.slice(0, 4);

/** All sizes run side by side and are loaded one after the other, round by round, so that they see the same machine. */
export async function measureGrowth(bench: Bench, effort: HttpEffort): Promise<GrowthRow[]> {
  const measured: { keys: number; rows: number; target: HttpTarget; runs: Run[] }[] = [];
  try {
    await Promise.all(
      (effort.quick ? quickSizes : sizes).map(async ({ keys, rows }, index) => {
        measured[index] = { keys, rows, target: await startHttpRelay(bench, keys, rows), runs: [] };
      }),
    );
    // Once unmeasured: the first requests of each key find nothing in memory.
    for (const { target } of measured) await measureRun(target, 8, effort.seconds);
    for (let round = 0; round < effort.rounds; round += 1) {
      for (const { target, runs } of measured) runs.push(await measureRun(target, 8, effort.seconds));
    }
  } finally {
    await Promise.all(measured.map(({ target }) => target.stop()));
  }
  const first = measured[0]?.runs ?? [];
  return measured.map(({ keys, rows, runs }) => ({
    keys,
    rows,
    run: typical(runs),
    cpuToFirst: ratio(of(runs, 'cpuMicrosPerRequest'), of(first, 'cpuMicrosPerRequest')),
    p50ToFirst: ratio(of(runs, 'p50Ms'), of(first, 'p50Ms')),
  }));
}

function of(runs: readonly Run[], field: keyof Run): number[] {
  return runs.map((run) => run[field]);
}

function typical(runs: readonly Run[]): Run {
  return {
    perSecond: median(of(runs, 'perSecond')),
    p50Ms: median(of(runs, 'p50Ms')),
    p99Ms: median(of(runs, 'p99Ms')),
    cpuMicrosPerRequest: median(of(runs, 'cpuMicrosPerRequest')),
  };
}
