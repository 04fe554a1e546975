/** The runner on a real CLI and the stand-in, without HTTP: shows a conversation on both sides of the CLI. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PoolLimits } from '../../src/claude/pool.ts';
import { createRunner, type RunRequest, type Runner } from '../../src/claude/runner.ts';
import type { FinishedTurn } from '../../src/claude/turn.ts';
import type { Seal } from '../../src/claude/seal/seal.ts';
import { startValveProxy } from '../../src/claude/valve/proxy.ts';
import type { Answer, ModelEvent, TurnStart } from '../../src/conversation.ts';
import type { RelayError } from '../../src/errors.ts';
import {
  type FailingModel,
  type ReplyFunction,
  type SeenRequest,
  startFailingModel,
} from './failing-model.ts';

export type Asked = {
  turn: FinishedTurn;
  start: TurnStart;
  events: ModelEvent[];
  /** The requests that reached the model. */
  requests: readonly SeenRequest[];
  answer: () => Answer;
  error: () => RelayError;
};

export type TestRunner = {
  runner: Runner;
  model: FailingModel;
  home: string;
  /** One conversation, by default with the model `opus`; resolves when its process is gone. */
  ask: (request: Partial<RunRequest>, signal?: AbortSignal) => Promise<Asked>;
  /** Lists that broke the lock. */
  broken: string[][];
  close: () => Promise<void>;
};

export async function startTestRunner(options: {
  claudeBin: string;
  reply?: ReplyFunction;
  spares?: number;
  hot?: number;
  pool?: Partial<PoolLimits>;
  standingOf?: (keyId: string) => string | undefined;
  timeoutMs?: number;
  seal?: Seal;
  /** The test's own home directory, which is not removed. */
  home?: string;
  /** Further environment (a login, a proxy); undefined removes a variable. */
  env?: Readonly<Record<string, string | undefined>>;
}): Promise<TestRunner> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'runner-home-'));
  const model = await startFailingModel({
    reply: options.reply ?? (() => ({ kind: 'text', text: 'hello' })),
    keep: 1000,
  });
  const broken: string[][] = [];
  const hostEnv = {
    HOME: home,
    PATH: process.env['PATH'],
    ANTHROPIC_API_KEY: 'sk-ant-stub',
    ANTHROPIC_BASE_URL: model.url,
    ...options.env,
  };
  const valves = await startValveProxy(hostEnv, options.seal);
  const runner = createRunner({
    claudeBin: options.claudeBin,
    hostEnv,
    readiness: {
      check: () => {},
      provedIdentity: () => 'proved',
      provedVersion: () => undefined,
      lockBroken: ({ found }) => broken.push([...found]),
      hotProblem: () => undefined,
    },
    timeoutMs: options.timeoutMs ?? 60_000,
    valves,
    pool: {
      spares: options.spares ?? 0,
      hot: options.hot ?? 0,
      hotIdleMs: 600_000,
      maxAgeMs: 600_000,
      memoryBytes: 2 ** 40,
      defaultModel: 'opus',
      ...options.pool,
    },
    standingOf: options.standingOf ?? (() => 'live'),
    queued: () => 0,
  });
  return {
    runner,
    model,
    home,
    broken,
    ask: async (request, signal = new AbortController().signal) => {
      const before = model.requests.length;
      const events: ModelEvent[] = [];
      const { finished, gone } = runner.run(
        {
          system: ['Be brief.'],
          messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
          keyId: 'key',
          model: 'opus',
          onEvent: (event) => events.push(event),
          ...request,
        },
        signal,
      );
      const turn = await finished;
      await gone;
      const { outcome } = turn;
      return {
        turn,
        start: turn.start,
        events,
        requests: model.requests.slice(before),
        answer: () => {
          if (!outcome.ok) throw outcome.error;
          return outcome.answer;
        },
        error: () => {
          if (outcome.ok) throw new Error(`an answer: ${JSON.stringify(outcome.answer)}`);
          return outcome.error;
        },
      };
    },
    close: async () => {
      await runner.close();
      await valves.close();
      await model.close();
      if (options.home === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
}
