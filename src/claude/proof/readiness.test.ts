import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { RelayError } from '../../errors.ts';
import type { Proof } from './proof.ts';
import { startReadiness, type Readiness, type ReadinessState } from './readiness.ts';

const proof = (...failed: string[]): Proof => ({
  proved: failed.length === 0,
  hotProblem: undefined,
  cliVersion: '1.0.0',
  provedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 1,
  addedBytes: 0,
  addedTexts: [],
  checks: [
    { name: 'starts', ok: true, detail: '' },
    ...failed.map((name) => ({ name, ok: false, detail: '' })),
  ],
});

type World = {
  readiness: Readiness;
  phases: string[];
  /** Proofs that were begun. */
  begun: () => number;
  /** Ends the proof that runs. */
  end: (result: Proof) => Promise<void>;
  file: { identity: string | undefined };
};

const listing = { kind: 'listing', found: ['tools: Bash'] } as const;

let open: (() => Promise<void>) | undefined;
afterEach(async () => {
  await open?.();
  open = undefined;
});

function world(retryMs?: number): World {
  const file: World['file'] = { identity: 'v1' };
  const phases: string[] = [];
  let begun = 0;
  let pending: PromiseWithResolvers<Proof> | undefined;
  const readiness = startReadiness({
    identity: () => file.identity,
    prove: (signal) => {
      begun += 1;
      pending = Promise.withResolvers<Proof>();
      const { promise, resolve } = pending;
      signal.addEventListener('abort', () => resolve(proof('runs')));
      return promise;
    },
    ...(retryMs === undefined ? {} : { retryMs }),
  });
  readiness.onChange((state: ReadinessState) => phases.push(state.phase));
  open = () => readiness.close();
  const end = async (result: Proof): Promise<void> => {
    pending?.resolve(result);
    await readiness.settled();
  };
  return { readiness, phases, begun: () => begun, end, file };
}

function reason(readiness: Readiness): string {
  try {
    readiness.check();
  } catch (error) {
    assert.ok(error instanceof RelayError && error.code === 'not_ready');
    return error.message;
  }
  return 'ready';
}

test('the relay is not ready until the proof passes', async () => {
  const { readiness, phases, end } = world();
  assert.match(reason(readiness), /being proved/);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
  assert.deepEqual(phases, ['proving', 'proved']);
});

test('a failed proof is reported by its checks and tried again', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { readiness, end, begun } = world(20);
  await end(proof('offers-no-tool', 'no-skill'));
  assert.match(reason(readiness), /not proved: offers-no-tool, no-skill/);
  mock.timers.tick(20);
  assert.equal(begun(), 2);
  // The failure is reported until the next proof ends.
  assert.match(reason(readiness), /offers-no-tool/);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('a changed file is refused at once and proved', async () => {
  const { readiness, file, end, begun } = world();
  await end(proof());
  file.identity = 'v2';
  assert.match(reason(readiness), /has changed/);
  assert.match(reason(readiness), /has changed/);
  assert.equal(begun(), 2);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('a file that changes during the proof is not proved', async () => {
  const { readiness, file, end, begun } = world();
  file.identity = 'v2';
  assert.notEqual(reason(readiness), 'ready');
  await end(proof());
  assert.match(reason(readiness), /changed while it was examined/);
  assert.equal(begun(), 2, 'the first who asks starts the next');
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('a missing file is not ready, and is proved when it comes back', async () => {
  const { readiness, file, end, begun } = world();
  await end(proof());
  file.identity = undefined;
  assert.notEqual(reason(readiness), 'ready');
  await readiness.settled();
  assert.match(reason(readiness), /does not exist any more/);
  assert.equal(begun(), 1);
  file.identity = 'v1';
  assert.notEqual(reason(readiness), 'ready');
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('a turn that breaks the lock ends readiness until the proof passes again', async () => {
  const { readiness, end, begun, phases } = world();
  await end(proof());
  readiness.lockBroken(listing);
  assert.match(reason(readiness), /a turn listed something that is not allowed \(tools: Bash\)/);
  assert.equal(begun(), 2);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
  assert.deepEqual(phases, ['proving', 'proved', 'failed', 'proved']);
});

test('a turn that breaks the lock during a proof outlives that proof', async () => {
  const { readiness, end, begun } = world();
  readiness.lockBroken(listing);
  await end(proof());
  assert.notEqual(reason(readiness), 'ready');
  assert.equal(begun(), 2);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('a hook ends readiness for good, whatever is proved or changed after it', async () => {
  const { readiness, end, begun, file } = world(1);
  await end(proof());
  readiness.lockBroken({ kind: 'hook', found: ['SessionStart'] });
  readiness.lockBroken({ kind: 'version', found: ['version 2, proved 1'] });
  for (const identity of ['v1', 'v2']) {
    file.identity = identity;
    assert.notEqual(reason(readiness), 'ready');
    await readiness.settled();
  }
  assert.equal(begun(), 1, 'no proof would run the hook again');
});

test('a hook that runs in the proof is not run again by another proof', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { readiness, end, begun } = world(1);
  await end(proof('no-hook-ran'));
  mock.timers.tick(1_000_000);
  assert.match(reason(readiness), /no-hook-ran/);
  assert.equal(begun(), 1);
});

test('the same listing after a proof that passed waits for a change of the file', async () => {
  const { readiness, end, begun, file } = world(1);
  await end(proof());
  readiness.lockBroken(listing);
  await end(proof());
  assert.equal(reason(readiness), 'ready');
  readiness.lockBroken(listing);
  assert.match(reason(readiness), /again after the lock had been proved/);
  assert.equal(begun(), 2, 'it is not proved in a circle');
  file.identity = 'v2';
  assert.notEqual(reason(readiness), 'ready');
  await end(proof());
  assert.equal(reason(readiness), 'ready');
});

test('another version is refused until it is proved', async () => {
  const { readiness, end } = world();
  assert.equal(readiness.provedVersion(), undefined);
  await end(proof());
  assert.equal(readiness.provedVersion(), '1.0.0');
  readiness.lockBroken({ kind: 'version', found: ['version 2.0.0, proved 1.0.0'] });
  assert.equal(readiness.provedVersion(), undefined);
  await end({ ...proof(), cliVersion: '2.0.0' });
  assert.equal(readiness.provedVersion(), '2.0.0');
});

test('closing ends the running proof and starts no other', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { readiness, begun, phases } = world(1);
  await readiness.close();
  mock.timers.tick(1_000_000);
  assert.equal(begun(), 1);
  assert.deepEqual(phases, ['proving']);
});

test('a CLI that must not serve a second request is ready, and reports why', async () => {
  const { readiness, end, file } = world();
  assert.equal(readiness.hotProblem(), 'the lock is not proved');
  await end({ ...proof(), hotProblem: 'it keeps something' });
  assert.equal(reason(readiness), 'ready');
  assert.equal(readiness.hotProblem(), 'it keeps something');
  file.identity = 'v2';
  assert.notEqual(reason(readiness), 'ready');
  assert.equal(readiness.hotProblem(), 'the lock is not proved');
  await end(proof());
  assert.equal(reason(readiness), 'ready');
  assert.equal(readiness.hotProblem(), undefined);
  readiness.lockBroken(listing);
  assert.equal(readiness.hotProblem(), 'the lock is not proved');
});
