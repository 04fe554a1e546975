/**
 * Gives memory back when nobody has asked for a while.
 *
 * The runtime keeps what a busy minute made it take: V8 collects when something is allocated, and nothing is while nobody calls, and
 * the pages it has emptied it keeps for later. Measured after a load: 172 MB resident, 106 after a collection of the kind
 * that V8 makes when memory runs out (docs/benchmarks.md). It takes some 60 ms of the thread, so it waits for a quiet moment.
 */
export type IdleMemory = {
  /** Something was done that may have left garbage behind. */
  touch(): void;
  close(): void;
};

export type IdleMemoryOptions = {
  /** Whether nothing is under way. */
  isIdle: () => boolean;
  /** Milliseconds without a `touch` before it collects, and between two collections. */
  afterMs?: number;
  everyMs?: number;
  collect?: () => void;
  now?: () => number;
};

/** Begins as touched: a start leaves garbage, too. */
export function createIdleMemory(options: IdleMemoryOptions): IdleMemory {
  const { isIdle, afterMs = 5_000, everyMs = 60_000, now = () => performance.now() } = options;
  const collect = options.collect ?? collectAll;
  let touchedAt: number | undefined = now();
  let collectedAt = Number.NEGATIVE_INFINITY;
  const look = (): void => {
    const at = now();
    if (touchedAt === undefined || at - touchedAt < afterMs || at - collectedAt < everyMs || !isIdle())
      return;
    touchedAt = undefined;
    collectedAt = at;
    collect();
  };
  const timer = setInterval(look, Math.min(afterMs, 1000)).unref();
  return {
    touch: () => {
      touchedAt = now();
    },
    close: () => clearInterval(timer),
  };
}

/** Without `--expose-gc`, with which `bin/claude-relay` starts Node, it does nothing. */
function collectAll(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
