/** Far more requests than the relay can serve: it refuses most of them, answers the rest, and serves others meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test, type TestContext } from 'node:test';
import { needs, runsAll } from './support/needs.ts';
import { eventually, root, startTestRelay, throwaways, type TestRelay } from './support/relay.ts';

let relay: TestRelay;
/** Requests at once. */
const burst = runsAll ? 5000 : 1000;

/** Starts the generator; resolves to what it prints first. */
function load(t: TestContext, kind: string): { child: ChildProcess; said: Promise<Record<string, unknown>> } {
  const child = spawn(
    process.execPath,
    [join(root, 'test/support/load.ts'), kind, relay.url, relay.key, String(burst)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout });
  const said = once(lines, 'line').then(([line]) => JSON.parse(String(line)) as Record<string, unknown>);
  return { child, said };
}

/** Round trips of /health, one after another, until `done` and at least so many; resolves to their number. */
async function healthChecks(done: Promise<unknown>, atLeast: number): Promise<number> {
  const state = { over: false };
  void done.finally(() => (state.over = true));
  let count = 0;
  while (!state.over || count < atLeast) {
    const response = await fetch(`${relay.url}/health`);
    assert.equal(response.status, 200);
    await response.arrayBuffer();
    count += 1;
  }
  return count;
}

async function works(): Promise<void> {
  const { status, body } = await relay.complete({ prompt: 'hi', model: 'fixture-quick' });
  assert.equal(status, 200, JSON.stringify(body));
}

describe('overload', () => {
  before(async () => {
    relay = await startTestRelay({
      proof: false,
      claudeBin: join(root, 'test/fixtures/cli/by-model.sh'),
      settings: { ALLOWED_MODELS: 'opus,fixture-quick', QUEUE_MAX: '16' },
    });
  });
  after(() => relay.stop());

  test(
    '4,096 connections can wait until the relay accepts them, if the system allows as many',
    { skip: needs('ss') },
    () => {
      const { port } = new URL(relay.url);
      const listening = execFileSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' });
      const [, , mayWait] = listening.trim().split(/\s+/);
      const allowed = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
      assert.equal(Number(mayWait), Math.min(4096, allowed));
    },
  );

  for (const [what, kind] of [
    ['1,000 connections that send nothing', 'silent'],
    ['200 bodies that arrive slowly', 'slow-bodies'],
  ] as const) {
    test(`the relay serves others during ${what}`, async (t) => {
      const { child, said } = load(t, kind);
      assert.deepEqual(await said, { ready: true });
      await healthChecks(Promise.resolve(), 50);
      await works();
      child.kill('SIGKILL');
    });
  }

  test(`the relay answers each of ${burst} simultaneous requests, and serves others meanwhile`, async (t) => {
    const { said } = load(t, 'requests');
    const checks = await healthChecks(said, 1);
    const counts = (await said)['counts'] as Record<string, number>;
    t.diagnostic(`${JSON.stringify(counts)}, /health ${checks} times`);
    assert.deepEqual(Object.keys(counts), ['200', '429']);
    assert.equal(Number(counts['200']) + Number(counts['429']), burst);
    // At least those who found a slot or a place in the queue.
    assert.ok(Number(counts['200']) >= 18);
    assert.ok(checks > 1, 'others were served while the requests waited');
    const turns = readFileSync(join(relay.home, 'turns'), 'utf8').split('\n').length - 1;
    assert.ok(turns >= Number(counts['200']), 'every answer has a turn behind it');
    await works();
    await eventually('nothing is left', () => relay.children().length + throwaways(relay).length === 0);
  });
});
