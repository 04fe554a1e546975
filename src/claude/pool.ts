/**
 * The waiting processes: spares, which wait for anybody, and hot processes, which rest for one app.
 *
 * A spare has had no request. A hot process has had requests of one key, with one model and one system prompt, and only that key's next
 * request with the same two can claim it: what it still holds never meets another app's request. Every conversation replaces the one
 * before in the body of the CLI's request, so that nothing of a request is in the next (docs/adr/009-hot-processes.md).
 */
import { readFileSync } from 'node:fs';
import { breachIn } from './breach.ts';
import type { LockedProcess } from './locked-process.ts';
import type { Readiness } from './proof/readiness.ts';
import { parseLine, type CliEvent } from './protocol.ts';
import { planSpares } from './spare-plan.ts';
import type { ProcessPast } from './turn.ts';
import { restLine } from './turn-lines.ts';
import { startWarmUp, type WarmUp } from './warm-up.ts';

export type PoolLimits = {
  /** How many spares wait (WARM_SPARES). */
  spares: number;
  /** How many hot processes rest (HOT_PROCESSES). */
  hot: number;
  /** Milliseconds that a hot process rests (HOT_IDLE). */
  hotIdleMs: number;
  /** Milliseconds after its start when a process is replaced (SPARE_MAX_AGE): a login it read then can expire. */
  maxAgeMs: number;
  /** Resident bytes of all waiting processes together (WAITING_MEMORY). */
  memoryBytes: number;
  defaultModel: string;
};

export type PoolOptions = PoolLimits & {
  /** Starts a locked process. */
  start: (model: string) => LockedProcess;
  /** Without a proved identity, no process may wait. */
  readiness: Pick<Readiness, 'provedIdentity' | 'provedVersion' | 'lockBroken' | 'hotProblem'>;
  /** Whether the processors have time for a start that no request waits for. */
  hasRoom: () => boolean;
  /** Changes when the key is rotated; undefined once it is revoked or disabled, or has expired. Throws when that cannot be read. */
  standingOf: (keyId: string) => string | undefined;
  /** Called once for each process that ends while it waits. Must not throw. */
  onEnd?: ((cause: WaitEnd) => void) | undefined;
  now?: () => number;
  /** Bytes of memory that processes can still have. */
  availableMemory?: () => number;
  residentBytes?: (pid: number | undefined) => number;
};

/** It is not wanted any more; or it failed. */
export type WaitEnd = 'dismissed' | 'failed';

/** Whose requests a hot process serves. */
export type App = {
  keyId: string;
  model: string;
  /** A digest of the system prompt. */
  system: string;
  /** The second login; absent: that of the host, which spares have, too. */
  login?: 'fallback' | undefined;
};

type Waiting = {
  process: LockedProcess;
  model: string;
  identity: string;
  startedAt: number;
  /** When it began to wait. */
  since: number;
};
type Spare = Waiting & { warmUp: WarmUp };
type Hot = Waiting & { app: App; standing: string; past: ProcessPast };

export type Claimed = Pick<Hot, 'process' | 'identity' | 'startedAt'> & {
  start: 'hot' | 'claim';
  past: ProcessPast | undefined;
};

/** Requests whose models are remembered. */
const remembered = 16;
/** A spare that exits is not replaced at once: a CLI that cannot start must not be started in a loop. */
const firstBackoffMs = 1000;
const longestBackoffMs = 60_000;
/** A revoked key's processes are gone within a second. */
const reconcileEveryMs = 500;
/** A process grows by 0.5 to 3 MB a turn (2.1.197, 2.1.332). */
const mostTurns = 200;
const mostBytes = 384 * 1024 * 1024;
/** A server ends a silent connection by itself, at times while a request is on its way: the usual least is a minute. */
const connectionIdleMs = 30_000;
/** With less, resting processes end, one at a time. */
const leastAvailableBytes = 256 * 1024 * 1024;

export function createPool(options: PoolOptions) {
  const now = options.now ?? (() => performance.now());
  const availableMemory = options.availableMemory ?? (() => process.availableMemory());
  const bytesOf = ({ process: { pid } }: Waiting): number => (options.residentBytes ?? residentBytes)(pid);
  const spares = new Set<Spare>();
  const hot = new Set<Hot>();
  const ending = new Set<Promise<void>>();
  const recent: string[] = [];
  let closed = false;
  let backoffMs = firstBackoffMs;
  let notBefore = 0;
  /** The identity of the CLI that does not take part in a warm-up. */
  let rehearsesNot: string | undefined;

  const dismiss = (waiting: Spare | Hot, cause: WaitEnd = 'dismissed'): Promise<void> => {
    options.onEnd?.(cause);
    if ('warmUp' in waiting && spares.delete(waiting)) waiting.warmUp.stop();
    else hot.delete(waiting as Hot);
    waiting.process.finish();
    waiting.process.terminate();
    const gone = waiting.process.gone.finally(() => ending.delete(gone));
    ending.add(gone);
    return gone;
  };

  /** Listens to a process that waits. `onEnd` is called once, when it is of no use any more. */
  const watch = (waiting: Spare | Hot, onEvent: (event: CliEvent) => void, onEnd: () => void): void => {
    const { process } = waiting;
    const isWaiting = (): boolean => spares.has(waiting as Spare) || hot.has(waiting as Hot);
    const end = (): void => {
      if (!isWaiting()) return;
      void dismiss(waiting, 'failed');
      process.kill();
      onEnd();
    };
    const onLine = (text: string): void => {
      if (!isWaiting()) return;
      const event = parseLine(text);
      if (event === undefined) return end();
      const breach = breachIn(event, options.readiness.provedVersion());
      if (breach !== undefined) {
        end();
        return options.readiness.lockBroken(breach);
      }
      // A warm-up that is refused remembers that first.
      onEvent(event);
      if (event.kind === 'control_response' && !event.ok) end();
    };
    process.listener = { onLine, onGarbage: end, onExit: end };
    // It would ask something that nobody has asked it.
    process.valve.onHeld = end;
  };

  const beginSpare = (model: string, identity: string): void => {
    const process = options.start(model);
    const at = now();
    const warmUp = startWarmUp(process, {
      rehearses: process.valve.exact && identity !== rehearsesNot,
      onFailed: () => {
        rehearsesNot = identity;
        if (spares.has(spare)) void dismiss(spare, 'failed');
      },
    });
    const spare: Spare = { model, process, identity, startedAt: at, since: at, warmUp };
    spares.add(spare);
    watch(spare, warmUp.onEvent, () => {
      notBefore = now() + backoffMs;
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
    });
  };

  const isFresh = ({ identity, startedAt }: Waiting): boolean =>
    identity === options.readiness.provedIdentity() && now() - startedAt < options.maxAgeMs;
  const mayRest = (waiting: Hot): boolean =>
    hotOff() === undefined &&
    isFresh(waiting) &&
    now() - waiting.since < options.hotIdleMs &&
    standingOf(waiting.app.keyId) === waiting.standing;
  /** A key that cannot be looked up gets a new process. */
  const standingOf = (keyId: string): string | undefined => {
    try {
      return options.standingOf(keyId);
    } catch {
      return undefined;
    }
  };
  /** The least recently used of the app's key that has most: an app that varies its system prompt pushes out its own. */
  const leastWanted = (): Hot | undefined => {
    const perKey = new Map<string, number>();
    for (const { app } of hot) perKey.set(app.keyId, (perKey.get(app.keyId) ?? 0) + 1);
    const most = Math.max(...perKey.values());
    return [...hot].find(({ app }) => perKey.get(app.keyId) === most);
  };
  const memoryOf = (waiting: Iterable<Waiting>): number =>
    [...waiting].reduce((sum, each) => sum + bytesOf(each), 0);
  const isTooMuch = (): boolean => memoryOf(spares) + memoryOf(hot) > options.memoryBytes;
  /** Ends hot processes until the rest fits; resolves when they are gone. */
  const makeRoom = (): Promise<unknown> => {
    const left: Promise<void>[] = [];
    for (let least = leastWanted(); least !== undefined; least = leastWanted()) {
      if (hot.size <= options.hot && !isTooMuch()) break;
      left.push(dismiss(least));
    }
    return Promise.all(left);
  };

  /** Starts what is missing and ends what is no longer wanted; call it when something may have changed. */
  const reconcile = (): void => {
    if (closed) return;
    for (const waiting of hot) {
      if (!mayRest(waiting)) void dismiss(waiting);
      else if (now() - waiting.since > connectionIdleMs) waiting.process.valve.hangUp();
    }
    void makeRoom();
    const least = availableMemory() < leastAvailableBytes ? leastWanted() : undefined;
    if (least !== undefined) void dismiss(least);
    for (const spare of spares) if (!isFresh(spare)) void dismiss(spare);
    const identity = options.readiness.provedIdentity();
    if (identity === undefined || options.spares === 0) return;
    const wanted = planSpares(recent, options.spares, options.defaultModel);
    const surplus: Spare[] = [];
    for (const spare of spares) {
      const index = wanted.indexOf(spare.model);
      if (index === -1) surplus.push(spare);
      else wanted.splice(index, 1);
    }
    for (const model of wanted) {
      if (now() < notBefore || !options.hasRoom() || isTooMuch()) return;
      const unwanted = surplus.pop();
      if (unwanted !== undefined) void dismiss(unwanted);
      beginSpare(model, identity);
    }
  };
  const timer =
    options.spares + options.hot === 0 ? undefined : setInterval(reconcile, reconcileEveryMs).unref();

  /** Why no process can rest, as a sentence; undefined when it can. */
  const hotOff = (): string | undefined =>
    options.hot === 0 ? 'HOT_PROCESSES is 0' : options.readiness.hotProblem();

  return {
    /** A waiting process for this request alone; undefined without one. */
    claim: (app: App): Claimed | undefined => {
      const hottest = [...hot].findLast((each) => isSameApp(each.app, app) && mayRest(each));
      if (hottest !== undefined) {
        hot.delete(hottest);
        return { ...hottest, start: 'hot' };
      }
      if (app.login !== undefined) return undefined;
      recent.push(app.model);
      if (recent.length > remembered) recent.shift();
      for (const spare of spares) {
        if (spare.model !== app.model || !isFresh(spare) || !spare.warmUp.isClaimable()) continue;
        spares.delete(spare);
        spare.warmUp.stop();
        backoffMs = firstBackoffMs;
        return { ...spare, start: 'claim', past: undefined };
      }
      return undefined;
    },
    /**
     * Lets a process rest for its app's next request. Resolves when it rests and what had to give way is gone; undefined: it must end.
     */
    rest: (
      app: App,
      past: ProcessPast,
      { process, identity, startedAt }: Pick<Waiting, 'process' | 'identity' | 'startedAt'>,
    ): Promise<void> | undefined => {
      const standing = standingOf(app.keyId);
      const waiting = { process, model: app.model, identity, startedAt, since: now() };
      if (closed || hotOff() !== undefined || !process.valve.exact || standing === undefined)
        return undefined;
      if (!isFresh(waiting) || past.turns >= mostTurns || bytesOf(waiting) > mostBytes) return undefined;
      if (availableMemory() < leastAvailableBytes) return undefined;
      const resting: Hot = { ...waiting, app, standing, past };
      hot.add(resting);
      watch(
        resting,
        () => {},
        () => {},
      );
      process.write(restLine(`rest-${past.turns}`));
      return makeRoom().then(() => {});
    },
    reconcile,
    spares: () => ({
      waiting: spares.size,
      /** The number of waiting spares that are warmed up. */
      warm: [...spares].filter(({ warmUp }) => warmUp.isDone()).length,
      /** Resident memory of all of them in bytes; 0 where there is no /proc. */
      rssBytes: memoryOf(spares),
    }),
    hot: () => ({
      resting: hot.size,
      rssBytes: memoryOf(hot),
      off: hotOff(),
    }),
    /** Ends all of them; resolves when none is left. No more are started. */
    close: async (): Promise<void> => {
      closed = true;
      clearInterval(timer);
      for (const waiting of [...spares, ...hot]) void dismiss(waiting);
      await Promise.all(ending);
    },
  };
}

function isSameApp(a: App, b: App): boolean {
  return a.keyId === b.keyId && a.model === b.model && a.system === b.system && a.login === b.login;
}

const pageBytes = 4096;

/** With its descendants: a sealed process is the child of a small one. */
export function residentBytes(pid: number | string | undefined): number {
  try {
    const [, resident] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? [];
    return children.reduce((sum, child) => sum + residentBytes(child), Number(resident) * pageBytes);
  } catch {
    return 0;
  }
}
