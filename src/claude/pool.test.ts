/** The pool against seeded random requests, deaths, revocations, changes of the CLI, memory and time, with processes that are played. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { Random } from '../../test/support/random.ts';
import type { LockedProcess } from './locked-process.ts';
import { createPool, type App, type Claimed, type PoolOptions } from './pool.ts';
import type { ProcessPast } from './turn.ts';
import { Valve } from './valve/valve.ts';

type Played = LockedProcess & {
  pid: number;
  model: string;
  identity: string;
  born: number;
  bytes: number;
  /** Where it is, as the test sees it. `ending`: it was told to end. */
  at: 'waiting' | 'claimed' | 'ending' | 'gone';
  /** Whose requests it has served, and how it came to rest. */
  app?: App;
  standing?: string | undefined;
  restedAt?: number;
  past?: ProcessPast;
  written: string[];
  say: (line: object) => void;
  die: () => void;
};

const mebibyte = 2 ** 20;
const limits = { spares: 2, hot: 3, hotIdleMs: 30_000, maxAgeMs: 60_000, memoryBytes: 1000 * mebibyte };

/** A pool whose clock, CLI, keys, memory and processes are in the test's hands. */
function world(overrides: Partial<PoolOptions> = {}) {
  const state = {
    now: 0,
    identity: 'one' as string | undefined,
    room: true,
    hotProblem: undefined as string | undefined,
    available: 8000 * mebibyte,
    exact: true,
    /** Processes that are told to end are gone at once. */
    obedient: true,
  };
  /** Keys that have been rotated, revoked, or cannot be looked up. */
  const keys = new Map<string, string | undefined | Error>();
  const standingOf = (keyId: string): string | undefined => {
    const standing = keys.has(keyId) ? keys.get(keyId) : 'live';
    if (standing instanceof Error) throw standing;
    return standing;
  };
  const started: Played[] = [];
  const broken: string[] = [];
  const start = (model: string): Played => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const die = (): void => {
      if (played.at === 'gone') return;
      played.at = 'gone';
      played.listener.onExit?.({ code: 0, signal: null });
      resolve();
    };
    const end = (): void => {
      if (played.at === 'gone') return;
      played.at = 'ending';
      if (state.obedient) die();
    };
    const played: Played = {
      pid: started.length + 1,
      valve: new Valve(state.exact),
      listener: { onLine: () => {} },
      write: (text) => void played.written.push(text),
      finish: () => {},
      terminate: end,
      kill: end,
      gone: promise,
      stderrTail: () => '',
      model,
      identity: state.identity ?? '',
      born: state.now,
      bytes: 0,
      at: 'waiting',
      written: [],
      say: (line) => played.listener.onLine(JSON.stringify(line)),
      die,
    };
    started.push(played);
    return played;
  };
  const pool = createPool({
    ...limits,
    defaultModel: 'opus',
    start,
    readiness: {
      provedIdentity: () => state.identity,
      provedVersion: () => '1',
      lockBroken: (breach) => broken.push(breach.kind),
      hotProblem: () => state.hotProblem,
    },
    hasRoom: () => state.room,
    standingOf,
    now: () => state.now,
    availableMemory: () => state.available,
    residentBytes: (pid) => started.find((each) => each.pid === pid)?.bytes ?? 0,
    ...overrides,
  });
  const claim = (app: App): Claimed | undefined => {
    const claimed = pool.claim(app);
    if (claimed !== undefined) (claimed.process as Played).at = 'claimed';
    return claimed;
  };
  /** A process that has served `app`, as the runner starts it without a spare. */
  const served = (app: App): Claimed => {
    const process = start(app.model);
    process.at = 'claimed';
    return { process, identity: state.identity ?? '', startedAt: state.now, start: 'claim', past: undefined };
  };
  const rest = (
    app: App,
    from: Claimed = served(app),
    turns = (from.past?.turns ?? 0) + 1,
  ): { process: Played; rested: Promise<void> | undefined } => {
    const process = from.process as Played;
    const standing = attempt(() => standingOf(app.keyId));
    const past = { turns, costUsd: turns };
    // It can be the one that gives way.
    Object.assign(process, { at: 'waiting', app, standing, restedAt: state.now, past });
    const rested = pool.rest(app, past, from);
    if (rested === undefined) process.at = 'claimed';
    return { process, rested };
  };
  const waiting = (): Played[] => started.filter(({ at }) => at === 'waiting');
  return {
    state,
    keys,
    pool,
    started,
    broken,
    standingOf,
    claim,
    rest,
    served,
    waiting,
    resting: () => waiting().filter(({ app }) => app !== undefined),
    parked: () => waiting().filter(({ app }) => app === undefined),
  };
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

const success = (id: string): object => ({
  type: 'control_response',
  response: { subtype: 'success', request_id: id },
});
const failure = (id: string): object => ({
  type: 'control_response',
  response: { subtype: 'error', request_id: id },
});
const init = { type: 'system', subtype: 'init', tools: [], mcp_servers: [], claude_code_version: '1' };
const someone: App = { keyId: 'key', model: 'opus', system: 'brief' };

test('simulation: processes wait within bounds, are claimed once, and never by another app or out of date', async () => {
  const only = process.env['SIM_SEED'];
  const seeds = only === undefined ? Array.from({ length: 500 }, (_, index) => index + 1) : [Number(only)];
  const totals = { hot: 0, claim: 0, rested: 0, refused: 0 };
  for (const seed of seeds) {
    try {
      await simulate(new Random(seed), totals);
    } catch (error) {
      throw new Error(`seed ${seed} (replay with SIM_SEED=${seed})`, { cause: error });
    }
  }
  if (only !== undefined) return;
  for (const [name, count] of Object.entries(totals)) assert.ok(count > 500, `${name}: ${count}`);
});

async function simulate(random: Random, totals: Record<string, number>): Promise<void> {
  const bounds = {
    spares: random.below(4),
    hot: random.below(5),
    memoryBytes: random.int(300, 2000) * mebibyte,
  };
  const played = world(bounds);
  const { state, keys, pool, started, waiting, resting, parked } = played;
  const running: { app: App; claimed: Claimed }[] = [];
  /** What slots wait for. */
  const rests: (Promise<void> | undefined)[] = [];
  const anyApp = (): App => ({
    keyId: random.pick(['a', 'b', 'c']),
    model: random.pick(['opus', 'sonnet']),
    system: random.pick(['x', 'y']),
  });
  const isFresh = ({ identity, born }: Played): boolean =>
    identity === state.identity && state.now - born < limits.maxAgeMs;
  const checkHot = (process: Played): void => {
    assert.ok(isFresh(process), 'too old or of another CLI');
    assert.ok(state.now - (process.restedAt ?? 0) < limits.hotIdleMs, 'idle too long');
    const standing = attempt(() => played.standingOf(process.app?.keyId ?? ''));
    assert.ok(standing !== undefined && standing === process.standing, 'revoked, rotated or unknown');
    assert.equal(state.hotProblem, undefined, 'more than one request a process');
  };
  const actions: Record<string, () => void> = {
    request: () => {
      const app = anyApp();
      const before = new Map(started.map((each) => [each, each.at]));
      const claimed = played.claim(app) ?? played.served(app);
      const process = claimed.process as Played;
      running.push({ app, claimed });
      if (!before.has(process)) return;
      totals[claimed.start] = (totals[claimed.start] ?? 0) + 1;
      assert.equal(before.get(process), 'waiting', 'claimed twice or dead');
      assert.equal(process.model, app.model);
      assert.ok(isFresh(process), 'claimed too old or of another CLI');
      assert.deepEqual([claimed.identity, claimed.startedAt], [process.identity, process.born]);
      if (claimed.start === 'claim') return assert.equal(process.app, undefined, 'a spare with a past');
      assert.deepEqual(process.app, app, 'of another app');
      assert.deepEqual(claimed.past, process.past);
      checkHot(process);
    },
    answer: () => {
      const [next] = running.splice(random.below(running.length), 1);
      if (next === undefined) return;
      const { app, claimed } = next;
      const turns = random.chance(0.05) ? 200 : undefined;
      const { process, rested } = played.rest(app, claimed, turns);
      rests.push(rested);
      totals[rested === undefined ? 'refused' : 'rested']! += 1;
      if (rested === undefined) process.die();
      else assert.notEqual(turns, 200);
    },
    death: () => {
      if (waiting().length > 0) random.pick(waiting()).die();
    },
    misbehaviour: () => {
      if (waiting().length === 0) return;
      const process = random.pick(waiting());
      random.pick([
        () => process.listener.onLine('not JSON'),
        () => process.listener.onGarbage?.('invalid_utf8'),
        () => process.valve.onHeld?.(),
        () => process.say(failure('any')),
        () => process.say({ ...init, tools: ['Bash'] }),
      ])();
      assert.notEqual(process.at, 'waiting');
    },
    warmUp: () => {
      for (const process of parked()) {
        process.valve.refused += 1;
        process.say(success(random.pick(['up', 'rehearsal'])));
      }
    },
    key: () =>
      void keys.set(
        random.pick(['a', 'b', 'c']),
        random.pick(['live', 'live', 'rotated', undefined, new Error()]),
      ),
    cli: () => {
      state.identity = random.chance(0.3) ? undefined : `cli ${random.below(3)}`;
      state.hotProblem = random.chance(0.2) ? 'it keeps something' : undefined;
    },
    host: () => {
      state.room = random.chance(0.7);
      state.available = random.chance(0.2) ? 0 : 8000 * mebibyte;
      state.obedient = random.chance(0.7);
    },
    time: () => {
      state.now += random.below(20_000);
      for (const process of started) process.bytes = random.int(0, 450) * mebibyte;
    },
  };
  const weighted = Object.entries({
    request: 8,
    answer: 8,
    death: 1,
    misbehaviour: 1,
    warmUp: 2,
    key: 1,
    cli: 1,
    host: 1,
    time: 4,
  }).flatMap(([name, weight]) => Array.from({ length: weight }, () => name));
  for (let step = 0; step < 150; step += 1) {
    actions[random.pick(weighted)]?.();
    for (const process of started) if (process.at === 'ending' && random.chance(0.3)) process.die();
    const before = started.length;
    pool.reconcile();
    for (const process of resting()) checkHot(process);
    for (const process of parked()) assert.ok(isFresh(process));
    assert.ok(resting().length <= bounds.hot, `${resting().length} rest of at most ${bounds.hot}`);
    assert.ok(parked().length <= bounds.spares, `${parked().length} spares of at most ${bounds.spares}`);
    assert.equal(pool.hot().resting, resting().length, 'a hot process is lost');
    assert.equal(pool.spares().waiting, parked().length, 'a spare is lost');
    const bytes = waiting().reduce((sum, each) => sum + each.bytes, 0);
    assert.equal(pool.hot().rssBytes + pool.spares().rssBytes, bytes);
    assert.ok(bytes <= bounds.memoryBytes || resting().length === 0, `${bytes} bytes`);
    if (!state.room) assert.equal(started.length, before, 'started without room');
    const claimed = started.filter(({ at }) => at === 'claimed').length;
    assert.equal(claimed, running.length, 'a process of a turn was ended');
  }
  const closed = pool.close();
  for (const process of started) if (process.at === 'ending') process.die();
  await Promise.all([closed, ...rests]);
  assert.deepEqual(waiting(), [], 'left after close');
  assert.ok(started.every(({ at }) => at === 'claimed' || at === 'gone'));
  const before = started.length;
  pool.reconcile();
  assert.equal(started.length, before, 'started after close');
  for (const { app, claimed } of running)
    assert.equal(pool.rest(app, { turns: 1, costUsd: 0 }, claimed), undefined);
}

describe('spares', () => {
  test('a CLI that cannot start is not started in a loop', () => {
    const { state, pool, started, parked } = world({ spares: 1 });
    for (let second = 0; second < 60; second += 1) {
      state.now = second * 1000;
      pool.reconcile();
      parked()[0]?.die();
    }
    assert.ok(started.length <= 7, `${started.length} starts in a minute`);
  });

  test('the spares follow the requested models', () => {
    const { state, pool, claim, parked } = world();
    const models = (): string[] =>
      parked()
        .map(({ model }) => model)
        .toSorted();
    pool.reconcile();
    assert.deepEqual(models(), ['opus', 'opus']);
    for (let index = 0; index < 16; index += 1) {
      state.now += 1000;
      claim({ ...someone, model: index % 2 === 0 ? 'haiku' : 'sonnet' });
      pool.reconcile();
    }
    assert.deepEqual(models(), ['haiku', 'sonnet']);
  });

  test('a request on a hot process leaves the spares as they are', () => {
    const { pool, claim, rest, parked } = world({ spares: 1 });
    pool.reconcile();
    const app = { ...someone, model: 'haiku' };
    for (let index = 0; index < 16; index += 1) {
      const { process } = rest(app);
      assert.equal(claim(app)?.process, process);
    }
    pool.reconcile();
    assert.deepEqual(
      parked().map(({ model }) => model),
      ['opus'],
    );
  });

  test('no spare starts when the waiting processes have their memory', () => {
    const { pool, rest, parked } = world({ spares: 1, memoryBytes: 100 * mebibyte });
    const { process } = rest(someone);
    process.bytes = 100 * mebibyte;
    pool.reconcile();
    assert.equal(parked().length, 1);
    const [spare] = parked();
    assert.ok(spare);
    spare.bytes = 101 * mebibyte;
    pool.reconcile();
    assert.deepEqual(parked(), [spare], 'a spare does not give way');
    assert.equal(process.at, 'gone');
    spare.die();
  });

  test('a spare whose warm-up fails is replaced by one that only waits, until the CLI changes', () => {
    const { state, pool, parked } = world({ spares: 1 });
    pool.reconcile();
    const [first] = parked();
    first?.say(success('up'));
    assert.equal(first?.written.length, 2);
    assert.equal(pool.claim(someone), undefined, 'nobody claims it meanwhile');
    first?.say(failure('rehearsal'));
    assert.equal(first?.at, 'gone');
    const next = (): Played | undefined => {
      state.now += 120_000;
      pool.reconcile();
      return parked()[0];
    };
    const second = next();
    second?.say(success('up'));
    assert.deepEqual([second?.written.length, pool.spares().warm], [1, 1]);
    state.identity = 'two';
    const third = next();
    third?.say(success('up'));
    assert.equal(third?.written.length, 2);
  });

  test('a spare that breaks the lock while it waits is killed and reported once', () => {
    const cases: [line: object, reported: string[]][] = [
      [{ type: 'system', subtype: 'hook_started', hook_name: 'SessionStart' }, ['hook']],
      [{ ...init, tools: ['Bash'] }, ['listing']],
      [{ ...init, claude_code_version: '2' }, ['version']],
      [{ type: 'stream_event' }, []],
    ];
    for (const [line, reported] of cases) {
      const { pool, broken, parked, started } = world({ spares: 1 });
      pool.reconcile();
      const [waiting] = parked();
      waiting?.say(init);
      assert.equal(waiting?.at, 'waiting', 'what it may print does no harm');
      waiting?.say(line);
      waiting?.say(line);
      assert.equal(waiting?.at, 'gone', JSON.stringify(line));
      assert.deepEqual(broken, reported);
      assert.equal(pool.claim(someone), undefined);
      assert.equal(started.length, 1);
    }
  });
});

describe('hot processes', () => {
  test('a hot process is claimed by its app alone, and by its last one first', () => {
    const { claim, rest, pool } = world({ spares: 0 });
    const [first, second] = [rest(someone).process, rest(someone).process];
    for (const other of [
      { ...someone, keyId: 'another' },
      { ...someone, model: 'haiku' },
      { ...someone, system: 'another' },
    ]) {
      assert.equal(claim(other), undefined, JSON.stringify(other));
    }
    const claimed = claim(someone);
    assert.equal(claimed?.process, second, 'what was used last is quickest');
    assert.deepEqual([claimed?.start, claimed?.past], ['hot', { turns: 1, costUsd: 1 }]);
    assert.equal(claim(someone)?.process, first);
    assert.equal(claim(someone), undefined);
    assert.deepEqual(pool.hot(), { resting: 0, rssBytes: 0, off: undefined });
  });

  test('a hot process is claimed before a spare, and a spare is not hot', () => {
    const { claim, rest, pool } = world({ spares: 1 });
    pool.reconcile();
    const { process } = rest(someone);
    assert.equal(claim(someone)?.process, process);
    const spare = claim(someone);
    assert.deepEqual([spare?.start, spare?.past], ['claim', undefined]);
  });

  test('a process that rests has its settings taken back', () => {
    const { rest } = world();
    const { process } = rest(someone, undefined, 7);
    assert.equal(process.written.length, 1);
    assert.match(process.written[0] ?? '', /"request_id":"rest-7".*"CLAUDE_CODE_EXTRA_BODY":""/);
    process.say(success('rest-7'));
    process.say({ type: 'system', subtype: 'status' });
    assert.equal(process.at, 'waiting');
  });

  test('the least recently used process gives way', () => {
    const { claim, rest, resting } = world({ hot: 2 });
    const [a, b] = [
      { ...someone, keyId: 'a' },
      { ...someone, keyId: 'b' },
    ];
    const first = rest(a).process;
    const second = rest(b).process;
    // It is used again.
    const claimed = claim(a);
    assert.ok(claimed);
    rest(a, claimed);
    const third = rest({ ...someone, keyId: 'c' }).process;
    assert.deepEqual(resting(), [first, third]);
    assert.equal(second.at, 'gone');
  });

  test('an app that varies its system prompt pushes out its own processes', () => {
    const { rest, resting } = world({ hot: 3 });
    const quiet = rest({ ...someone, keyId: 'quiet' }).process;
    const varied = Array.from({ length: 10 }, (_, index) => rest({ ...someone, system: `${index}` }).process);
    assert.deepEqual(resting(), [quiet, ...varied.slice(-2)]);
  });

  test('a rest is over when what gave way is gone', async () => {
    const { state, rest } = world({ hot: 1 });
    state.obedient = false;
    const first = rest(someone);
    await first.rested;
    const second = rest(someone);
    let isOver = false;
    void second.rested?.then(() => (isOver = true));
    await new Promise(setImmediate);
    assert.deepEqual([first.process.at, isOver], ['ending', false]);
    first.process.die();
    await second.rested;
    assert.equal(second.process.at, 'waiting');
  });

  test('a process that does not fit rests no longer than it takes to end', async () => {
    const { state, pool, served, rest, resting } = world({ memoryBytes: 100 * mebibyte });
    state.obedient = false;
    const from = served(someone);
    (from.process as Played).bytes = 101 * mebibyte;
    const { process, rested } = rest(someone, from);
    assert.deepEqual(resting(), []);
    assert.equal(pool.hot().resting, 0);
    process.die();
    await rested;
  });

  const ends: [name: string, act: (process: Played) => void, reported?: string][] = [
    ['asks something', ({ valve }) => valve.onHeld?.()],
    ['prints what is not JSON', ({ listener }) => listener.onLine('Welcome!')],
    ['prints garbage', ({ listener }) => listener.onGarbage?.('line_too_long')],
    ['exits', ({ die }) => die()],
    ['refuses to take its settings back', ({ say }) => say(failure('rest-1'))],
    ['lists a tool', ({ say }) => say({ ...init, tools: ['Bash'] }), 'listing'],
    ['runs a hook', ({ say }) => say({ type: 'system', subtype: 'hook_started' }), 'hook'],
    ['is another version', ({ say }) => say({ ...init, claude_code_version: '2' }), 'version'],
  ];
  for (const [name, act, reported] of ends) {
    test(`a process that ${name} while it rests ends${reported === undefined ? '' : ' and is reported'}`, () => {
      const { rest, claim, pool, broken } = world({ spares: 0 });
      const { process } = rest(someone);
      act(process);
      act(process);
      assert.equal(process.at, 'gone');
      assert.equal(claim(someone), undefined);
      assert.equal(pool.hot().resting, 0);
      assert.deepEqual(broken, reported === undefined ? [] : [reported]);
    });
  }

  test('a resting process that sends to the API is ended by its valve', async () => {
    const { served, rest } = world();
    const from = served(someone);
    from.process.valve.shut();
    const { process } = rest(someone, from);
    /** Bytes count one round of the event loop after they came. */
    const rounds = async (): Promise<void> => {
      for (let round = 0; round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve));
    };
    void process.valve.admits(new Socket(), 30);
    await rounds();
    assert.equal(process.at, 'waiting', 'the end of a connection is not a request');
    void process.valve.admits(new Socket(), 1000);
    await rounds();
    assert.equal(process.at, 'gone');
  });

  test('a process that has rested for more than 30 s has no connection, and stays', () => {
    const { state, pool, rest, resting } = world({ spares: 0, hotIdleMs: 60_000 });
    const { process } = rest(someone);
    let hungUp = 0;
    process.valve.hangUp = () => (hungUp += 1);
    state.now = 30_000;
    pool.reconcile();
    assert.equal(hungUp, 0);
    state.now = 30_001;
    pool.reconcile();
    assert.equal(hungUp, 1);
    assert.equal(resting().length, 1);
  });

  const refusals: [name: string, prepare: (made: ReturnType<typeof world>) => void, Partial<PoolOptions>?][] =
    [
      ['hot processes are off', () => {}, { hot: 0 }],
      ['the CLI keeps something', ({ state }) => (state.hotProblem = 'it keeps something')],
      ['the model is elsewhere', ({ state }) => (state.exact = false)],
      ['little memory is left', ({ state }) => (state.available = 200 * mebibyte)],
      ['its key is revoked', ({ keys }) => keys.set(someone.keyId, undefined)],
      ['its key cannot be looked up', ({ keys }) => keys.set(someone.keyId, new Error('locked'))],
      ['the pool is closed', ({ pool }) => void pool.close()],
    ];
  for (const [name, prepare, overrides] of refusals) {
    test(`no process rests when ${name}`, () => {
      const made = world(overrides);
      prepare(made);
      const { process, rested } = made.rest(someone);
      assert.equal(rested, undefined);
      assert.equal(made.pool.hot().resting, 0);
      assert.deepEqual(process.written, [], 'the caller ends it');
    });
  }

  test('no process rests that is old, of another CLI, large, or has had 200 turns', () => {
    const { state, pool, served, rest } = world();
    const old = served(someone);
    state.now = limits.maxAgeMs;
    assert.equal(rest(someone, old).rested, undefined);
    const another = served(someone);
    state.identity = 'two';
    assert.equal(rest(someone, another).rested, undefined);
    state.identity = undefined;
    assert.equal(rest(someone).rested, undefined, 'the lock is not proved');
    state.identity = 'one';
    const large = served(someone);
    (large.process as Played).bytes = 384 * mebibyte + 1;
    assert.equal(rest(someone, large).rested, undefined);
    assert.equal(rest(someone, undefined, 200).rested, undefined);
    assert.equal(pool.hot().resting, 0);
    (large.process as Played).bytes = 384 * mebibyte;
    assert.ok(rest(someone, large).rested);
    assert.ok(rest(someone, undefined, 199).rested);
  });

  const changes: [name: string, change: (made: ReturnType<typeof world>) => void][] = [
    ['its key is revoked', ({ keys }) => keys.set(someone.keyId, undefined)],
    ['its key is rotated', ({ keys }) => keys.set(someone.keyId, 'rotated')],
    ['its key cannot be looked up', ({ keys }) => keys.set(someone.keyId, new Error('locked'))],
    ['it is old', ({ state }) => (state.now = limits.maxAgeMs)],
    ['it has rested too long', ({ state }) => (state.now = limits.hotIdleMs)],
    ['the CLI has changed', ({ state }) => (state.identity = 'two')],
    ['the lock is not proved', ({ state }) => (state.identity = undefined)],
    ['the CLI is found to keep something', ({ state }) => (state.hotProblem = 'it keeps something')],
  ];
  for (const [name, change] of changes) {
    test(`a hot process is not claimed and ends when ${name}`, () => {
      const made = world({ spares: 0 });
      const { process } = made.rest(someone);
      change(made);
      assert.equal(made.claim(someone), undefined);
      made.pool.reconcile();
      assert.equal(process.at, 'gone');
      assert.deepEqual(made.resting(), []);
    });
  }

  test('hot processes end one at a time while little memory is left', () => {
    const { state, pool, rest, resting } = world({ spares: 0 });
    const all = ['a', 'b', 'c'].map((keyId) => rest({ ...someone, keyId }).process);
    state.available = 255 * mebibyte;
    for (let left = 2; left >= 0; left -= 1) {
      pool.reconcile();
      assert.deepEqual(resting(), all.slice(3 - left));
    }
  });

  test('hot processes that have grown end until the rest fits', () => {
    const { pool, rest, resting } = world({ spares: 0, memoryBytes: 500 * mebibyte });
    const all = ['a', 'b', 'c'].map((keyId) => rest({ ...someone, keyId }).process);
    for (const process of all) process.bytes = 200 * mebibyte;
    assert.equal(pool.hot().rssBytes, 600 * mebibyte);
    pool.reconcile();
    assert.deepEqual(resting(), all.slice(1));
  });

  test('the pool reports why no process can rest', () => {
    assert.equal(world({ hot: 0 }).pool.hot().off, 'HOT_PROCESSES is 0');
    const { state, pool } = world();
    assert.equal(pool.hot().off, undefined);
    state.hotProblem = 'it keeps something';
    assert.equal(pool.hot().off, 'it keeps something');
  });

  test('closing waits for hot processes that are ending', async () => {
    const { state, pool, rest } = world({ hot: 1, spares: 0 });
    state.obedient = false;
    const first = rest(someone).process;
    const second = rest(someone).process;
    let isClosed = false;
    const closed = pool.close().then(() => (isClosed = true));
    first.die();
    await new Promise(setImmediate);
    assert.deepEqual([second.at, isClosed], ['ending', false]);
    second.die();
    await closed;
  });
});
