/** The relay in this process, with a script in the place of Claude Code: all that a client sees of it is real. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runner, RunRequest } from '../../src/claude/runner.ts';
import type { FinishedTurn } from '../../src/claude/turn.ts';
import { loadConfig } from '../../src/config.ts';
import { RelayError } from '../../src/errors.ts';
import type { KeyGrants } from '../../src/keys/key.ts';
import { openKeys } from '../../src/keys/store.ts';
import { createLog } from '../../src/log.ts';
import { startRelay } from '../../src/relay.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { newest, sleep } from './relay.ts';

export type Script = {
  /** The pieces of the answer. */
  text?: readonly string[];
  delayMs?: number;
  stopReason?: string;
  /** With a schema: the value that it has. */
  value?: unknown;
  /** What happens after the text, instead of an end. */
  error?: RelayError;
  hang?: true;
};

export type ScriptedRelay = {
  url: string;
  key: string;
  dataDir: string;
  /** What the model does from now on: the last one stays. */
  say: (...scripts: Script[]) => void;
  asked: RunRequest[];
  /** Turns that have not ended. */
  running: () => number;
  mint: (label: string, grants?: KeyGrants) => string;
  close: () => Promise<void>;
};

const usage = {
  input_tokens: 20,
  output_tokens: 8,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

export async function startScriptedRelay(settings: Record<string, string> = {}): Promise<ScriptedRelay> {
  const scratch = mkdtempSync(join(tmpdir(), 'relay-scripted-'));
  const asked: RunRequest[] = [];
  let scripts: Script[] = [{ text: ['hello'] }];
  let running = 0;

  const play = async (request: RunRequest, signal: AbortSignal): Promise<FinishedTurn> => {
    const script = (scripts.length > 1 ? scripts.shift() : scripts[0]) ?? {};
    const { text = [], delayMs = 0, stopReason = 'end_turn', value, error, hang } = script;
    const startedAt = performance.now();
    const resolvedModel = `claude-${request.model}-5`;
    const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    const ended = (outcome: FinishedTurn['outcome']): FinishedTurn => ({
      outcome,
      times: { startedAt, initAt: startedAt, firstTextAt: startedAt, endedAt: performance.now() },
      usage,
      requests: 1,
      mayHaveSpent: text.length > 0,
      diedUnasked: false,
    });
    if (text.length > 0) request.onEvent?.({ type: 'message_start', message: { model: resolvedModel } });
    for (const piece of text) {
      request.onEvent?.({
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'text_delta', text: piece },
      });
      if (delayMs > 0) await Promise.race([sleep(delayMs), gone]);
    }
    if (hang) await gone;
    if (signal.aborted) {
      return ended({ ok: false, error: new RelayError('client_closed_request', 'The client has gone.') });
    }
    if (error !== undefined) return ended({ ok: false, error });
    const whole = value === undefined ? text.join('') : JSON.stringify(value);
    const answer = {
      messageId: 'msg_script',
      content: [{ type: 'text', text: whole }],
      text: whole,
      ...(value === undefined ? {} : { structured: value }),
      stopReason,
      stopSequence: null,
      resolvedModel,
      usage,
      rawUsage: usage,
      costUsd: 0.001,
    };
    return ended({ ok: true, answer });
  };
  const runner: Runner = {
    checkSchema: () => Promise.resolve(),
    run: (request, signal) => {
      asked.push(request);
      running += 1;
      const finished = play(request, signal).finally(() => (running -= 1));
      return { finished, gone: finished.then(() => {}), warm: true };
    },
    tend: () => {},
    spares: () => ({ waiting: 0, rssBytes: 0 }),
    close: async () => {},
  };

  const dataDir = join(scratch, 'data');
  const off = { PER_KEY_RPM: '0', PER_KEY_DAILY: '0', GLOBAL_DAILY: '0', WARM_SPARES: '0' };
  const config = loadConfig({
    env: {
      HOME: scratch,
      PATH: process.env['PATH'] ?? '',
      DATA_DIR: dataDir,
      PORT: '0',
      LOG_LEVEL: 'silent',
      ...off,
      ...settings,
    },
  });
  const relay = await startRelay({
    config,
    claudeBin: newest,
    log: createLog(config.logLevel),
    overrides: { runner },
  });
  const mint = (label: string, grants: KeyGrants = {}): string => {
    const store = openStore(dataDir, { waitMs: 5000 });
    try {
      return openKeys(store).create(label, grants, 'test').token;
    } finally {
      store.close();
    }
  };
  const close = async (): Promise<void> => {
    await relay.close();
    rmSync(scratch, { recursive: true, force: true });
  };
  await relay.readiness.settled();
  if (relay.readiness.state().phase !== 'proved') {
    await close();
    throw new Error(`the relay is not ready: ${JSON.stringify(relay.readiness.state())}`);
  }
  return {
    url: relay.url,
    key: mint('test'),
    dataDir,
    say: (...next) => (scripts = next),
    asked,
    running: () => running,
    mint,
    close,
  };
}
