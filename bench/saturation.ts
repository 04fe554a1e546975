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
import { inTurns } from './rounds.ts';
import { median, ratio } from './stats.ts';

/** `singleUse`: a relay whose processes serve one request each. `hot`: one whose processes rest for their key's next request. */
const rowNames = ['bare', 'singleUse', 'hot'] as const;
type RowName = (typeof rowNames)[number];

type Batch = {
  perSecond: number;
  cpuSeconds: number;
  /** The part of its requests that began on a resting process. */
  hotShare: number;
};

export type Saturation = {
  batches: number;
  requestsPerBatch: number;
  processes: number;
  /** Medians: of the batches, and of their ratios to the bare CLI's in the same round. */
  rows: (Batch & { name: RowName; throughputRatio: number; cpuRatio: number })[];
};

type SaturationEffort = { batches: number; requests: number; maxMs: number };

/** A batch of the hot relay has so many times the requests, and takes about as long as the others. */
export const hotFactor = 5;

export async function measureSaturation(
  bench: Bench,
  { batches, requests, maxMs }: SaturationEffort,
): Promise<Saturation> {
  const processes = availableParallelism();
  const start = (settings: Record<string, string>): Promise<TestRelay> =>
    startTestRelay({
      claudeBin: bench.claudeBin,
      settings: {
        GLOBAL_CONCURRENCY: String(processes),
        PER_KEY_CONCURRENCY: String(processes),
        QUEUE_MAX: '64',
        ...settings,
      },
      env: bench.upstream,
    });
  const [singleUse, hot] = await Promise.all([
    start({ HOT_PROCESSES: '0', WARM_SPARES: '1' }),
    start({ HOT_PROCESSES: String(processes), HOT_IDLE: '300', WARM_SPARES: '0' }),
  ]);
  const run: Record<RowName, () => Promise<Batch>> = {
    bare: () => bareBatch(bench, processes, requests),
    singleUse: () => relayBatch(singleUse, bench, processes, requests),
    hot: () => relayBatch(hot, bench, processes, requests * hotFactor),
  };
  const fromRest = async (name: RowName): Promise<Batch> => {
    for (const relay of [singleUse, hot]) await settled(relay.process.pid ?? 0);
    return run[name]();
  };
  try {
    // The processes that the first measured batch finds at rest.
    await relayBatch(hot, bench, processes, processes * 2);
    const seen = await inTurns(rowNames, fromRest, { rounds: batches, maxMs }, 2);
    const of = (name: RowName, field: keyof Batch): number[] => seen[name].map((batch) => batch[field]);
    const rows = rowNames.map((name) => ({
      name,
      perSecond: median(of(name, 'perSecond')),
      cpuSeconds: median(of(name, 'cpuSeconds')),
      hotShare: median(of(name, 'hotShare')),
      throughputRatio: ratio(of(name, 'perSecond'), of('bare', 'perSecond')),
      cpuRatio: ratio(of(name, 'cpuSeconds'), of('bare', 'cpuSeconds')),
    }));
    return { batches: seen.bare.length, requestsPerBatch: requests, processes, rows };
  } finally {
    await Promise.all([singleUse.stop(), hot.stop()]);
  }
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
  return { perSecond: requests / seconds, cpuSeconds: cpu / requests, hotShare: 0 };
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
  let onHot = 0;
  const caller = async (): Promise<void> => {
    while (left-- > 0) {
      const { start } = await ask(relay, bench);
      if (start === 'hot') onHot += 1;
    }
  };
  await Promise.all(Array.from({ length: processes * 2 }, caller));
  const seconds = (performance.now() - startedAt) / 1000;
  // The spare that is started after the last request is there to be paid for, too.
  await settled(pid);
  const cpuSeconds = (treeCpuSeconds(pid) - cpuBefore) / requests;
  return { perSecond: requests / seconds, cpuSeconds, hotShare: onHot / requests };
}
