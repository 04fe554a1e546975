/** The pool against seeded random arrivals, deaths, changes of the CLI and time, with processes that are played. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClaudeProcess } from './process.ts';
import { createSpares, type SparesOptions } from './spares.ts';
import { Random } from '../../test/support/random.ts';

type Played = ClaudeProcess & {
  model: string;
  identity: string;
  born: number;
  alive: boolean;
  claimed: boolean;
  die: () => void;
};

/** A pool whose clock, CLI and processes are in the test's hands. */
function pool(overrides: Partial<SparesOptions> = {}) {
  const world = { now: 0, identity: 'one' as string | undefined, room: true };
  const started: Played[] = [];
  const broken: string[] = [];
  const spares = createSpares({
    max: 2,
    maxAgeMs: 60_000,
    defaultModel: 'opus',
    readiness: {
      provedIdentity: () => world.identity,
      provedVersion: () => '1',
      lockBroken: (breach) => broken.push(breach.kind),
    },
    warmUp: false,
    hasRoom: () => world.room,
    now: () => world.now,
    start: (model) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = (): void => {
        if (!played.alive) return;
        played.alive = false;
        resolve();
        played.listener.onExit?.({ code: 0, signal: null });
      };
      const played: Played = {
        pid: undefined,
        listener: { onLine: () => {}, onGarbage: () => {}, onExit: () => {} },
        write: () => {},
        finish: () => {},
        terminate: end,
        kill: end,
        die: end,
        gone: promise,
        stderrTail: () => '',
        model,
        identity: world.identity ?? '',
        born: world.now,
        alive: true,
        claimed: false,
      };
      started.push(played);
      return played;
    },
    ...overrides,
  });
  return {
    world,
    spares,
    started,
    broken,
    parked: () => started.filter((each) => each.alive && !each.claimed),
  };
}

test('simulation: spares stay within bounds and are claimed once, never dead, old or of another CLI', async () => {
  const only = process.env['SIM_SEED'];
  const seeds = only === undefined ? Array.from({ length: 500 }, (_, index) => index + 1) : [Number(only)];
  for (const seed of seeds) {
    try {
      await simulate(seed);
    } catch (error) {
      throw new Error(`seed ${seed} (replay with SIM_SEED=${seed})`, { cause: error });
    }
  }
});

async function simulate(seed: number): Promise<void> {
  const random = new Random(seed);
  const max = Math.floor(random.next() * 5);
  const { world, spares, started, parked } = pool({ max });
  let claims = 0;
  for (let step = 0; step < 120; step++) {
    const what = random.next();
    if (what < 0.35) {
      const model = ['opus', 'sonnet', 'haiku'][Math.floor(random.next() * 3)] ?? 'opus';
      const claimed = spares.claim(model) as Played | undefined;
      if (claimed !== undefined) {
        claims++;
        assert.equal(claimed.claimed, false, 'claimed twice');
        assert.equal(claimed.alive, true, 'claimed dead');
        assert.equal(claimed.model, model);
        assert.equal(claimed.identity, world.identity, 'claimed of another CLI');
        assert.ok(world.now - claimed.born < 60_000, 'claimed too old');
        claimed.claimed = true;
      }
    } else if (what < 0.5) {
      parked()[Math.floor(random.next() * parked().length)]?.die();
    } else if (what < 0.55)
      world.identity = random.next() < 0.3 ? undefined : `cli ${Math.floor(random.next() * 3)}`;
    else if (what < 0.65) world.room = random.next() < 0.7;
    else world.now += Math.floor(random.next() * 20_000);
    const before = started.length;
    spares.reconcile();
    assert.ok(parked().length <= max, `${parked().length} parked of at most ${max}`);
    assert.equal(spares.state().waiting, parked().length);
    if (world.identity === undefined) assert.equal(parked().length, 0, 'parked while the lock is not proved');
    if (!world.room) assert.equal(started.length, before, 'started without room');
  }
  await spares.close();
  assert.equal(parked().length, 0, 'left after close');
  spares.reconcile();
  assert.equal(parked().length, 0, 'started after close');
  assert.ok(max > 0 || claims === 0);
}

test('a CLI that cannot start is not started in a loop', () => {
  const { world, spares, started, parked } = pool({ max: 1 });
  for (let second = 0; second < 60; second++) {
    world.now = second * 1000;
    spares.reconcile();
    parked()[0]?.die();
  }
  assert.ok(started.length <= 7, `${started.length} starts in a minute`);
});

test('the spares follow the requested models', () => {
  const { world, spares, parked } = pool({ max: 2 });
  spares.reconcile();
  assert.deepEqual(
    parked().map((each) => each.model),
    ['opus', 'opus'],
  );
  for (let i = 0; i < 16; i++) {
    world.now += 1000;
    const claimed = spares.claim(i % 2 === 0 ? 'haiku' : 'sonnet') as Played | undefined;
    if (claimed !== undefined) claimed.claimed = true;
    spares.reconcile();
  }
  assert.deepEqual(
    parked()
      .map((each) => each.model)
      .toSorted(),
    ['haiku', 'sonnet'],
  );
});

test('a process that breaks the lock while it waits is killed and reported once', () => {
  const init = { type: 'system', subtype: 'init', tools: [], mcp_servers: [], claude_code_version: '1' };
  const cases: [line: object, reported: string[]][] = [
    [{ type: 'system', subtype: 'hook_started', hook_name: 'SessionStart' }, ['hook']],
    [{ ...init, tools: ['Bash'] }, ['listing']],
    [{ ...init, claude_code_version: '2' }, ['version']],
    [{ type: 'stream_event' }, []],
  ];
  for (const [line, reported] of cases) {
    const { spares, broken, parked, started } = pool({ max: 1 });
    spares.reconcile();
    const [waiting] = parked();
    waiting?.listener.onLine(JSON.stringify(init));
    assert.equal(waiting?.alive, true, 'what it may print does no harm');
    waiting?.listener.onLine(JSON.stringify(line));
    waiting?.listener.onLine(JSON.stringify(line));
    assert.equal(waiting?.alive, false, JSON.stringify(line));
    assert.deepEqual(broken, reported);
    assert.equal(spares.claim('opus'), undefined);
    assert.equal(started.length, 1);
  }
});
