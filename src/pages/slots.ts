/** So many at a time for each name, the rest in line; the line has an end, and an idle name costs nothing. */
import { RelayError } from '../errors.ts';

export type Slots = {
  /** Runs `work` when there is room for `name`. Throws `rate_limited` when the line is full. */
  use<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
};

type Line = { running: number; readonly waiting: Set<() => void> };

export type SlotLimits = {
  /** At a time, for a name. */
  readonly each: number;
  /** In line, for all names together. */
  readonly waiting: number;
};

export function createSlots({ each, waiting: maxWaiting }: SlotLimits): Slots {
  const lines = new Map<string, Line>();
  let waitingInAll = 0;

  const wait = async (line: Line, signal: AbortSignal): Promise<void> => {
    if (waitingInAll >= maxWaiting) {
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
          line.waiting.delete(resolve);
          reject(signal.reason as Error);
        };
        line.waiting.add(resolve);
        signal.addEventListener('abort', abort, { once: true });
      });
    } finally {
      waitingInAll -= 1;
      if (abort !== undefined) signal.removeEventListener('abort', abort);
    }
  };

  return {
    async use(name, signal, work) {
      signal.throwIfAborted();
      const line = lines.get(name) ?? { running: 0, waiting: new Set() };
      lines.set(name, line);
      if (line.running < each) line.running += 1;
      else await wait(line, signal);
      try {
        return await work();
      } finally {
        // Whoever is next in line takes the place over: it is not free in between.
        const [next] = line.waiting;
        if (next === undefined) line.running -= 1;
        else {
          line.waiting.delete(next);
          next();
        }
        if (line.running === 0) lines.delete(name);
      }
    },
  };
}
