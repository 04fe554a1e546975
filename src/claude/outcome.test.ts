import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientGone, shuttingDown } from '../endings.ts';
import type { ErrorDetails } from '../errors.ts';
import { judge, mayHaveSpent, type TurnEvidence, type TurnEnd } from './outcome.ts';
import { ModelMessage } from './message.ts';
import type { CliFailure, CliResult } from './protocol.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const nowS = now / 1000;
const usage = {
  input_tokens: 3,
  output_tokens: 2,
  cache_read_input_tokens: 1,
  cache_creation_input_tokens: 0,
};

type Seen = { text: string; stopReason: string | undefined; started?: boolean } & Partial<TurnEvidence>;

function seen({ text, stopReason, started = true, ...fields }: Seen): TurnEvidence {
  const message = new ModelMessage();
  if (started) {
    message.add({ type: 'message_start', message: { id: 'msg_1', model: 'claude-x', usage } });
    message.add({ type: 'content_block_start', index: 0, content_block: { type: 'text', text } });
  }
  if (stopReason !== undefined) message.add({ type: 'message_delta', delta: { stop_reason: stopReason } });
  return {
    message,
    initModel: 'claude-asked',
    asked: true,
    dialFailure: undefined,
    costBefore: 0,
    tools: false,
    failure: undefined,
    planRefusal: undefined,
    ...fields,
  };
}

/** A turn in which all went well until its end. */
const whole = seen({ text: 'the answer', stopReason: 'end_turn' });
/** One that got no message. */
const none = seen({ text: '', stopReason: undefined, started: false });
/** One whose message broke off. */
const half = seen({ text: 'halfway', stopReason: undefined });

function failure(kind: string): CliFailure {
  return { kind, code: undefined, apiType: undefined, typed: false, text: '' };
}

function result(fields: Partial<CliResult> = {}): TurnEnd {
  return {
    cause: 'result',
    result: {
      subtype: 'success',
      is_error: false,
      api_error_status: null,
      result: 'the answer',
      total_cost_usd: 0.5,
      ...fields,
    },
  };
}

function error(status: number | null, text = 'API Error: secret words'): TurnEnd {
  return result({ is_error: true, api_error_status: status, result: text });
}

describe('answers', () => {
  const rows: [
    string,
    TurnEnd,
    TurnEvidence,
    { text: string; stopReason: string; costUsd: number | null },
  ][] = [
    ['a result', result(), whole, { text: 'the answer', stopReason: 'end_turn', costUsd: 0.5 }],
    [
      'a result after turns that cost something',
      result({ total_cost_usd: 0.1 + 0.2 + 0.3 }),
      { ...whole, costBefore: 0.1 + 0.2 },
      { text: 'the answer', stopReason: 'end_turn', costUsd: 0.3 },
    ],
    [
      'an answer that stopped at its limit',
      { cause: 'stopped' },
      seen({ text: 'the answer', stopReason: 'max_tokens' }),
      { text: 'the answer', stopReason: 'max_tokens', costUsd: null },
    ],
    [
      'an empty answer',
      { cause: 'stopped' },
      seen({ text: '', stopReason: 'end_turn' }),
      { text: '', stopReason: 'end_turn', costUsd: null },
    ],
    [
      'a later result of a process',
      result({ total_cost_usd: 0.75 }),
      { ...whole, costBefore: 0.25 },
      { text: 'the answer', stopReason: 'end_turn', costUsd: 0.5 },
    ],
    [
      'a result below the costs of earlier turns',
      result({ total_cost_usd: 0.125 }),
      { ...whole, costBefore: 0.25 },
      { text: 'the answer', stopReason: 'end_turn', costUsd: 0 },
    ],
    [
      'a call of an offered tool that the CLI reports as its last turn',
      result({ subtype: 'error_max_turns', is_error: true, result: undefined }),
      seen({ text: 'the answer', stopReason: 'tool_use', tools: true }),
      { text: 'the answer', stopReason: 'tool_use', costUsd: 0.5 },
    ],
  ];
  for (const [name, end, collected, expected] of rows) {
    test(`${name} is an answer`, () => {
      assert.deepEqual(judge(end, collected, now), {
        ok: true,
        answer: {
          messageId: 'msg_1',
          content: [{ type: 'text', text: expected.text }],
          ...expected,
          stopSequence: null,
          resolvedModel: 'claude-x',
          usage,
          rawUsage: usage,
        },
      });
    });
  }
});

describe('errors', () => {
  type Expected = { code: string; message?: RegExp } & Pick<
    ErrorDetails,
    'limit' | 'retryAfter' | 'shouldRetry'
  >;
  const rows: [string, TurnEnd, TurnEvidence, Expected][] = [
    [
      '401',
      error(401, 'Failed to authenticate. API Error: 401 Invalid bearer token'),
      none,
      { code: 'upstream_auth', message: /log in again on the host/, shouldRetry: false },
    ],
    [
      'a refused login without a status',
      error(null),
      { ...none, failure: failure('authentication_failed') },
      { code: 'upstream_auth', shouldRetry: false },
    ],
    [
      'a missing credit with the status 400',
      error(400),
      { ...none, failure: failure('billing_error') },
      { code: 'upstream_auth', message: /billing/, shouldRetry: false },
    ],
    ['429', error(429), none, { code: 'rate_limited', limit: 'plan', retryAfter: 30 }],
    [
      '429 without a status, by its text',
      error(null),
      { ...none, failure: failure('rate_limit') },
      { code: 'rate_limited', limit: 'plan', retryAfter: 30 },
    ],
    [
      'a plan used up for half a minute',
      error(429),
      { ...none, planRefusal: { resetsAt: nowS + 30, type: 'five_hour' } },
      { code: 'rate_limited', limit: 'plan', retryAfter: 30, shouldRetry: true },
    ],
    [
      'a plan used up for hours',
      error(429),
      { ...none, planRefusal: { resetsAt: nowS + 7200.2, type: 'seven_day' } },
      {
        code: 'rate_limited',
        limit: 'plan',
        retryAfter: 7201,
        shouldRetry: false,
        message: /2026-01-01T02:00:00/,
      },
    ],
    [
      'a reset in the past',
      error(429),
      { ...none, planRefusal: { resetsAt: nowS - 5, type: undefined } },
      { code: 'rate_limited', limit: 'plan', retryAfter: 30 },
    ],
    ['529', error(529), none, { code: 'upstream_overloaded', retryAfter: 10 }],
    ['503', error(503), none, { code: 'upstream_error' }],
    [
      '503 without a status, by its text',
      error(503, 'API Error: 503 Overloaded. This is a server-side issue'),
      none,
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'an error of the API after a tool call, reported as one turn too many',
      result({ subtype: 'error_max_turns', is_error: true, result: undefined }),
      { ...half, failure: { ...failure('unknown'), text: 'API Error: Overloaded' } },
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'an overload in the middle, by its text',
      error(null, 'API Error: Overloaded'),
      half,
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'an overload as JSON',
      error(null, 'API Error: {"type":"error","error":{"type":"overloaded_error"}}'),
      half,
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'an overload by the kind of error',
      error(null, 'x'),
      { ...none, failure: failure('overloaded') },
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'a 400 that mentions an overload',
      error(400, 'API Error: 400 overloaded prompt'),
      none,
      { code: 'bad_request', message: /: overloaded prompt$/ },
    ],
    [
      'an unknown model',
      error(null),
      { ...none, failure: failure('model_not_found') },
      { code: 'not_found' },
    ],
    ['413', error(413), none, { code: 'payload_too_large' }],
    [
      '400',
      error(400, 'API Error: 400 too odd'),
      none,
      { code: 'bad_request', message: /refused the request: too odd$/ },
    ],
    [
      '400 with an unknown text',
      error(400),
      none,
      { code: 'bad_request', message: /refused the request\.$/ },
    ],
    [
      'a prompt that is too long, with the numbers',
      error(
        400,
        'Prompt is too long · the request is ~300000 tokens (limit 200000) but this conversation is',
      ),
      none,
      {
        code: 'bad_request',
        message: /refused the request: prompt is too long: 300000 tokens > 200000 maximum$/,
      },
    ],
    [
      'a prompt that is too long, without the numbers',
      error(400, 'Prompt is too long'),
      none,
      { code: 'bad_request', message: /refused the request: prompt is too long$/ },
    ],
    [
      '400 with a long sentence',
      error(400, `API Error: 400 ${'x'.repeat(9000)}`),
      none,
      { code: 'bad_request', message: /^.{1,400}$/ },
    ],
    ['500', error(500), none, { code: 'upstream_error' }],
    [
      'an API that no connection could be made to',
      error(null),
      { ...none, asked: false, dialFailure: 'connect ECONNREFUSED 10.1.2.3:443' },
      { code: 'upstream_error', message: /could not reach the model/ },
    ],
    [
      'a proxy of the host that refuses',
      error(null),
      { ...none, asked: false, dialFailure: 'the proxy of the host answered 407' },
      { code: 'upstream_error', message: /^A proxy, a web filter/, shouldRetry: false },
    ],
    [
      'an error of the API after a connection that failed',
      error(529),
      { ...none, dialFailure: 'connect ECONNREFUSED 10.1.2.3:443' },
      { code: 'upstream_overloaded', retryAfter: 10 },
    ],
    [
      'a call of a tool that was not offered, reported as one turn too many',
      result({ subtype: 'error_max_turns', is_error: true, result: undefined }),
      seen({ text: '', stopReason: 'tool_use' }),
      { code: 'upstream_error' },
    ],
    ['a lost connection', error(null), half, { code: 'upstream_error' }],
    [
      'an error of the CLI itself',
      result({ subtype: 'error_during_execution', is_error: false }),
      whole,
      { code: 'upstream_error' },
    ],
    [
      'a success without a message',
      result(),
      none,
      { code: 'upstream_error', message: /without asking the model/ },
    ],
    [
      'a success after a message that broke off',
      result(),
      half,
      { code: 'upstream_error', message: /lost in the middle/ },
    ],
    [
      'a message that broke off',
      { cause: 'broken_off' },
      half,
      { code: 'upstream_error', message: /lost in the middle/ },
    ],
    [
      'a call of a tool that was not offered',
      { cause: 'stopped' },
      seen({ text: '', stopReason: 'tool_use' }),
      { code: 'upstream_error', message: /tool/ },
    ],
    [
      'a broken lock',
      { cause: 'lock_broken', breach: { kind: 'listing', found: ['tools: Bash'] } },
      none,
      { code: 'upstream_error', message: /did not allow/ },
    ],
    [
      'a hook that ran',
      { cause: 'lock_broken', breach: { kind: 'hook', found: ['Stop'] } },
      none,
      { code: 'upstream_error', message: /ran a hook/, shouldRetry: false },
    ],
    [
      'a version that is not proved',
      { cause: 'lock_broken', breach: { kind: 'version', found: ['version 2, proved 1'] } },
      none,
      { code: 'not_ready', message: /version of Claude Code is not proved/, retryAfter: 5 },
    ],
    [
      'an exit before the start',
      { cause: 'exit' },
      { ...none, initModel: undefined },
      { code: 'upstream_error', message: /could not be started/ },
    ],
    [
      'an end before the start without a connection to the API',
      { cause: 'exit' },
      { ...none, initModel: undefined, asked: false, dialFailure: 'getaddrinfo EAI_AGAIN api.anthropic.com' },
      { code: 'upstream_error', message: /could not reach the model/ },
    ],
    [
      'an exit in the middle',
      { cause: 'exit' },
      half,
      { code: 'upstream_error', message: /before it answered/ },
    ],
    ['garbage', { cause: 'garbage' }, half, { code: 'upstream_error', message: /printed unexpected output/ }],
    [
      'a turn that reaches REQ_TIMEOUT',
      { cause: 'timeout', afterMs: 300_000, limit: 'relay' },
      half,
      { code: 'upstream_timeout', message: /300 seconds \(REQ_TIMEOUT\)/ },
    ],
    [
      'a turn that reaches the request’s own timeout',
      { cause: 'timeout', afterMs: 20_000, limit: 'request' },
      half,
      { code: 'upstream_timeout', message: /20 seconds, the timeout of the request/ },
    ],
    [
      'a client that has left',
      { cause: 'aborted', error: clientGone() },
      half,
      { code: 'client_closed_request' },
    ],
    [
      'a stopped relay',
      { cause: 'aborted', error: shuttingDown() },
      half,
      { code: 'shutting_down', retryAfter: 5 },
    ],
  ];
  for (const [name, end, collected, expected] of rows) {
    test(`${name} is ${expected.code}`, () => {
      const outcome = judge(end, collected, now);
      assert.ok(!outcome.ok);
      const { code, message, details } = outcome.error;
      assert.equal(code, expected.code);
      assert.match(message, expected.message ?? /./);
      assert.doesNotMatch(message, /secret|API Error|halfway/);
      assert.deepEqual(
        [details.limit, details.retryAfter, details.shouldRetry],
        [expected.limit, expected.retryAfter, mayHaveSpent(end, collected) ? false : expected.shouldRetry],
      );
    });
  }
});

test('mayHaveSpent is false only for a turn that cannot have cost anything', () => {
  const unasked = { ...none, asked: false };
  const free: [TurnEnd, TurnEvidence][] = [
    [error(429), none],
    [error(500), none],
    [
      error(null, 'API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)'),
      none,
    ],
    [error(null, 'API Error: Unable to connect to API (ConnectionRefused)'), none],
    [{ cause: 'exit' }, { ...none, initModel: undefined }],
    [
      { cause: 'timeout', afterMs: 1, limit: 'relay' },
      { ...none, initModel: undefined },
    ],
    [
      { cause: 'aborted', error: clientGone() },
      { ...none, initModel: undefined },
    ],
    [{ cause: 'lock_broken', breach: { kind: 'listing', found: [] } }, none],
    // Nothing went out, whatever the CLI reports or does.
    [error(null, 'API Error: Connection to the API was lost (ECONNRESET). Try again.'), unasked],
    [{ cause: 'timeout', afterMs: 1, limit: 'relay' }, unasked],
    [{ cause: 'aborted', error: clientGone() }, unasked],
    [{ cause: 'exit' }, unasked],
  ];
  const spent: [TurnEnd, TurnEvidence][] = [
    [result(), whole],
    [error(null), half],
    // A reset takes with it what had arrived.
    [error(null, 'API Error: Connection to the API was lost (ECONNRESET). Try again.'), none],
    [error(null, 'API Error: Unable to connect to API (ECONNRESET)'), none],
    [error(null, 'API Error: No response from API (waited 5m)'), none],
    [error(null, 'API Error: Stream idle timeout - no chunks received'), none],
    // It was about to ask, and nobody knows whether it did.
    [{ cause: 'timeout', afterMs: 1, limit: 'relay' }, none],
    [{ cause: 'aborted', error: clientGone() }, none],
    [{ cause: 'exit' }, none],
    [{ cause: 'lock_broken', breach: { kind: 'listing', found: [] } }, half],
  ];
  for (const [end, was] of free) assert.equal(mayHaveSpent(end, was), false, JSON.stringify(end));
  for (const [end, was] of spent) assert.equal(mayHaveSpent(end, was), true, JSON.stringify(end));
});

describe('which models a used-up plan closes', () => {
  for (const [planLimit, closesModel] of [
    ['five_hour', undefined],
    ['seven_day', undefined],
    ['seven_day_opus', 'claude-opus-5-5'],
    ['seven_day_sonnet', 'claude-opus-5-5'],
    ['seven_day_overage_included', 'claude-opus-5-5'],
    ['overage', 'claude-opus-5-5'],
    ['of_tomorrow', 'claude-opus-5-5'],
    [undefined, 'claude-opus-5-5'],
  ] as const) {
    test(`${planLimit ?? 'no name'} closes ${closesModel === undefined ? 'all' : 'the family of the model that was refused'}`, () => {
      const refused = {
        ...none,
        initModel: 'claude-opus-5-5',
        planRefusal: { resetsAt: nowS + 7200, type: planLimit },
      };
      const outcome = judge(error(429), refused, nowS * 1000);
      assert.ok(!outcome.ok);
      const { message, details } = outcome.error;
      assert.deepEqual([details.limit, details.retryAfter, details.closesModel], ['plan', 7200, closesModel]);
      assert.match(message, /^The plan of the host is used up .*until 2026-01-01T02:00:00/);
      assert.equal(message.includes('for opus models'), closesModel !== undefined);
    });
  }
});
