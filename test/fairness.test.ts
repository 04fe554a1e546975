/** One app with many long jobs, with default settings, and what is left for another: the whole relay with a runner that is scripted. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RunRequest, Runner, RunningTurn } from '../src/claude/runner.ts';
import type { FinishedTurn } from '../src/claude/turn.ts';
import { loadConfig } from '../src/config.ts';
import { RelayError } from '../src/errors.ts';
import { openKeys } from '../src/keys/store.ts';
import { createLog } from '../src/log.ts';
import { startRelay } from '../src/relay.ts';
import { openStore } from '../src/store/sqlite.ts';
import { eventually, newest } from './support/relay.ts';

const usage = {
  input_tokens: 1,
  output_tokens: 1,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

function finished(outcome: FinishedTurn['outcome']): FinishedTurn {
  const now = performance.now();
  return {
    outcome,
    times: { startedAt: now, initAt: now, endedAt: now },
    usage,
    mayHaveSpent: true,
    requests: 1,
    exitedBeforeRequest: false,
  };
}

const answered: FinishedTurn['outcome'] = {
  ok: true,
  answer: {
    messageId: 'msg_1',
    content: [{ type: 'text', text: 'done' }],
    text: 'done',
    stopReason: 'end_turn',
    stopSequence: null,
    resolvedModel: 'claude-haiku-4-5',
    usage,
    rawUsage: usage,
    costUsd: 0,
  },
};

/** A prompt with "long" in it runs until it is ended; any other is answered at once. */
function scripted(): Runner & { running: () => number } {
  let running = 0;
  return {
    running: () => running,
    checkSchema: async () => {},
    run: (request: RunRequest, signal: AbortSignal): RunningTurn => {
      if (!JSON.stringify(request.messages).includes('long')) {
        return { finished: Promise.resolve(finished(answered)), gone: Promise.resolve(), warm: true };
      }
      running += 1;
      const ended = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          running -= 1;
          resolve();
        });
      });
      const error = new RelayError('shutting_down', 'The relay was stopped.');
      return { finished: ended.then(() => finished({ ok: false, error })), gone: ended, warm: true };
    },
    reconcile: () => {},
    spares: () => ({ waiting: 0, warm: 0, rssBytes: 0 }),
    close: async () => {},
  };
}

test('18 long jobs of one key take nothing from two others: each of their requests is answered', async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'fairness-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const config = loadConfig({
    env: {
      HOME: scratch,
      PATH: process.env['PATH'],
      DATA_DIR: join(scratch, 'data'),
      PORT: '0',
      DRAIN_TIMEOUT: '0',
    },
  });
  const store = openStore(config.dataDir);
  const keys = openKeys(store);
  const [busy, quick, third] = ['busy', 'quick', 'third'].map(
    (label) => keys.create(label, {}, 'test').token,
  );
  store.close();
  const runner = scripted();
  const relay = await startRelay({
    config,
    claudeBin: newest,
    log: createLog('silent'),
    overrides: { runner },
  });
  t.after(() => relay.close());
  await relay.readiness.settled();
  const call = (path: string, key: string | undefined, body?: object): Promise<Response> =>
    fetch(`${relay.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  const jobs = await Promise.all(
    Array.from({ length: 18 }, () => call('/v1/complete', busy, { prompt: 'a long one', async: true })),
  );
  assert.deepEqual(
    jobs.map(({ status }) => status),
    Array.from({ length: 18 }, () => 202),
    'all of them are taken: two run, and sixteen wait',
  );
  await eventually('two jobs run', () => runner.running() === 2);

  const statuses: number[] = [];
  for (let n = 0; n < 19; n += 1) {
    for (const key of [quick, third]) {
      statuses.push((await call('/v1/complete', key, { prompt: 'hi' })).status);
    }
  }
  assert.deepEqual(
    statuses,
    Array.from({ length: 38 }, () => 200),
  );
  assert.equal(runner.running(), 2, 'the jobs run all along');
  const { status, body } = await call('/v1/complete', busy, { prompt: 'another long one' }).then(
    async (response) => ({
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
    }),
  );
  assert.deepEqual([status, body['limit']], [429, 'queue_full'], 'half of the queue is full with its own');

  const told = (await (await call('/v1/usage', busy)).json()) as Record<
    'limits' | 'fetch_limits',
    { concurrency: { limit: number } }
  >;
  assert.deepEqual(
    [told.limits.concurrency.limit, told.fetch_limits.concurrency.limit],
    [config.limits.lanes.complete.concurrency - 1, config.limits.lanes.fetch.concurrency - 1],
  );
});
