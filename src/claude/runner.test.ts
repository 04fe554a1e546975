/** Which process a request gets, with processes that are played. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { LockedProcess } from './locked-process.ts';
import { createRunner, type RunRequest, type Runner, type RunnerOptions } from './runner.ts';
import type { FinishedTurn } from './turn.ts';
import { Valve } from './valve/valve.ts';

/** What a process does with its next turn. */
type Act = 'answer' | 'exit' | 'garbage' | 'early' | 'refuse';

type Played = LockedProcess & {
  model: string;
  /** `initialize` lines, and turns that were begun. */
  systems: string[][];
  turns: number;
  alive: boolean;
  next: Act;
};

type Line = {
  type: string;
  request_id: string;
  request?: { subtype: string; systemPrompt?: string[] };
};

const stream = (event: object): object => ({ type: 'stream_event', event });
const answer = [
  { type: 'system', subtype: 'init', tools: [], mcp_servers: [], model: 'claude-x' },
  stream({
    type: 'message_start',
    message: { model: 'claude-x', usage: { input_tokens: 1, output_tokens: 1 } },
  }),
  stream({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'Hello' } }),
  stream({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } }),
  stream({ type: 'message_stop' }),
];
const result = { type: 'result', subtype: 'success', is_error: false, result: 'Hello' };

function play(model: string, exact: boolean): Played {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => {
    if (!played.alive) return;
    played.alive = false;
    setImmediate(() => {
      played.listener.onExit?.({ code: 0, signal: null });
      resolve();
    });
  };
  const print = (...lines: object[]): void => {
    for (const line of lines) if (played.alive) played.listener.onLine(JSON.stringify(line));
  };
  const read = ({ type, request_id: id, request }: Line): void => {
    if (type === 'user') {
      played.turns += 1;
      if (played.next !== 'answer') return;
      played.valve.passedBytes += 1000;
      return print(...answer, { ...result, total_cost_usd: played.turns });
    }
    if (request?.subtype === 'initialize') played.systems.push(request.systemPrompt ?? []);
    const isTurn = id.startsWith('settings-');
    if (isTurn && played.next === 'exit') return end();
    if (isTurn && played.next === 'garbage') return played.listener.onLine('Welcome!');
    if (isTurn && played.next === 'early') print(result);
    const subtype = isTurn && played.next === 'refuse' ? 'error' : 'success';
    return print({ type: 'control_response', response: { subtype, request_id: id } });
  };
  const played: Played = {
    model,
    systems: [],
    turns: 0,
    alive: true,
    next: 'answer',
    valve: new Valve(exact),
    pid: undefined,
    listener: { onLine: () => {} },
    write: (text) => {
      for (const line of text.split('\n').filter((each) => each !== '')) {
        setImmediate(() => {
          if (played.alive) read(JSON.parse(line) as Line);
        });
      }
    },
    finish: end,
    terminate: end,
    kill: end,
    gone: promise,
    stderrTail: () => '',
  };
  return played;
}

let open: Runner | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

function world({ exact = true, ...overrides }: Partial<RunnerOptions> & { exact?: boolean } = {}) {
  const started: Played[] = [];
  const runner = createRunner({
    claudeBin: '',
    hostEnv: {},
    valves: { exact, begin: () => assert.fail('no real process is started') },
    readiness: {
      check: () => {},
      provedIdentity: () => 'proved',
      provedVersion: () => undefined,
      lockBroken: ({ found }) => assert.fail(found.join()),
      hotProblem: () => undefined,
    },
    timeoutMs: 20_000,
    pool: {
      spares: 0,
      hot: 3,
      hotIdleMs: 60_000,
      maxAgeMs: 60_000,
      memoryBytes: 2 ** 40,
      defaultModel: 'opus',
    },
    standingOf: () => 'live',
    queued: () => 0,
    start: (model) => {
      const process = play(model, exact);
      started.push(process);
      return process;
    },
    ...overrides,
  });
  open = runner;
  const ask = async (request: Partial<RunRequest> = {}): Promise<FinishedTurn & { start: string }> => {
    const { finished, gone } = runner.run(
      {
        keyId: 'key',
        model: 'opus',
        system: ['Be brief.'],
        messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
        ...request,
      },
      new AbortController().signal,
    );
    const turn = await finished;
    await gone;
    return turn;
  };
  return { runner, started, ask };
}

const costOf = ({ outcome }: FinishedTurn): number | null | undefined =>
  outcome.ok ? outcome.answer.costUsd : undefined;

test('the next request of an app is answered by its hot process, which costs what it adds', async () => {
  const { runner, started, ask } = world();
  const first = await ask();
  assert.deepEqual([first.start, costOf(first)], ['spawn', 1]);
  assert.deepEqual([runner.hot().resting, started[0]?.alive], [1, true]);
  for (let turn = 2; turn <= 4; turn += 1) {
    const hot = await ask({ messages: [{ role: 'user', content: [{ type: 'text', text: `${turn}` }] }] });
    assert.deepEqual([hot.start, costOf(hot)], ['hot', 1]);
  }
  assert.equal(started.length, 1);
  assert.deepEqual(started[0]?.systems, [['Be brief.']], 'the system prompt is set once');
  assert.equal(started[0]?.turns, 4);
});

test('another key, model or system prompt gets another process', async () => {
  const { started, ask } = world();
  await ask({ system: ['a', 'b'] });
  for (const other of [
    { system: ['ab'] },
    { system: ['a'] },
    { system: ['b', 'a'] },
    { system: [] },
    { system: ['a', 'b'], keyId: 'another' },
    { system: ['a', 'b'], model: 'haiku' },
  ]) {
    const { start } = await ask(other);
    assert.equal(start, 'spawn', JSON.stringify(other));
  }
  assert.equal(started.length, 7);
  assert.equal(started.filter(({ alive }) => alive).length, 3, 'the others gave way');
});

test('two requests of an app at the same time get two processes', async () => {
  const { runner, started, ask } = world();
  await Promise.all([ask(), ask()]);
  assert.equal(runner.hot().resting, 2);
  const starts = (await Promise.all([ask(), ask(), ask()])).map(({ start }) => start);
  assert.deepEqual(starts, ['hot', 'hot', 'spawn']);
  assert.equal(started.length, 3);
});

for (const act of ['exit', 'garbage', 'early', 'refuse'] as const) {
  test(`a hot process that fails unasked (${act}) is replaced, and the request is answered`, async () => {
    const { runner, started, ask } = world();
    await ask();
    const [hot] = started;
    assert.ok(hot);
    hot.next = act;
    const turn = await ask();
    assert.ok(turn.outcome.ok);
    assert.deepEqual([turn.start, started.length, hot.alive], ['spawn', 2, false]);
    assert.equal(costOf(turn), 1);
    assert.equal(runner.hot().resting, 1);
    assert.equal((await ask()).start, 'hot');
  });
}

test('a process that has just been started is not replaced when it fails', async () => {
  const started: Played[] = [];
  const { ask } = world({
    start: (model) => {
      const process = play(model, true);
      process.next = 'exit';
      started.push(process);
      return process;
    },
  });
  const { outcome, start } = await ask();
  assert.ok(!outcome.ok);
  assert.deepEqual([start, started.length], ['spawn', 1]);
});

test('a process without an exact valve serves one request', async () => {
  const { runner, started, ask } = world({ exact: false });
  for (let turn = 0; turn < 2; turn += 1) assert.equal((await ask()).start, 'spawn');
  assert.equal(started.length, 2);
  assert.ok(started.every(({ alive }) => !alive));
  assert.equal(runner.valve().exact, false);
  assert.equal(runner.hot().off, runner.valve().detail);
  assert.match(runner.hot().off ?? '', /another provider/);
});

test('each process is counted once, with what ended it', async () => {
  const causes: string[] = [];
  const { runner, started, ask } = world({ onProcessEnd: (cause) => causes.push(cause) });
  await ask();
  await ask();
  assert.deepEqual(causes, [], 'it rests');
  const [resting] = started;
  if (resting !== undefined) resting.next = 'exit';
  await ask();
  assert.deepEqual(causes, ['exit'], 'its replacement rests');
  started[1]?.listener.onExit?.({ code: 1, signal: null });
  assert.deepEqual(causes, ['exit', 'failed']);
  await ask();
  await runner.close();
  assert.deepEqual(causes, ['exit', 'failed', 'dismissed']);
});

test('closing ends the hot processes', async () => {
  const { runner, started, ask } = world();
  await ask();
  await runner.close();
  assert.equal(started[0]?.alive, false);
  assert.equal((await ask()).start, 'spawn');
  assert.equal(started[1]?.alive, false, 'none rests any more');
});
