/** Runs requests on the installed CLI: checks that the lock is proved, claims a spare or starts a process, and starts the turn. */
import { availableParallelism } from 'node:os';
import { lockedArgs, lockedEnv, type HostEnv } from './lock.ts';
import { startProcess, type ClaudeProcess } from './process.ts';
import type { Readiness } from './proof/readiness.ts';
import { createSpares } from './spares.ts';
import { createSchemas } from './schemas.ts';
import { canWarmUp } from './warm-up.ts';
import type { Conversation, ModelEvent } from '../conversation.ts';
import { runTurn, type FinishedTurn, type Turn } from './turn.ts';

export type RunRequest = Conversation & {
  model: string;
  /** Milliseconds the turn may take, if less than the relay's own limit. */
  timeoutMs?: number;
  /** See `TurnOptions.onEvent`. */
  onEvent?: (event: ModelEvent) => void;
};

export type Runner = ReturnType<typeof createRunner>;

/** `warm`: the turn began on a spare. */
export type RunningTurn = Turn & { warm: boolean };

export type RunnerOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  readiness: Pick<Readiness, 'check' | 'lockBroken' | 'provedIdentity' | 'provedVersion'>;
  timeoutMs: number;
  spares: { max: number; maxAgeMs: number; defaultModel: string };
  /** Requests that wait for a slot. */
  queued: () => number;
  /** Starts a locked process of a model; tests replace it. */
  start?: (model: string) => ClaudeProcess;
};

export function createRunner(options: RunnerOptions) {
  const { claudeBin, hostEnv, readiness, timeoutMs } = options;
  const processors = availableParallelism();
  /** The processes of turns before the model's first block: only these keep the processors busy. */
  const starting = new Set<ClaudeProcess>();

  const schemas = createSchemas();

  const startLocked =
    options.start ??
    ((model: string): ClaudeProcess =>
      startProcess({
        command: claudeBin,
        args: lockedArgs(model),
        env: (tmpDir) => lockedEnv(hostEnv, tmpDir),
        // Its spare or its turn reads it.
        listener: { onLine: () => {} },
      }));
  const spares = createSpares({
    ...options.spares,
    start: startLocked,
    warmUp: canWarmUp(hostEnv),
    readiness,
    // On two processors a start would slow down a turn that has just begun.
    hasRoom: () => options.queued() === 0 && (starting.size === 0 || starting.size + 1 < processors),
  });

  const begin = (process: ClaudeProcess, request: RunRequest, signal: AbortSignal, ms: number): Turn => {
    starting.add(process);
    const leave = (): void => {
      if (starting.delete(process)) setImmediate(() => spares.reconcile());
    };
    const turn = runTurn({
      request,
      process,
      timeoutMs: ms,
      timeoutOf: (request.timeoutMs ?? timeoutMs) < timeoutMs ? 'request' : 'relay',
      signal,
      onAsking: () => setTimeout(leave, askingMs),
      onAnswering: leave,
      ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
      unsatisfied: schemas.unsatisfied,
      readiness,
    });
    void turn.finished.then(leave);
    return turn;
  };

  return {
    /** See `createSchemas`. */
    checkSchema: schemas.check,
    /** Throws `not_ready` when the lock is not proved. The turn's process serves only this request. */
    run: (request: RunRequest, signal: AbortSignal): RunningTurn => {
      readiness.check();
      const ms = Math.min(timeoutMs, request.timeoutMs ?? timeoutMs);
      const spare = spares.claim(request.model);
      // The replacement starts when that delays no request, and this one first of all.
      setImmediate(() => spares.reconcile());
      const startCold = (spentMs: number): Turn =>
        begin(startLocked(request.model), request, signal, Math.max(1, ms - spentMs));
      if (spare === undefined) return { ...startCold(0), warm: false };
      return onSpare(begin(spare, request, signal, ms), startCold);
    },
    /** See `createSpares`. */
    reconcile: spares.reconcile,
    spares: spares.state,
    /** Ends the spares and the judge of schemas, not the turns. */
    close: async (): Promise<void> => {
      await Promise.all([spares.close(), schemas.close()]);
    },
  };
}

/** After this long a request is on its way, and the process waits for the model. */
const askingMs = 250;

/** A spare may have died unnoticed. If it exits before it was about to ask the model, a fresh process takes its place. */
function onSpare(first: Turn, startCold: (spentMs: number) => Turn): RunningTurn {
  const ends = [first.gone];
  const finished = first.finished.then(async (turn): Promise<FinishedTurn> => {
    if (!turn.exitedBeforeRequest) return turn;
    const second = startCold(turn.times.endedAt - turn.times.startedAt);
    ends.push(second.gone);
    const outcome = await second.finished;
    return { ...outcome, times: { ...outcome.times, startedAt: turn.times.startedAt } };
  });
  const gone = finished.then(() => Promise.all(ends)).then(() => {});
  return { finished, gone, warm: true };
}
