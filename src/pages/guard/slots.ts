/** So many at a time for each name, the rest in line; the line has an end and is fair to the keys in it, and an idle name costs nothing. */
import { RelayError } from '../../errors.ts';
import { FairQueue, mayWait } from '../../fair-queue.ts';

export type Slots = {
  /** Runs `work` of a key when there is room for `name`. Throws `rate_limited` when the line is full. */
  use<T>(name: string, keyId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
};

type Line = { running: number; readonly waiting: FairQueue<() => void> };

export type SlotLimits = {
  /** At a time, for a name. */
  readonly each: number;
  /** In line, for all names together; see `mayWait`. */
  readonly waiting: number;
};

export function createSlots({ each, waiting: maxWaiting }: SlotLimits): Slots {
  const lines = new Map<string, Line>();
  let waitingInAll = 0;
  const waitingOf = (keyId: string): number =>
    [...lines.values()].reduce((sum, { waiting }) => sum + waiting.of(keyId), 0);

  const wait = async (line: Line, keyId: string, signal: AbortSignal): Promise<void> => {
    if (!mayWait(maxWaiting, waitingInAll, waitingOf(keyId))) {
      throw new RelayError('rate_limited', 'Too many fetches are waiting already.', {
        limit: 'target_host',
        retryAfter: 5,
      });
    }
    waitingInAll += 1;
    let abort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        abort = () => {
          // At once: a place must not be handed to one that has left.
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
        // Whoever is next in line takes the place over: it is not free in between.
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
