/** The ways to the same answer: a process a request, a relay cold, warm and hot, and a parked process by hand. */
import { startTestRelay, type TestRelay } from '../test/support/relay.ts';
import { drive, park, type Bench, type Timing } from './bare.ts';
import { askStarted } from './client.ts';
import { reapedCpuSeconds, settled, treeCpuSeconds } from './proc.ts';

const settings = {
  cold: { HOT_PROCESSES: '0', WARM_SPARES: '0' },
  warm: { HOT_PROCESSES: '0', WARM_SPARES: '1' },
  // No process ends while the other ways have their turns.
  hot: { HOT_PROCESSES: '3', HOT_IDLE: '300', WARM_SPARES: '0' },
} as const;

type RelayWay = keyof typeof settings;

export const wayNames = ['bare', 'cold', 'warm', 'hot', 'parked'] as const satisfies (
  | RelayWay
  | 'bare'
  | 'parked'
)[];
export type WayName = (typeof wayNames)[number];

export type Way = {
  /** One request; what else runs for this way has come to rest before its clock starts. */
  run: () => Promise<Timing>;
  rest: () => Promise<void>;
  /** CPU seconds so far of all that this way has started; a relay's own are among them. */
  cpuSeconds: () => number;
};

export type Ways = Record<WayName, Way>;

/** Each way has answered once before this resolves. */
export async function startWays(bench: Bench): Promise<{ ways: Ways; stop: () => Promise<void> }> {
  const [cold, warm, hot] = await Promise.all([
    startRelay('cold', bench),
    startRelay('warm', bench),
    startRelay('hot', bench),
  ]);
  const ways: Ways = {
    bare: byHand(() => {
      const startedAt = performance.now();
      return drive(park(bench), bench, startedAt);
    }),
    cold: throughRelay(cold, async () => {
      await settled(pidOf(cold));
      return askStarted('spawn', cold, bench);
    }),
    warm: throughRelay(warm, async () => {
      await spareParked(warm);
      const timing = await askStarted('claim', warm, bench);
      // Its replacement must not run during the next measurement.
      await spareParked(warm);
      return timing;
    }),
    hot: throughRelay(hot, () => askHot(hot, bench)),
    parked: byHand(async () => {
      const child = park(bench);
      await settled(child.pid ?? 0);
      return drive(child, bench, performance.now());
    }),
  };
  const stop = async (): Promise<void> => {
    await Promise.all([cold.stop(), warm.stop(), hot.stop()]);
  };
  try {
    await startHotProcess(hot, bench);
    for (const way of Object.values(ways)) await way.run();
  } catch (error) {
    await stop();
    throw error;
  }
  return { ways, stop };
}

export function startRelay(name: RelayWay, bench: Bench): Promise<TestRelay> {
  return startTestRelay({
    claudeBin: bench.claudeBin,
    settings: { ...settings[name], LOG_LEVEL: 'info' },
    env: bench.upstream,
  });
}

/** By the request that starts a process, which the next one finds at rest. */
export async function startHotProcess(relay: TestRelay, bench: Bench): Promise<void> {
  await askStarted('spawn', relay, bench);
}

export async function askHot(relay: TestRelay, bench: Bench): Promise<Timing> {
  await settled(pidOf(relay));
  return askStarted('hot', relay, bench);
}

/** Its process has ended when it resolves; no other child of the bench ends in its turn. */
function byHand(run: Way['run']): Way {
  return { run, rest: async () => {}, cpuSeconds: () => reapedCpuSeconds(process.pid) };
}

function throughRelay(relay: TestRelay, run: Way['run']): Way {
  const pid = pidOf(relay);
  return { run, rest: () => settled(pid), cpuSeconds: () => treeCpuSeconds(pid) };
}

function pidOf(relay: TestRelay): number {
  return relay.process.pid ?? 0;
}

/** Waits until the relay has a spare and the spare has come to rest. */
async function spareParked(relay: TestRelay): Promise<void> {
  for (const until = Date.now() + 20_000; Date.now() < until;) {
    await settled(pidOf(relay));
    const ready = (await (await fetch(`${relay.url}/ready`)).json()) as { spares: { waiting: number } };
    if (ready.spares.waiting === 1) return;
  }
  throw new Error('no spare was parked');
}
