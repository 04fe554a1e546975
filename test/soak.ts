/**
 * `npm run soak`: minutes of mixed good and faulty traffic on a CLI that misbehaves; then nothing may be left of it. Prints what it
 * measured and exits with 1 when a slot, a process, a file descriptor or memory did not come back. SOAK_MINUTES sets its length.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  descendants,
  eventually,
  root,
  sleep,
  startTestRelay,
  throwaways,
  type TestRelay,
} from './support/relay.ts';

const minutes = Number(process.env['SOAK_MINUTES'] ?? 5);
const warmUpMs = 100_000;
const workers = 12;
const ways = [
  'quick',
  'quick',
  'quick',
  'nothing',
  'dies',
  'dies-in-the-middle',
  'half-a-line',
  'garbage',
  'split-utf8',
  'floods-stderr',
  'hangs-at-once',
  'hangs-and-ignores-sigterm',
  'leaves-a-grandchild',
  'leaves-one-outside-the-group',
  'ends-without-a-result',
  'slow',
];
const models = [...new Set(ways)].map((way) => `fixture-${way}`);

type Figures = {
  rssMiB: number;
  descriptors: number;
  processes: number;
  running: number;
  directories: number;
};

const relay = await startTestRelay({
  claudeBin: join(root, 'test/fixtures/cli/by-model.sh'),
  settings: {
    ALLOWED_MODELS: models.join(','),
    DEFAULT_MODEL: 'fixture-quick',
    GLOBAL_CONCURRENCY: '4',
    QUEUE_MAX: '16',
    QUEUE_TIMEOUT: '5',
    REQ_TIMEOUT: '2',
    WARM_SPARES: '0',
  },
});
const answers = new Map<string, number>();
const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);
let state = seed;

/** A number below `most`, the same sequence for the same seed. */
function pick(most: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * most);
}

function count(what: string): void {
  answers.set(what, (answers.get(what) ?? 0) + 1);
}

async function one(): Promise<void> {
  const model = `fixture-${ways[pick(ways.length)] ?? 'quick'}`;
  const body = JSON.stringify({ prompt: `soak ${'x'.repeat(pick(2000))}`, model });
  switch (pick(12)) {
    case 0:
      return post({ method: 'POST', body: '{"prompt":', headers: headers(relay.key) });
    case 1:
      return post({ method: 'POST', body, headers: headers('crk_wrong') });
    case 2:
      return post({ method: 'POST', body: 'x'.repeat(1_200_000), headers: headers(relay.key) });
    case 3:
      return post({
        method: 'POST',
        body,
        headers: headers(relay.key),
        signal: AbortSignal.timeout(20 + pick(500)),
      });
    case 4:
      return halfARequest(body);
    default:
      return post({ method: 'POST', body, headers: headers(relay.key) });
  }
}

function headers(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
}

async function post(init: RequestInit): Promise<void> {
  try {
    const response = await fetch(`${relay.url}/v1/complete`, init);
    const { error = 'ok' } = (await response.json()) as { error?: string };
    count(`${response.status} ${error}`);
  } catch {
    count('cut by the client');
  }
}

/** A body that is announced and never comes. */
async function halfARequest(body: string): Promise<void> {
  const { hostname, port } = new URL(relay.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(
    `POST /v1/complete HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${relay.key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length + 10}\r\n\r\n${body}`,
  );
  await sleep(pick(1000));
  socket.destroy();
  count('half a request');
}

async function traffic(ms: number): Promise<void> {
  const until = Date.now() + ms;
  const worker = async (): Promise<void> => {
    while (Date.now() < until) await one();
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

async function figures(on: TestRelay): Promise<Figures> {
  const pid = on.process.pid ?? 0;
  const usage = (await (await fetch(`${on.url}/v1/usage`, { headers: headers(on.key) })).json()) as {
    limits: { concurrency: { running: number } };
  };
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return {
    rssMiB: Math.round(Number(rss) / 1024),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    processes: descendants(pid).length,
    running: usage.limits.concurrency.running,
    directories: throwaways(on).length,
  };
}

async function settled(): Promise<Figures> {
  await eventually('no process and no slot in use', async () => {
    const now = await figures(relay);
    return now.processes === 0 && now.running === 0;
  }).catch(() => {});
  await sleep(12_000);
  return figures(relay);
}

try {
  await traffic(warmUpMs);
  const before = await settled();
  answers.clear();
  await traffic(minutes * 60_000);
  const during = await figures(relay);
  const after = await settled();
  console.log(`soak: ${minutes} minutes, ${workers} clients, seed ${seed}`);
  console.table({ before, 'at the end of the load': during, 'after it': after });
  console.table(Object.fromEntries([...answers].toSorted(([a], [b]) => a.localeCompare(b))));
  const failures = [
    after.running > 0 ? `${after.running} slots` : '',
    after.processes > 0 ? `${after.processes} processes` : '',
    after.directories > 0 ? `${after.directories} directories` : '',
    after.descriptors > before.descriptors * 1.1
      ? `${after.descriptors - before.descriptors} descriptors`
      : '',
    after.rssMiB > before.rssMiB * 1.1 ? `${after.rssMiB - before.rssMiB} MiB` : '',
    answers.has('500 internal') ? `${answers.get('500 internal')} defects` : '',
  ].filter((failure) => failure !== '');
  console.log(failures.length === 0 ? 'nothing is left' : `LEFT: ${failures.join(', ')}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
} finally {
  await relay.stop();
}
