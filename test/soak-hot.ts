/**
 * The second half of `npm run soak`: thousands of turns on the real CLI's hot processes. Prints the memory of the relay and of its
 * processes and counts their starts; exits with status 1 when memory grows, or something is left. SOAK_TURNS sets its length.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { descendants, eventually, mintKey, poster, processTable, startTestRelay } from './support/relay.ts';
import { sessionOf } from './support/without-ids.ts';

const turns = Number(process.env['SOAK_TURNS'] ?? 2000);
const clients = 2;
const keysPerClient = 2;
const hot = 3;
/** A process is replaced after 200 turns, and beyond 384 MiB. */
const mostProcessMiB = 450;

const sessions = new Set<string>();
const relay = await startTestRelay({
  proof: false,
  reply: (request) => {
    sessions.add(sessionOf(request));
    return { kind: 'text', text: `${request.body.length} ${'answer '.repeat(50)}` };
  },
  settings: {
    GLOBAL_CONCURRENCY: String(clients),
    HOT_PROCESSES: String(hot),
    WARM_SPARES: '1',
    WAITING_MEMORY: '2048',
  },
});

function rssMiB(pid: number): number {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
  } catch {
    return 0;
  }
}

const relayPid = relay.process.pid ?? 0;
const cliProcesses = (): number[] =>
  processTable()
    .filter(({ ppid, state }) => ppid === relayPid && state !== 'Z')
    .map(({ pid }) => pid);
let done = 0;
let failed = 0;
let peak = 0;

type Figures = {
  turns: number;
  relayMiB: number;
  largestMiB: number;
  allMiB: number;
  processes: number;
  descriptors: number;
  starts: number;
};
const table: Figures[] = [];

function measure(): Figures {
  const sizes = cliProcesses().map(rssMiB);
  return {
    turns: Math.min(done, turns),
    relayMiB: rssMiB(relayPid),
    largestMiB: Math.max(0, ...sizes),
    allMiB: sizes.reduce((sum, size) => sum + size, 0),
    processes: sizes.length,
    descriptors: readdirSync(`/proc/${relayPid}/fd`).length,
    starts: sessions.size,
  };
}

async function client(index: number): Promise<void> {
  const posts = Array.from({ length: keysPerClient }, (_, key) =>
    poster(relay.url, mintKey(relay.dataDir, `client-${index}-${key}`)),
  );
  while (done < turns) {
    const turn = (done += 1);
    // A client changes its key now and then, so that processes give way to others.
    const post = posts[Math.floor(turn / 100) % keysPerClient];
    const { status = 0 } =
      (await post?.complete({
        prompt: `turn ${turn} ${'x'.repeat((turn % 20) * 1000)}`,
        system: 'Be brief.',
      })) ?? {};
    if (status !== 200) failed += 1;
    if (turn % 50 === 0) {
      const now = measure();
      peak = Math.max(peak, now.largestMiB);
      if (turn % Math.ceil(turns / 10) === 0) table.push(now);
    }
  }
}

const begunAt = performance.now();
try {
  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  const seconds = Math.round((performance.now() - begunAt) / 1000);
  const asked = relay.model.received();
  await eventually('only those that wait are left', () => cliProcesses().length <= hot + 1);
  const after = measure();
  console.log(
    `soak of hot processes: ${turns} turns in ${seconds} s, ${sessions.size} processes, the largest ${peak} MiB`,
  );
  console.table([...table, after]);
  const early = table[1] ?? after;
  const left = descendants(relayPid);
  await relay.stop();
  const failures = [
    failed > 0 ? `${failed} failed turns` : '',
    asked === turns ? '' : `${asked} requests to the model`,
    sessions.size > turns / 20 ? `${sessions.size} starts` : '',
    after.relayMiB > early.relayMiB * 1.25 ? `${after.relayMiB - early.relayMiB} MiB of the relay` : '',
    after.descriptors > early.descriptors + 10 ? `${after.descriptors - early.descriptors} descriptors` : '',
    peak > mostProcessMiB ? `a process of ${peak} MiB` : '',
    left.some((pid) => processTable().some((row) => row.pid === pid && row.state !== 'Z')) ? 'processes' : '',
  ].filter((failure) => failure !== '');
  console.log(failures.length === 0 ? 'nothing is left' : `LEFT: ${failures.join(', ')}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
} finally {
  await relay.stop();
}
