/** Requests a second with every processor busy, and CPU seconds a request: the relay against `xargs -P` of the bare CLI. */
import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { lockedArgs } from '../src/claude/lock.ts';
import { startTestRelay, type TestRelay } from '../test/support/relay.ts';
import { bareEnv, turnLines, type Bench } from './bare.ts';
import { ask } from './client.ts';
import { settled, treeCpuSeconds } from './proc.ts';
import { median, ratio } from './stats.ts';

type Batch = { perSecond: number; cpuSeconds: number };

export type Saturation = {
  batches: number;
  requestsPerBatch: number;
  processes: number;
  bare: Batch;
  relay: Batch;
  /** Medians of the ratios of batches next to one another. */
  throughputRatio: number;
  cpuRatio: number;
};

export async function measureSaturation(
  bench: Bench,
  { batches, requests, maxMs }: { batches: number; requests: number; maxMs: number },
): Promise<Saturation> {
  const until = performance.now() + maxMs;
  const processes = availableParallelism();
  const relay = await startTestRelay({
    claudeBin: bench.claudeBin,
    settings: {
      GLOBAL_CONCURRENCY: String(processes),
      PER_KEY_CONCURRENCY: String(processes),
      WARM_SPARES: '1',
      QUEUE_MAX: '64',
    },
    env: { ANTHROPIC_BASE_URL: bench.upstreamUrl },
  });
  const seen = { bare: [] as Batch[], relay: [] as Batch[] };
  try {
    for (let batch = 0; batch < batches && (batch < 2 || performance.now() < until); batch += 1) {
      const both = [
        async () => seen.bare.push(await bareBatch(bench, processes, requests)),
        async () => seen.relay.push(await relayBatch(relay, bench, processes, requests)),
      ];
      for (const run of batch % 2 === 0 ? both : both.toReversed()) {
        await settled(relay.process.pid ?? 0);
        await run();
      }
    }
  } finally {
    await relay.stop();
  }
  const of = (list: readonly Batch[], field: keyof Batch): number[] => list.map((batch) => batch[field]);
  const typical = (list: readonly Batch[]): Batch => ({
    perSecond: median(of(list, 'perSecond')),
    cpuSeconds: median(of(list, 'cpuSeconds')),
  });
  return {
    batches: seen.relay.length,
    requestsPerBatch: requests,
    processes,
    bare: typical(seen.bare),
    relay: typical(seen.relay),
    throughputRatio: ratio(of(seen.relay, 'perSecond'), of(seen.bare, 'perSecond')),
    cpuRatio: ratio(of(seen.relay, 'cpuSeconds'), of(seen.bare, 'cpuSeconds')),
  };
}

/** The shell's `times` tells what its children, all of them ended by then, have used. */
async function bareBatch(bench: Bench, processes: number, requests: number): Promise<Batch> {
  const cwd = mkdtempSync(join(bench.scratch, 'xargs-'));
  const input = join(cwd, 'turn.jsonl');
  writeFileSync(input, turnLines(bench));
  const one = `exec "$@" < '${input}' > /dev/null`;
  const script = `seq ${requests} | xargs -P ${processes} -I@@@ sh -c "$@" > /dev/null; times`;
  const startedAt = performance.now();
  const command = [one, 'sh', bench.claudeBin, ...lockedArgs(bench.model)];
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', ...command], {
    env: bareEnv(bench),
    cwd,
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const children = stdout.trim().split('\n').at(-1) ?? '';
  let cpu = 0;
  for (const [, minutes, rest] of children.matchAll(/(\d+)m([\d.]+)s/g))
    cpu += Number(minutes) * 60 + Number(rest);
  return { perSecond: requests / seconds, cpuSeconds: cpu / requests };
}

/** Twice as many callers as slots, so that a slot never waits for a caller. */
async function relayBatch(
  relay: TestRelay,
  bench: Bench,
  processes: number,
  requests: number,
): Promise<Batch> {
  const pid = relay.process.pid ?? 0;
  const cpuBefore = treeCpuSeconds(pid);
  const startedAt = performance.now();
  let left = requests;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await ask(relay, bench);
  };
  await Promise.all(Array.from({ length: processes * 2 }, caller));
  const seconds = (performance.now() - startedAt) / 1000;
  // The spare that is started after the last request is there to be paid for, too.
  await settled(pid);
  return { perSecond: requests / seconds, cpuSeconds: (treeCpuSeconds(pid) - cpuBefore) / requests };
}
