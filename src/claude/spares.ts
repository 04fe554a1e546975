/**
 * Spares: locked processes that wait, so that a request need not wait for a start. Each serves one request and ends; no two
 * requests share one. They hold no request's data: the caller's text is sent to a spare only when a request has claimed it.
 */
import { readFileSync } from 'node:fs';
import { breachIn } from './breach.ts';
import type { ClaudeProcess } from './process.ts';
import type { Readiness } from './proof/readiness.ts';
import { parseLine } from './protocol.ts';
import { startWarmUp, type WarmUp } from './warm-up.ts';

export type SparesOptions = {
  /** How many may wait (WARM_SPARES). */
  max: number;
  /** Milliseconds after which a spare is replaced (SPARE_MAX_AGE): a login it read at its start can expire. */
  maxAgeMs: number;
  defaultModel: string;
  /** Starts a locked process. */
  start: (model: string) => ClaudeProcess;
  /** See `canWarmUp`; otherwise a spare only waits. */
  warmUp: boolean;
  /** Without a proved identity, no spare may wait. */
  readiness: Pick<Readiness, 'provedIdentity' | 'provedVersion' | 'lockBroken'>;
  /** Whether the processors have time for a start that no request waits for. */
  hasRoom: () => boolean;
  now?: () => number;
};

type Spare = {
  model: string;
  process: ClaudeProcess;
  identity: string;
  startedAt: number;
  warmUp: WarmUp | undefined;
};

/** Requests whose models are remembered. */
const remembered = 16;
/** A spare that exits is not replaced at once: a CLI that cannot start must not be started in a loop. */
const firstBackoffMs = 1000;
const longestBackoffMs = 60_000;
const reconcileEveryMs = 1000;
/** A warm-up takes a fraction of a second; after this long it will not end. */
const warmUpTimeoutMs = 30_000;

export function createSpares(options: SparesOptions) {
  const now = options.now ?? (() => performance.now());
  const waiting = new Set<Spare>();
  const ending = new Set<Promise<void>>();
  const recent: string[] = [];
  let closed = false;
  let backoffMs = firstBackoffMs;
  let notBefore = 0;
  /** The identity of the CLI that does not take part in a warm-up. */
  let warmUpUnsupportedBy: string | undefined;

  const dismiss = (spare: Spare): void => {
    waiting.delete(spare);
    spare.process.finish();
    spare.process.terminate();
    const gone = spare.process.gone.finally(() => ending.delete(gone));
    ending.add(gone);
  };

  const isUsable = (spare: Spare, identity: string | undefined): boolean =>
    spare.identity === identity &&
    now() - spare.startedAt < (isClaimable(spare) ? options.maxAgeMs : warmUpTimeoutMs);

  const begin = (model: string, identity: string): void => {
    const process = options.start(model);
    const spare: Spare = { model, process, identity, startedAt: now(), warmUp: undefined };
    waiting.add(spare);
    let ended = false;
    const onEnd = (): void => {
      ended = true;
      if (!waiting.delete(spare)) return;
      process.kill();
      notBefore = now() + backoffMs;
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
    };
    const onLine = (text: string): void => {
      if (ended) return;
      const event = parseLine(text);
      if (event === undefined) return onEnd();
      const breach = breachIn(event, options.readiness.provedVersion());
      if (breach === undefined) return spare.warmUp?.onEvent(event);
      onEnd();
      options.readiness.lockBroken(breach);
    };
    process.listener = { onLine, onGarbage: onEnd, onExit: onEnd };
    if (!options.warmUp || identity === warmUpUnsupportedBy) return;
    spare.warmUp = startWarmUp(process, () => {
      warmUpUnsupportedBy = identity;
      if (waiting.has(spare)) dismiss(spare);
    });
  };

  /** Starts what is missing and ends what is no longer wanted; call it when something may have changed. */
  const reconcile = (): void => {
    if (closed) return;
    const identity = options.readiness.provedIdentity();
    for (const spare of waiting) {
      if (!isUsable(spare, identity)) dismiss(spare);
    }
    if (identity === undefined || options.max === 0) return;
    const wanted = planSpares(recent, options.max, options.defaultModel);
    const surplus: Spare[] = [];
    for (const spare of waiting) {
      const index = wanted.indexOf(spare.model);
      if (index === -1) surplus.push(spare);
      else wanted.splice(index, 1);
    }
    for (const model of wanted) {
      if (now() < notBefore || !options.hasRoom()) return;
      const unwanted = surplus.pop();
      if (unwanted !== undefined) dismiss(unwanted);
      begin(model, identity);
    }
  };

  const timer = options.max === 0 ? undefined : setInterval(reconcile, reconcileEveryMs).unref();

  return {
    /** A waiting process of the model, for this caller alone; undefined without one. */
    claim: (model: string): ClaudeProcess | undefined => {
      recent.push(model);
      if (recent.length > remembered) recent.shift();
      const identity = options.readiness.provedIdentity();
      for (const spare of waiting) {
        if (spare.model !== model || !isUsable(spare, identity) || !isClaimable(spare)) continue;
        waiting.delete(spare);
        backoffMs = firstBackoffMs;
        return spare.process;
      }
      return undefined;
    },
    reconcile,
    state: () => {
      const all = [...waiting];
      return {
        waiting: all.length,
        /** The number of waiting spares that are warmed up. */
        warm: all.filter(({ warmUp }) => warmUp?.isDone() ?? true).length,
        /** Resident memory of all of them in bytes; 0 where there is no /proc. */
        rssBytes: all.reduce((sum, { process }) => sum + residentBytes(process.pid), 0),
      };
    },
    /** Ends all of them; resolves when none is left. No more are started. */
    close: async (): Promise<void> => {
      closed = true;
      clearInterval(timer);
      for (const spare of waiting) dismiss(spare);
      await Promise.all(ending);
    },
  };
}

function isClaimable(spare: Spare): boolean {
  return spare.warmUp?.isClaimable() ?? true;
}

const pageBytes = 4096;

function residentBytes(pid: number | undefined): number {
  try {
    const [, resident] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return Number(resident) * pageBytes;
  } catch {
    return 0;
  }
}

/**
 * The models of `max` spares, in proportion to the requests for each (`recent`, oldest first; a later one has more weight), the most
 * wanted first. Without requests: the default model.
 */
export function planSpares(recent: readonly string[], max: number, defaultModel: string): string[] {
  const asked = recent.length === 0 ? [defaultModel] : recent;
  const weight = new Map<string, number>();
  for (const [index, model] of asked.entries()) {
    weight.set(model, (weight.get(model) ?? 0) + (index + 1) / asked.length);
  }
  const plan: string[] = [];
  const next = (model: string): number =>
    (weight.get(model) ?? 0) / (plan.filter((planned) => planned === model).length + 1);
  while (plan.length < max) {
    plan.push([...weight.keys()].reduce((best, model) => (next(model) > next(best) ? model : best)));
  }
  return plan;
}
