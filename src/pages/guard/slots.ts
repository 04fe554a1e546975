/** Limits the tasks of each name that run at once. The others wait in a bounded queue that is fair to the keys. */
import { RelayError } from '../../errors.ts';
import { FairQueue, mayWait } from '../../fair-queue.ts';

export type Slots = {
  /** Runs the key's `work` when `name` has a free slot. Throws `rate_limited` when the queue is full. */
  use<T>(name: string, keyId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
};

type Line = { running: number; readonly waiting: FairQueue<() => void> };

export type SlotLimits = {
  /** Tasks of one name that run at once. */
  readonly each: number;
  /** Tasks in the queues of all names; see `mayWait`. */
  readonly waiting: number;
};

export function createSlots({ each, waiting: maxWaiting }: SlotLimits): Slots {
  const lines = new Map<string, Line>();
  let waitingInAll = 0;
  const waitingOf = (keyId: string): number =>
    [...lines.values()].reduce((sum, { waiting }) => sum + waiting.of(keyId), 0);

  const wait = async (line: Line, keyId: string, signal: AbortSignal): Promise<void> => {
    if (!mayWait(maxWaiting, waitingInAll, waitingOf(keyId))) {
      throw new RelayError('rate_limited', 'Too many fetches are waiting. Try again in a moment.', {
        limit: 'target_host',
        retryAfter: 5,
      });
    }
    waitingInAll += 1;
    let abort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        abort = () => {
          // Immediately, so that a task that has left is not given a slot.
          line.waiting.remove(keyId, resolve);
          reject(signal.reason as Error);
        };
        line.waiting.add(keyId, resolve);
        signal.addEventListener('abort', abort, { once: true });
      });
    } finally {
      waitingInAll -= 1;
      if (abort !== undefined) signal.removeEventListener('abort', abort);
    }
  };

  return {
    async use(name, keyId, signal, work) {
      signal.throwIfAborted();
      const line = lines.get(name) ?? { running: 0, waiting: new FairQueue() };
      lines.set(name, line);
      if (line.running < each) line.running += 1;
      else await wait(line, keyId, signal);
      line.waiting.served(keyId);
      try {
        return await work();
      } finally {
        // The next task takes the slot over, so it is never free in between.
        const next = line.waiting.next(
          () => true,
          () => 0,
        );
        if (next === undefined) line.running -= 1;
        else next();
        if (line.running === 0) lines.delete(name);
      }
    },
  };
}
