/** Limits the tasks of each name that run at once. The others wait in a bounded queue that is fair to the keys. */
import { addAbortListener } from 'node:events';
import { RelayError } from '../../errors.ts';
import { FairQueue, mayWait } from '../../fair-queue.ts';

/** Runs the key's `work` when `name` has a free slot. Throws `rate_limited` when the queue is full. */
export type UseSlot = <T>(
  name: string,
  keyId: string,
  signal: AbortSignal,
  work: () => Promise<T>,
) => Promise<T>;

type Waiting = FairQueue<() => void>;
type Line = { running: number; readonly waiting: Waiting };

/** `each`: tasks of one name that run at once. `waiting`: tasks in the queues of all names; see `mayWait`. */
export function createSlots({ each, waiting: maxWaiting }: { each: number; waiting: number }): UseSlot {
  const lines = new Map<string, Line>();
  const inAll = (count: (waiting: Waiting) => number): number =>
    [...lines.values()].reduce((sum, { waiting }) => sum + count(waiting), 0);

  const wait = async ({ waiting }: Line, keyId: string, signal: AbortSignal): Promise<void> => {
    const ofKey = inAll((queue) => queue.of(keyId));
    if (
      !mayWait(
        maxWaiting,
        inAll(({ size }) => size),
        ofKey,
      )
    ) {
      throw new RelayError('rate_limited', 'Too many fetches are waiting. Try again in a moment.', {
        limit: 'target_host',
        retryAfter: 5,
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.add(keyId, resolve);
    using _listener = addAbortListener(signal, () => {
      // Immediately, so that a task that has left is not given a slot.
      waiting.remove(keyId, resolve);
      reject(signal.reason as Error);
    });
    await promise;
  };

  return async (name, keyId, signal, work) => {
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
  };
}
