/** CPU seconds a request, each way to get the answer. */
import { inTurns } from './rounds.ts';
import { median, ratio } from './stats.ts';
import { wayNames, type Way, type WayName, type Ways } from './ways.ts';

export type Cpu = {
  batches: number;
  requestsPerBatch: number;
  /** Medians: of the batches, and of their ratios in the same round. */
  rows: { name: WayName; cpuSeconds: number; toBare: number }[];
};

export type CpuEffort = { batches: number; requests: number };

export async function measureCpu(ways: Ways, { batches, requests }: CpuEffort): Promise<Cpu> {
  const effort = { rounds: batches, maxMs: Number.POSITIVE_INFINITY };
  const seen = await inTurns(wayNames, (name) => runBatch(ways[name], requests), effort);
  const rows = wayNames.map((name) => ({
    name,
    cpuSeconds: median(seen[name]),
    toBare: ratio(seen[name], seen.bare),
  }));
  return { batches, requestsPerBatch: requests, rows };
}

/** From rest to rest, so that each process is paid for in the batch that made it run. */
async function runBatch(way: Way, requests: number): Promise<number> {
  await way.rest();
  const before = way.cpuSeconds();
  for (let request = 0; request < requests; request += 1) await way.run();
  await way.rest();
  return (way.cpuSeconds() - before) / requests;
}
