/** Runs requests on the installed CLI: checks that the lock is proved, claims a waiting process or starts one, and starts the turn. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { fallbackHost, type HostEnv } from './lock.ts';
import { startLocked, type LockedProcess } from './locked-process.ts';
import type { Readiness } from './proof/readiness.ts';
import { createPool, type App, type Claimed, type PoolLimits, type PoolOptions } from './pool.ts';
import { createSchemas } from './schemas.ts';
import type { Conversation, ModelEvent, TurnStart } from '../conversation.ts';
import type { RelayError } from '../errors.ts';
import { runTurn, type FinishedTurn, type Turn } from './turn.ts';
import type { ValveProxy } from './valve/proxy.ts';

export type RunRequest = Conversation & {
  /** The key that asks: only its own requests share a process. */
  keyId: string;
  model: string;
  /** The login that asks; absent: that of the host. */
  login?: 'fallback' | undefined;
  /** Milliseconds the turn may take, if less than the relay's own limit. */
  timeoutMs?: number;
  /** See `TurnOptions`. */
  onEvent?: (event: ModelEvent) => void;
  onModel?: (resolved: string) => RelayError | undefined;
};

export type Runner = ReturnType<typeof createRunner>;

/** `start`: as it began; the one of the end differs when a process that had waited was replaced. */
export type RunningTurn = Pick<Turn, 'gone'> & {
  start: TurnStart;
  finished: Promise<FinishedTurn & { start: TurnStart }>;
};

export type RunnerOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  valves: Pick<ValveProxy, 'begin' | 'exact'>;
  readiness: Pick<Readiness, 'check' | 'lockBroken' | 'provedIdentity' | 'provedVersion' | 'hotProblem'>;
  timeoutMs: number;
  pool: PoolLimits;
  standingOf: PoolOptions['standingOf'];
  /** Requests that wait for a slot. */
  queued: () => number;
  /** Called once for each process, with what ended it (docs/metrics.md). Must not throw. */
  onProcessEnd?: (cause: string) => void;
  /** Starts a locked process of a model; tests replace it. */
  start?: (model: string, login?: RunRequest['login']) => LockedProcess;
};

/** A process that a turn takes. */
type Taken = Omit<Claimed, 'start'> & { waited: boolean };

export function createRunner(options: RunnerOptions) {
  const { claudeBin, hostEnv, valves, readiness, timeoutMs } = options;
  const processors = availableParallelism();
  /** The processes of turns before the model's first block: only these keep the processors busy. */
  const starting = new Set<LockedProcess>();

  const schemas = createSchemas();
  const second = fallbackHost(hostEnv);
  const start: NonNullable<RunnerOptions['start']> =
    options.start ??
    ((model, login) => {
      const env = login === undefined ? hostEnv : second;
      if (env === undefined) throw new Error('there is no second login');
      return startLocked({ claudeBin, hostEnv: env, valves, model });
    });
  const pool = createPool({
    ...options.pool,
    // Without its valve, nothing shows whether a process is done.
    hot: valves.exact ? options.pool.hot : 0,
    start,
    readiness,
    // On two processors a start would slow down a turn that has just begun.
    hasRoom: () => options.queued() === 0 && (starting.size === 0 || starting.size + 1 < processors),
    standingOf: options.standingOf,
    onEnd: options.onProcessEnd,
  });

  const begin = (taken: Taken, app: App, request: RunRequest, signal: AbortSignal, ms: number): Turn => {
    const { process, past } = taken;
    starting.add(process);
    const leave = (): void => {
      if (starting.delete(process)) setImmediate(() => pool.reconcile());
    };
    const turn = runTurn({
      request,
      process,
      ...(past === undefined ? {} : { past }),
      waited: taken.waited,
      rest: (now) => pool.rest(app, now, taken),
      timeoutMs: ms,
      timeoutOf: (request.timeoutMs ?? timeoutMs) < timeoutMs ? 'request' : 'relay',
      signal,
      onAsking: () => setTimeout(leave, askingMs),
      onAnswering: leave,
      ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
      ...(request.onModel === undefined ? {} : { onModel: request.onModel }),
      unsatisfied: schemas.unsatisfied,
      readiness,
    });
    void turn.finished.then(({ endedBy }) => {
      leave();
      if (endedBy !== undefined) options.onProcessEnd?.(endedBy);
    });
    return turn;
  };

  return {
    /** See `createSchemas`. */
    checkSchema: schemas.check,
    /** Throws `not_ready` when the lock is not proved. */
    run: (request: RunRequest, signal: AbortSignal): RunningTurn => {
      readiness.check();
      const identity = readiness.provedIdentity() ?? '';
      const app = appOf(request);
      const ms = Math.min(timeoutMs, request.timeoutMs ?? timeoutMs);
      const claimed = pool.claim(app);
      // What is missing now starts when that delays no request, and this one first of all.
      setImmediate(() => pool.reconcile());
      const startCold = (spentMs: number): Turn => {
        const taken = {
          process: start(request.model, request.login),
          identity,
          startedAt: performance.now(),
          past: undefined,
          waited: false,
        };
        return begin(taken, app, request, signal, Math.max(1, ms - spentMs));
      };
      if (claimed === undefined) return startedBy('spawn', startCold(0));
      return orElse(
        startedBy(claimed.start, begin({ ...claimed, waited: true }, app, request, signal, ms)),
        startCold,
      );
    },
    /** See `createPool`. */
    reconcile: pool.reconcile,
    spares: pool.spares,
    hot: () => ({ ...pool.hot(), ...(valves.exact ? {} : { off: elsewhere }) }),
    /** Whether valves hold what a process asks beyond its request, and why not. */
    valve: () => ({ exact: valves.exact, detail: valves.exact ? undefined : elsewhere }),
    /** Ends the waiting processes and the judge of schemas, not the turns. */
    close: async (): Promise<void> => {
      await Promise.all([pool.close(), schemas.close()]);
    },
  };
}

const elsewhere =
  'the model is asked at another provider, where the relay cannot hold a further request of the CLI';

function appOf({ keyId, model, login, system }: RunRequest): App {
  return { keyId, model, login, system: createHash('sha256').update(JSON.stringify(system)).digest('hex') };
}

/** After this long a request is on its way, and the process waits for the model. */
const askingMs = 250;

function startedBy(start: TurnStart, { finished, gone }: Turn): RunningTurn {
  return { start, finished: finished.then((turn) => ({ ...turn, start })), gone };
}

/** A process may have died unnoticed while it waited. If it fails before it asks the model, a new one takes its place. */
function orElse(first: RunningTurn, startCold: (spentMs: number) => Turn): RunningTurn {
  const ends = [first.gone];
  const finished = first.finished.then(async (turn) => {
    if (!turn.failedUnasked) return turn;
    const second = startedBy('spawn', startCold(turn.times.endedAt - turn.times.startedAt));
    ends.push(second.gone);
    const outcome = await second.finished;
    return { ...outcome, times: { ...outcome.times, startedAt: turn.times.startedAt } };
  });
  const gone = finished.then(() => Promise.all(ends)).then(() => {});
  return { start: first.start, finished, gone };
}
