/** Time to first text, time to the whole answer and CPU time, each way to get it. */
import { measureAdded, type Added } from './added.ts';
import type { Bench } from './bare.ts';
import { measureCpu, type Cpu, type CpuEffort } from './cpu.ts';
import { inTurns, type Effort } from './rounds.ts';
import { ratio } from './stats.ts';
import { firsts, timedRows, wholes, type TimedRow } from './timings.ts';
import { startWays, wayNames, type WayName } from './ways.ts';

type LatencyRow = TimedRow<WayName> & { firstToParked: number; wholeToParked: number };

export type Latency = { rounds: number; rows: LatencyRow[]; cpu: Cpu; added: Added };

export async function measureLatency(bench: Bench, effort: Effort & { cpu: CpuEffort }): Promise<Latency> {
  const added = await measureAdded(bench);
  const { ways, stop } = await startWays(bench);
  try {
    const seen = await inTurns(wayNames, (name) => ways[name].run(), effort);
    const rows = timedRows(seen, seen.bare).map((row) =>
      Object.assign(row, {
        firstToParked: ratio(firsts(seen[row.name]), firsts(seen.parked)),
        wholeToParked: ratio(wholes(seen[row.name]), wholes(seen.parked)),
      }),
    );
    return { rounds: seen.bare.length, rows, cpu: await measureCpu(ways, effort.cpu), added };
  } finally {
    await stop();
  }
}
