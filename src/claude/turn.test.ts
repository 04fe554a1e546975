/** Turns on tiny programs that play the CLI, through the real `startProcess`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startProcess } from './process.ts';
import { clientGone, shuttingDown } from '../endings.ts';
import type { Conversation } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import { Socket } from 'node:net';
import { runTurn, type FinishedTurn, type ProcessPast } from './turn.ts';
import { Valve } from './valve/valve.ts';

const event = (type: string, fields: object): string => JSON.stringify({ type, ...fields });
const stream = (type: string, fields: object = {}): string =>
  event('stream_event', { event: { type, ...fields } });

/** Not output: what the process sends to the API at that moment. */
const passes = 'PASSES';
const asks = 'ASKS';
/** It ends a connection, as after an answer with `Connection: close`. */
const hangsUp = 'HANGS UP';

const said = {
  ready: event('control_response', { response: { subtype: 'success', request_id: 'init' } }),
  refused: event('control_response', { response: { subtype: 'error', request_id: 'init' } }),
  confirmed: event('control_response', { response: { subtype: 'success', request_id: 'settings-2' } }),
  rested: event('control_response', { response: { subtype: 'success', request_id: 'rest-1' } }),
  /** It lists what it offers, and its request goes out. */
  init: `${event('system', { subtype: 'init', tools: [], mcp_servers: [], model: 'claude-x' })}
${passes}`,
  unasked: event('system', { subtype: 'init', tools: [], mcp_servers: [], model: 'claude-x' }),
  tool: event('system', { subtype: 'init', tools: ['Bash'], mcp_servers: [], model: 'claude-x' }),
  hook: event('system', { subtype: 'hook_started', hook_name: 'Stop' }),
  requesting: event('system', { subtype: 'status', status: 'requesting' }),
  overloaded: event('assistant', {
    error: 'unknown',
    message: { content: [{ type: 'text', text: 'API Error: Overloaded' }] },
  }),
  begin: `${stream('message_start', {
    message: { model: 'claude-y', usage: { input_tokens: 9, output_tokens: 1 } },
  })}
${stream('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })}`,
  hello: stream('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Hello' } }),
  space: stream('content_block_delta', { index: 0, delta: { type: 'text_delta', text: ' \n' } }),
  thought: stream('content_block_delta', { index: 0, delta: { type: 'odd_delta', thinking: 'hm' } }),
  stray: stream('content_block_delta', { index: 7, delta: { type: 'text_delta', text: 'Hello' } }),
  end: stream('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } }),
  stop: stream('message_stop'),
  call: stream('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 4 } }),
  lastTurn: event('result', { subtype: 'error_max_turns', is_error: true, total_cost_usd: 0.25 }),
  cut: stream('message_delta', { delta: { stop_reason: 'max_tokens' }, usage: { output_tokens: 4 } }),
  broken: stream('message_delta', { delta: { stop_reason: null } }),
  result: event('result', {
    subtype: 'success',
    is_error: false,
    result: 'Hello',
    total_cost_usd: 0.25,
  }),
  limit: event('rate_limit_event', {
    rate_limit_info: { status: 'rejected', resetsAt: Math.ceil(Date.now() / 1000) + 3600 },
  }),
  warning: event('rate_limit_event', {
    rate_limit_info: { status: 'allowed_warning', resetsAt: Math.ceil(Date.now() / 1000) + 3600 },
  }),
  error429: event('result', {
    subtype: 'success',
    is_error: true,
    api_error_status: 429,
    result: 'API Error: 429',
    total_cost_usd: 0,
  }),
};

class PlayedValve extends Valve {
  readonly calls: string[] = [];
  override open(): void {
    this.calls.push('open');
    super.open();
  }
  override shut(): void {
    this.calls.push('shut');
    super.shut();
  }
  override cut(): void {
    this.calls.push('cut');
    super.cut();
  }
}

type Options = {
  timeoutMs?: number;
  last?: string;
  provedVersion?: string;
  /** Negative: before the turn. */
  abort?: { reason: Error; afterMs: number };
  request?: Partial<Conversation>;
  past?: ProcessPast;
  /** What `rest` returns; undefined: the process must end. */
  rests?: Promise<void>;
  exact?: boolean;
  dialFailure?: string;
  waited?: boolean;
  onModel?: (resolved: string) => RelayError | undefined;
};
type Ran = FinishedTurn & {
  texts: string[];
  broken: string[][];
  processWasGone: boolean;
  /** What was done to the process, in order. */
  calls: string[];
  rested: ProcessPast[];
};

/** Prints the lines once those of the turn have come, does `last`, and tells how the turn ended when its process is gone. */
async function turn(lines: readonly string[], options: Options = {}): Promise<Ran> {
  const script = `read -r settings; ${options.past === undefined ? 'read -r init; ' : ''}read -r start
case $settings in *'the prompt'*) ;; *) exit 9 ;; esac
case $init in *'"the system prompt"'*${options.past === undefined ? '' : "|''"}) ;; *) exit 9 ;; esac
case $start in *'"type":"user"'*) ;; *) exit 9 ;; esac
${lines.map((line) => (line.startsWith('sleep ') ? line : `cat <<'LINES'\n${line}\nLINES`)).join('\n')}
${options.last ?? 'cat >/dev/null'}`;
  const stop = new AbortController();
  const texts: string[] = [];
  const broken: string[][] = [];
  const rested: ProcessPast[] = [];
  const { abort } = options;
  if (abort !== undefined && abort.afterMs < 0) stop.abort(abort.reason);
  const valve = new PlayedValve(options.exact);
  const started = startProcess({
    command: '/bin/sh',
    args: ['-c', script],
    env: (tmp) => ({ PATH: process.env['PATH'] ?? '', TMPDIR: tmp }),
    listener: { onLine: () => {} },
    killGraceMs: 200,
  });
  const { write, kill, terminate } = started;
  const noted =
    <A extends unknown[]>(name: string, act: (...args: A) => void) =>
    (...args: A): void => {
      valve.calls.push(name);
      act(...args);
    };
  const cli = Object.assign(started, {
    valve,
    write: noted('write', write),
    kill: noted('kill', kill),
    terminate: noted('terminate', terminate),
  });
  const { finished, gone } = runTurn({
    request: {
      system: ['the system prompt'],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'the prompt' }] }],
      ...options.request,
    },
    process: cli,
    ...(options.past === undefined ? {} : { past: options.past }),
    waited: options.waited ?? false,
    ...(options.onModel === undefined ? {} : { onModel: options.onModel }),
    rest: (past) => {
      rested.push(past);
      return options.rests;
    },
    timeoutMs: options.timeoutMs ?? 20_000,
    signal: stop.signal,
    unsatisfied: () => Promise.resolve(undefined),
    readiness: {
      provedVersion: () => options.provedVersion,
      lockBroken: ({ kind, found }) => broken.push([kind, ...found]),
    },
    onEvent: ({ delta }) => {
      if (isTextDelta(delta)) texts.push(delta.text);
    },
  });
  const { onLine } = cli.listener;
  cli.listener.onLine = (text) => {
    if (text === passes) valve.passedBytes += 1000;
    else if (text === asks) void valve.admits(new Socket(), 1000);
    else if (text === hangsUp) void valve.admits(new Socket(), 31);
    else onLine(text);
  };
  valve.dialFailure = options.dialFailure;
  if (abort?.afterMs === 0) stop.abort(abort.reason);
  else if (abort !== undefined) setTimeout(() => stop.abort(abort.reason), abort.afterMs);
  let processWasGone = false;
  void gone.then(() => (processWasGone = true));
  const ended = { ...(await finished), processWasGone };
  const calls = [...valve.calls];
  await gone;
  started.kill();
  await started.gone;
  return { ...ended, texts, broken, calls, rested };
}

function isTextDelta(delta: unknown): delta is { text: string } {
  return typeof delta === 'object' && delta !== null && 'text' in delta;
}

function answerOf({ outcome }: FinishedTurn): { text: string; stopReason: string; costUsd: number | null } {
  if (!outcome.ok) throw outcome.error;
  const { text, stopReason, costUsd } = outcome.answer;
  return { text, stopReason, costUsd };
}

function codeOf({ outcome }: FinishedTurn): string {
  assert.ok(!outcome.ok, 'an error was expected');
  return outcome.error.code;
}

describe('a turn that is answered', { concurrency: 2 }, () => {
  test('a turn reports the model before the process asks it, and ends there if the model is refused', async () => {
    const { ready, init, unasked, begin, hello, end, result } = said;
    const seen: string[] = [];
    const onModel = (resolved: string): undefined => void seen.push(resolved);
    const answered = await turn([ready, init, begin, hello, end, result], { onModel });
    assert.equal(answerOf(answered).text, 'Hello');
    assert.deepEqual(seen, ['claude-x']);

    const refusal = new RelayError('not_found', 'Another model.');
    const refused = await turn([ready, unasked, begin, hello, end, result], { onModel: () => refusal });
    assert.ok(!refused.outcome.ok && refused.outcome.error === refusal);
    assert.deepEqual([refused.texts, refused.mayHaveSpent, refused.failedUnasked], [[], false, false]);
    assert.deepEqual(refused.calls.slice(-2), ['cut', 'terminate']);
  });

  test('a turn has its text, usage and cost', async () => {
    const { ready, init, begin, thought, hello, end, result } = said;
    const ended = await turn([ready, init, begin, thought, hello, hello, end, result]);
    assert.deepEqual(answerOf(ended), { text: 'HelloHello', stopReason: 'end_turn', costUsd: 0.25 });
    assert.deepEqual(ended.texts, ['Hello', 'Hello']);
    assert.deepEqual([ended.usage.input_tokens, ended.usage.output_tokens], [9, 4]);
    assert.ok(ended.outcome.ok && ended.outcome.answer.resolvedModel === 'claude-y');
    assert.equal(ended.mayHaveSpent, true);
    const { startedAt, initAt = 0, firstTextAt = 0, endedAt } = ended.times;
    assert.ok(startedAt <= initAt && initAt <= firstTextAt && firstTextAt <= endedAt);
  });

  test('the valve is open from the write of a turn to the beginning of the answer', async () => {
    const { init, begin, hello, end, result } = said;
    const ended = await turn([init, begin, hello, end, result], { rests: Promise.resolve() });
    assert.deepEqual(ended.calls, ['open', 'write', 'shut']);
  });

  test('a limit ends the process at once, and its answer has no cost', async () => {
    const { init, begin, hello, cut, result } = said;
    const stopped = await turn([init, begin, hello, cut, result], { rests: Promise.resolve() });
    assert.deepEqual(answerOf(stopped), { text: 'Hello', stopReason: 'max_tokens', costUsd: null });
    assert.deepEqual(stopped.calls.slice(3), ['cut', 'kill']);
    assert.deepEqual(stopped.rested, []);
  });

  test('a process that asks again after its answer is ended, and the answer stands', async () => {
    const { init, begin, hello, space, end, result } = said;
    for (const [lines, text] of [
      [[init, begin, hello, end, asks, 'sleep 0.5', result], 'Hello'],
      [[init, begin, space, end, asks, 'sleep 0.5', result], ' \n'],
      // It asked for something else while it answered, and the answer went on.
      [[init, begin, asks, 'sleep 0.2', hello, end, result], 'Hello'],
    ] as const) {
      const ended = await turn(lines, { rests: Promise.resolve() });
      assert.deepEqual(answerOf(ended), { text, stopReason: 'end_turn', costUsd: null });
      assert.deepEqual(ended.calls.slice(3), ['cut', 'kill']);
      assert.deepEqual(ended.rested, []);
    }
  });

  test('a process that ends a connection after its answer rests', async () => {
    const { init, begin, hello, end, result } = said;
    const ended = await turn([init, begin, hello, hangsUp, 'sleep 0.2', end, hangsUp, 'sleep 0.2', result], {
      rests: Promise.resolve(),
    });
    assert.equal(answerOf(ended).costUsd, 0.25);
    assert.equal(ended.rested.length, 1);
  });

  test('a process without a valve is ended after an empty answer', async () => {
    const { init, begin, hello, space, end, result } = said;
    const silent = await turn([init, begin, space, end, begin, hello, end, result], { exact: false });
    assert.deepEqual(answerOf(silent), { text: ' \n', stopReason: 'end_turn', costUsd: null });
    const visible = await turn([init, begin, hello, end, result], { exact: false });
    assert.equal(answerOf(visible).costUsd, 0.25);
  });

  test('an answer goes on after a question that is held while events arrive', async () => {
    const { init, begin, hello, end, result } = said;
    const pause = 'sleep 0.5';
    const ended = await turn([init, begin, asks, pause, hello, pause, hello, pause, hello, end, result]);
    assert.equal(answerOf(ended).text, 'HelloHelloHello');
  });

  test('a call of an offered tool is an answer, also when the CLI reports one turn too many', async () => {
    const { init, begin, hello, call, result, lastTurn } = said;
    const request = { tools: [{ name: 'x', input_schema: {} }] };
    for (const last of [result, lastTurn]) {
      const ended = await turn([init, begin, hello, call, last], { request, rests: Promise.resolve() });
      assert.deepEqual(answerOf(ended), { text: 'Hello', stopReason: 'tool_use', costUsd: 0.25 });
      assert.equal(ended.rested.length, 1);
    }
  });

  test('a process that stays after its answer is ended, and the caller does not wait', async () => {
    const { init, begin, hello, end, result } = said;
    const ended = await turn([init, begin, hello, end, result], { last: 'trap "" TERM; sleep 300' });
    assert.equal(answerOf(ended).text, 'Hello');
    assert.equal(ended.processWasGone, false);
  });
});

describe('a process with a past', { concurrency: 2 }, () => {
  const past = { turns: 1, costUsd: 0.125 };

  test('a clean end lets the process rest, and the turn is gone when it rests', async () => {
    const { init, begin, hello, end, result } = said;
    const { promise: rests, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 300);
    const startedAt = performance.now();
    const first = await turn([init, begin, hello, end, result], { rests });
    assert.ok(performance.now() - startedAt >= 299);
    assert.equal(first.processWasGone, false);
    assert.deepEqual(first.rested, [{ turns: 1, costUsd: 0.25 }]);
    assert.deepEqual(first.calls, ['open', 'write', 'shut'], 'nothing ends it');
  });

  test('a later turn has the difference of the costs, and counts', async () => {
    const { rested, confirmed, init, begin, hello, end, result } = said;
    const rests = Promise.resolve();
    const hot = await turn([rested, confirmed, init, begin, hello, end, result], { past, rests });
    assert.deepEqual(answerOf(hot), { text: 'Hello', stopReason: 'end_turn', costUsd: 0.125 });
    assert.deepEqual(hot.rested, [{ turns: 2, costUsd: 0.25 }]);
    const lower = await turn([confirmed, init, begin, hello, end, result], {
      past: { turns: 1, costUsd: 0.5 },
      rests,
    });
    assert.equal(answerOf(lower).costUsd, 0);
    assert.deepEqual(lower.rested, [{ turns: 2, costUsd: 0.5 }]);
  });

  test('a process must end when it cannot rest', async () => {
    const { init, begin, hello, end, result } = said;
    const ended = await turn([init, begin, hello, end, result]);
    assert.equal(ended.rested.length, 1);
    assert.equal(answerOf(ended).text, 'Hello');
    assert.deepEqual(
      ended.calls,
      ['open', 'write', 'shut', 'cut'],
      'it exits by itself, and asks nothing more',
    );
  });

  test('no process rests after another end', async () => {
    const { init, begin, hello, cut, end, stop, result, error429, lastTurn, tool } = said;
    const failed = event('result', { subtype: 'error_during_execution', is_error: true });
    for (const lines of [
      [init, begin, hello, cut, result],
      [init, begin, hello, stop, result],
      [init, begin, hello, result],
      [init, error429],
      [init, result],
      [init, begin, hello, end, failed],
      [init, begin, hello, end, lastTurn],
      [init, begin, hello, said.call, lastTurn],
      [init, begin, hello, begin, hello, end, result],
      [init, begin, hello, tool, end, result],
      [init, begin, hello, 'not JSON', end, result],
      [init, begin, hello, end, asks, 'sleep 0.5', result],
    ]) {
      const ended = await turn(lines, { rests: Promise.resolve() });
      assert.deepEqual(ended.rested, [], lines.join('\n'));
    }
    const exited = await turn([init, begin, hello, end], { rests: Promise.resolve(), last: 'exit 0' });
    assert.deepEqual(exited.rested, []);
  });

  test('a process that prints anything before its settings are confirmed does not get the request', async () => {
    const { confirmed, unasked, begin, hello, end, result, limit, ready } = said;
    for (const early of [unasked, result, limit, begin, said.overloaded]) {
      const ended = await turn([ready, early, confirmed, said.init, begin, hello, end, result], { past });
      assert.equal(codeOf(ended), 'upstream_error', early);
      assert.equal(ended.failedUnasked, true, early);
      assert.equal(ended.mayHaveSpent, false, early);
      assert.deepEqual(ended.texts, []);
      assert.deepEqual(ended.rested, []);
    }
    const asked = await turn([passes, result, confirmed], { past });
    assert.equal(asked.failedUnasked, false, 'its request went out');
  });

  test('a process that refuses its settings does not get the request', async () => {
    const { init, begin, hello, end, result } = said;
    const refused = said.confirmed.replace('success', 'error');
    const ended = await turn([refused, init, begin, hello, end, result], { past, rests: Promise.resolve() });
    assert.equal(codeOf(ended), 'upstream_error');
    assert.equal(ended.failedUnasked, true);
  });
});

describe('what went out', { concurrency: 2 }, () => {
  test('another process can take a request that did not go out, unless the API cannot be reached', async () => {
    const { unasked, init, error429 } = said;
    const rows: [string[], Options, boolean][] = [
      [[unasked], { last: 'exit 1' }, true],
      [[unasked, error429], {}, true],
      [[init], { last: 'exit 1' }, false],
      [[init, error429], {}, false],
      [[unasked, error429], { dialFailure: 'connect ECONNREFUSED 127.0.0.1:9' }, false],
      // Without a valve nobody knows.
      [[unasked], { last: 'exit 1', exact: false }, false],
    ];
    for (const [lines, options, failedUnasked] of rows) {
      const ended = await turn(lines, options);
      assert.equal(ended.failedUnasked, failedUnasked, `${lines.join()} ${JSON.stringify(options)}`);
      if (failedUnasked) assert.equal(ended.mayHaveSpent, false);
      // What it has sent and is still on its way must not go out after that.
      assert.equal(ended.calls[2], 'cut', ended.calls.join());
    }
  });

  test('a timeout does not give a request to another process', async () => {
    const ended = await turn([said.unasked], { timeoutMs: 300 });
    assert.equal(codeOf(ended), 'upstream_timeout');
    assert.deepEqual([ended.failedUnasked, ended.mayHaveSpent], [false, false]);
  });

  test('a connection that could not be made is reported as that', async () => {
    const { unasked, error429 } = said;
    const failed = error429.replace('429,', 'null,');
    const ended = await turn([unasked, failed], { dialFailure: 'connect ECONNREFUSED 127.0.0.1:9' });
    assert.ok(!ended.outcome.ok);
    assert.match(ended.outcome.error.message, /could not reach the model/);
    assert.equal(ended.mayHaveSpent, false);
  });
});

describe('a turn that fails', { concurrency: 2 }, () => {
  test('a listed tool, a hook or an answer before the listing breaks the lock', async () => {
    const { init, tool, hook, begin, hello, end, result } = said;
    const cases: [string[], string[]][] = [
      [
        [tool, begin, hello, end, result],
        ['listing', 'tools: Bash'],
      ],
      [
        [init, hook, begin, hello, end, result],
        ['hook', 'Stop'],
      ],
      [
        [begin, hello, end, result],
        ['listing', 'no init event before the answer'],
      ],
      [
        [init, begin, hello, tool, end, result],
        ['listing', 'tools: Bash'],
      ],
    ];
    for (const [lines, found] of cases) {
      const ended = await turn(lines);
      assert.equal(codeOf(ended), 'upstream_error');
      assert.deepEqual(ended.broken, [found]);
    }
  });

  test('a version that was not proved is refused and can be retried', async () => {
    const { init, begin, hello, end, result } = said;
    const other = init.replace('"model"', '"claude_code_version":"2.0.1","model"');
    const ended = await turn([other, begin, hello, end, result], { provedVersion: '2.0.0' });
    assert.equal(codeOf(ended), 'not_ready');
    assert.deepEqual(ended.texts, []);
    assert.deepEqual(ended.broken, [['version', 'version 2.0.1, proved 2.0.0']]);
    assert.equal(
      answerOf(await turn([other, begin, hello, end, result], { provedVersion: '2.0.1' })).text,
      'Hello',
    );
  });

  test('a CLI that asks again in the middle of a message ends the turn', async () => {
    const { init, begin, hello, requesting, end, result } = said;
    const ended = await turn([requesting, init, begin, hello, requesting, hello, end, result]);
    assert.equal(codeOf(ended), 'upstream_error');
    assert.ok(!ended.outcome.ok && /lost in the middle/.test(ended.outcome.error.message));
    assert.deepEqual(ended.texts, ['Hello']);
    assert.deepEqual(ended.calls.slice(3), ['cut', 'kill']);
    assert.equal(ended.mayHaveSpent, true);
  });

  test('a second message is an error', async () => {
    const { init, begin, hello, end, result } = said;
    const twice = await turn([init, begin, hello, begin, hello, end, result]);
    assert.equal(codeOf(twice), 'upstream_error');
    assert.deepEqual(twice.texts, ['Hello']);
  });

  test('an answer after a broken stream is an error', async () => {
    const { init, begin, hello, broken, result } = said;
    const ended = await turn([init, begin, hello, broken, result]);
    assert.equal(codeOf(ended), 'upstream_error');
    assert.equal(ended.mayHaveSpent, true);
  });

  test('a stream without a stop reason ends the process, unless the CLI reported a failure', async () => {
    const { init, begin, hello, stop, overloaded, end, result } = said;
    const silent = await turn([init, begin, hello, stop, begin, hello, end, result]);
    assert.equal(codeOf(silent), 'upstream_error');
    assert.deepEqual(silent.texts, ['Hello']);
    const failed = JSON.stringify({ type: 'result', subtype: 'error_max_turns', is_error: true });
    const told = await turn([init, begin, hello, overloaded, stop, failed]);
    assert.equal(codeOf(told), 'upstream_overloaded');
  });

  test('garbage, a refused initialize and an exit without a result are errors', async () => {
    const { ready, refused, init, begin } = said;
    const rows: [string[], string | undefined, boolean][] = [
      [[ready, 'not JSON'], undefined, false],
      [[ready, '"a string"'], undefined, false],
      [[init, '{"type":"result"}'], undefined, true],
      [[init, begin, said.stray], undefined, true],
      [[refused], undefined, false],
      [[ready], 'exit 0', false],
      [[init], 'exit 1', true],
      [[init, begin], 'kill -9 $$', true],
    ];
    for (const [lines, last, spent] of rows) {
      const ended = await turn(lines, last === undefined ? {} : { last });
      assert.equal(codeOf(ended), 'upstream_error', lines.join());
      assert.equal(ended.mayHaveSpent, spent, lines.join());
      assert.deepEqual(ended.broken, []);
    }
  });

  test('only a rejection by the plan is a plan limit', async () => {
    const { init, limit, warning, error429 } = said;
    const rejected = await turn([init, limit, error429]);
    assert.ok(!rejected.outcome.ok && Number(rejected.outcome.error.details.retryAfter) > 3500);
    assert.equal(rejected.mayHaveSpent, false);
    const warned = await turn([init, warning, error429]);
    assert.ok(!warned.outcome.ok && warned.outcome.error.details.retryAfter === 30);
  });

  test('a timeout, a gone client and a stopped relay end the turn before and after the first line', async () => {
    const { init, begin } = said;
    const deaf = { last: 'trap "" TERM; sleep 300' };
    assert.equal(codeOf(await turn([], { ...deaf, timeoutMs: 300 })), 'upstream_timeout');
    assert.equal(codeOf(await turn([init, begin], { ...deaf, timeoutMs: 600 })), 'upstream_timeout');
    for (const afterMs of [0, 300]) {
      const gone = await turn([init], { ...deaf, abort: { reason: clientGone(), afterMs } });
      assert.equal(codeOf(gone), 'client_closed_request');
      assert.deepEqual(gone.calls.slice(0, 4), ['open', 'write', 'cut', 'terminate']);
      const stopped = await turn([init], { ...deaf, abort: { reason: shuttingDown(), afterMs } });
      assert.equal(codeOf(stopped), 'shutting_down');
    }
    const late = await turn([init], { ...deaf, abort: { reason: clientGone(), afterMs: -1 } });
    assert.deepEqual(late.calls.slice(0, 2), ['cut', 'terminate'], 'nothing was written');
  });
});

test('a process that waited must check in within five seconds, or another one takes the request', async ({
  mock,
}) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const tick = (ms: number): void => void setImmediate(() => mock.timers.tick(ms));
  tick(5000);
  const hung = await turn([], { waited: true });
  assert.deepEqual([hung.failedUnasked, hung.mayHaveSpent], [true, false]);
  assert.deepEqual(hung.calls, ['open', 'write', 'cut', 'kill']);
  tick(20_000);
  const slow = await turn([], { waited: false });
  assert.equal(codeOf(slow), 'upstream_timeout', 'a process that starts takes its time');
});
