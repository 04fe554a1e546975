/** Turns on tiny programs that play the CLI, through the real `startProcess`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startProcess } from './process.ts';
import { clientGone, shuttingDown } from '../endings.ts';
import { runTurn, type FinishedTurn } from './turn.ts';

const event = (type: string, fields: object): string => JSON.stringify({ type, ...fields });
const stream = (type: string, fields: object = {}): string =>
  event('stream_event', { event: { type, ...fields } });

const said = {
  ready: event('control_response', { response: { subtype: 'success', request_id: 'init' } }),
  refused: event('control_response', { response: { subtype: 'error', request_id: 'init' } }),
  init: event('system', { subtype: 'init', tools: [], mcp_servers: [], model: 'claude-x' }),
  tool: event('system', { subtype: 'init', tools: ['Bash'], mcp_servers: [], model: 'claude-x' }),
  hook: event('system', { subtype: 'hook_started', hook_name: 'Stop' }),
  requesting: event('system', { subtype: 'status', status: 'requesting' }),
  shut: event('control_response', { response: { subtype: 'success', request_id: 'block-further-requests' } }),
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

type Options = {
  timeoutMs?: number;
  last?: string;
  provedVersion?: string;
  abort?: { reason: Error; afterMs: number };
};
type Ran = FinishedTurn & { texts: string[]; broken: string[][]; processWasGone: boolean };

/** Prints the lines once those of the turn have come, does `last`, and tells how the turn ended when its process is gone. */
async function turn(lines: readonly string[], options: Options = {}): Promise<Ran> {
  const script = `read -r settings; read -r init; read -r start
case $settings in *'the prompt'*) ;; *) exit 9 ;; esac
case $init in *'"the system prompt"'*) ;; *) exit 9 ;; esac
cat <<'LINES'
${lines.join('\n')}
LINES
${options.last ?? 'cat >/dev/null'}`;
  const stop = new AbortController();
  const texts: string[] = [];
  const broken: string[][] = [];
  const { finished, gone } = runTurn({
    request: {
      system: ['the system prompt'],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'the prompt' }] }],
    },
    process: startProcess({
      command: '/bin/sh',
      args: ['-c', script],
      env: (tmp) => ({ PATH: process.env['PATH'] ?? '', TMPDIR: tmp }),
      listener: { onLine: () => {}, onGarbage: () => {}, onExit: () => {} },
      killGraceMs: 200,
    }),
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
  const { abort } = options;
  if (abort?.afterMs === 0) stop.abort(abort.reason);
  else if (abort !== undefined) setTimeout(() => stop.abort(abort.reason), abort.afterMs);
  let processWasGone = false;
  void gone.then(() => (processWasGone = true));
  const ended = { ...(await finished), processWasGone };
  await gone;
  return { ...ended, texts, broken };
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

  test('a process that would ask again is ended after a stop, an empty answer or a second message', async () => {
    const { init, begin, hello, space, cut, end, result } = said;
    const stopped = await turn([init, begin, hello, cut, result]);
    assert.deepEqual(answerOf(stopped), { text: 'Hello', stopReason: 'max_tokens', costUsd: null });
    const silent = await turn([init, begin, space, end, begin, hello, end, result]);
    assert.deepEqual(answerOf(silent), { text: ' \n', stopReason: 'end_turn', costUsd: null });
    const twice = await turn([init, begin, hello, begin, hello, end, result]);
    assert.equal(codeOf(twice), 'upstream_error');
  });

  test('further requests of the CLI are in the usage of an answer and of an error', async () => {
    const { init, requesting, begin, hello, cut, end, stop, shut } = said;
    const rows: [string[], number, [number, number]][] = [
      [[init, requesting, begin, hello, end, said.result], 1, [9, 4]],
      [[init, requesting, begin, hello, cut, stop], 1, [9, 4]],
      // A message that began reports its own tokens; of a request alone the input is known.
      [[init, requesting, begin, hello, cut, stop, requesting, begin], 2, [18, 5]],
      [[init, requesting, begin, hello, cut, stop, requesting], 2, [18, 4]],
      [[init, requesting, begin, hello, cut, stop, requesting, begin, requesting], 3, [27, 5]],
      // 2.1.197 does not announce it.
      [[init, requesting, begin, hello, stop, begin], 2, [18, 2]],
      // Once the way out is shut, a request that is announced goes nowhere.
      [[init, requesting, begin, shut, hello, cut, stop, requesting], 1, [9, 4]],
      [[init, requesting, begin, hello, stop, requesting], 2, [18, 1]],
    ];
    for (const [lines, requests, tokens] of rows) {
      const ended = await turn(lines);
      assert.equal(ended.requests, requests, lines.join('\n'));
      assert.deepEqual([ended.usage.input_tokens, ended.usage.output_tokens], tokens, lines.join('\n'));
      if (ended.outcome.ok) assert.deepEqual(ended.outcome.answer.usage, ended.usage);
    }
  });

  test('a process that stays after its answer is ended, and the caller does not wait', async () => {
    const { init, begin, hello, end, result } = said;
    const ended = await turn([init, begin, hello, end, result], { last: 'trap "" TERM; sleep 300' });
    assert.equal(answerOf(ended).text, 'Hello');
    assert.equal(ended.processWasGone, false);
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
      const stopped = await turn([init], { ...deaf, abort: { reason: shuttingDown(), afterMs } });
      assert.equal(codeOf(stopped), 'shutting_down');
    }
  });
});
