/**
 * The relay with everything but the CLI: keys, limits, ledger and log are on, and a runner that answers at once takes the place of
 * Claude Code. A separate process, configured by its environment; it prints its address when the lock is proved.
 */
import type { RunningTurn, Runner } from '../src/claude/runner.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/log.ts';
import { startRelay } from '../src/relay.ts';

const usage = {
  input_tokens: 20,
  output_tokens: 8,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

/** A turn of no duration. */
function finishedTurn(): Awaited<RunningTurn['finished']> {
  const now = performance.now();
  return {
    outcome: {
      ok: true,
      answer: {
        messageId: 'msg_bench',
        content: [{ type: 'text', text: 'The answer comes at once.' }],
        text: 'The answer comes at once.',
        stopReason: 'end_turn',
        stopSequence: null,
        resolvedModel: 'claude-haiku-4-5',
        usage,
        rawUsage: usage,
        costUsd: 0.001,
      },
    },
    times: { startedAt: now, initAt: now, firstTextAt: now, endedAt: now },
    usage,
    mayHaveSpent: true,
    failedUnasked: false,
    endedBy: 'result',
    start: 'claim',
  };
}

const runner: Runner = {
  checkSchema: () => Promise.resolve(),
  run: () => ({ finished: Promise.resolve(finishedTurn()), gone: Promise.resolve(), start: 'claim' }),
  reconcile: () => {},
  spares: () => ({ waiting: 0, warm: 0, rssBytes: 0 }),
  hot: () => ({ resting: 0, rssBytes: 0, off: undefined }),
  valve: () => ({ exact: true, detail: undefined }),
  close: async () => {},
};

async function serve(): Promise<void> {
  const config = loadConfig();
  const relay = await startRelay({
    config,
    claudeBin: config.claudeBin ?? '',
    log: createLog(config.logLevel),
    overrides: { runner },
  });
  process.once('disconnect', () => void relay.close());
  await relay.readiness.settled();
  process.send?.({ url: relay.url, ready: relay.readiness.state().phase === 'proved' });
}

// Started by hand it does nothing but have its modules compiled, which fills the cache of compiled files.
if (process.send !== undefined) await serve();
