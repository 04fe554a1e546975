/** Time to first text and to the whole answer: a process a request, the relay cold and warm, and a parked process by hand. */
import { startTestRelay, type TestRelay } from '../test/support/relay.ts';
import { drive, park, type Bench, type Timing } from './bare.ts';
import { ask } from './client.ts';
import { settled } from './proc.ts';
import { ratio, spread, type Spread } from './stats.ts';

const rows = ['bare', 'cold', 'warm', 'parked'] as const;
type Row = (typeof rows)[number];

type LatencyRow = {
  name: Row;
  first: Spread;
  whole: Spread;
  /** Median of the ratios in the same round. */
  firstToBare: number;
  firstToParked: number;
  wholeToBare: number;
  wholeToParked: number;
};

export type Latency = { rounds: number; rows: LatencyRow[] };

type Effort = { rounds: number; maxMs: number };

export async function measureLatency(bench: Bench, effort: Effort): Promise<Latency> {
  const relay = (spares: string): Promise<TestRelay> =>
    startTestRelay({
      claudeBin: bench.claudeBin,
      settings: { WARM_SPARES: spares, LOG_LEVEL: 'info' },
      env: { ANTHROPIC_BASE_URL: bench.upstreamUrl },
    });
  const until = performance.now() + effort.maxMs;
  const [cold, warm] = await Promise.all([relay('0'), relay('1')]);
  const ways: Record<Row, () => Promise<Timing>> = {
    bare: () => {
      const startedAt = performance.now();
      return drive(park(bench), bench, startedAt);
    },
    cold: async () => {
      await settled(cold.process.pid ?? 0);
      return ask(cold, bench);
    },
    warm: async () => {
      await spareParked(warm);
      const timing = await ask(warm, bench);
      // Its replacement must not run during the next measurement.
      await spareParked(warm);
      return timing;
    },
    parked: async () => {
      const child = park(bench);
      await settled(child.pid ?? 0);
      return drive(child, bench, performance.now());
    },
  };
  try {
    for (const row of rows) await ways[row]();
    return await interleave(ways, effort.rounds, until);
  } finally {
    await Promise.all([cold.stop(), warm.stop()]);
  }
}

/** Every round measures each way once, each time beginning with another one. */
async function interleave(
  ways: Record<Row, () => Promise<Timing>>,
  rounds: number,
  until: number,
): Promise<Latency> {
  const seen: Record<Row, Timing[]> = { bare: [], cold: [], warm: [], parked: [] };
  let round = 0;
  for (; round < rounds && (round < 3 || performance.now() < until); round += 1) {
    for (let turn = 0; turn < rows.length; turn += 1) {
      const row = rows[(round + turn) % rows.length] ?? 'bare';
      seen[row].push(await ways[row]());
    }
  }
  const firsts = (row: Row): number[] => seen[row].map(({ first }) => first);
  const wholes = (row: Row): number[] => seen[row].map(({ whole }) => whole);
  return {
    rounds: round,
    rows: rows.map((name) => ({
      name,
      first: spread(firsts(name)),
      whole: spread(wholes(name)),
      firstToBare: ratio(firsts(name), firsts('bare')),
      firstToParked: ratio(firsts(name), firsts('parked')),
      wholeToBare: ratio(wholes(name), wholes('bare')),
      wholeToParked: ratio(wholes(name), wholes('parked')),
    })),
  };
}

/** Waits until the relay has a spare and the spare has come to rest. */
async function spareParked(relay: TestRelay): Promise<void> {
  for (const until = Date.now() + 20_000; Date.now() < until;) {
    await settled(relay.process.pid ?? 0);
    const ready = (await (await fetch(`${relay.url}/ready`)).json()) as { spares: { waiting: number } };
    if (ready.spares.waiting === 1) return;
  }
  throw new Error('no spare was parked');
}
