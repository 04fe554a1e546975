/** The requests at work: so that a stop can wait for them, then end them, and know when nothing of them is left. */
import { clientGone, shuttingDown } from '../endings.ts';
import { RelayError } from '../errors.ts';
import type { Key } from '../keys/key.ts';
import type { LaneWork } from '../limits/lane-limits.ts';
import type { Ticket } from '../limits/ticket.ts';
import type { AppContext } from './app.ts';
import type { Exchange } from './exchange.ts';
import { limitsOf, unauthorized } from './identify.ts';

export type Work = {
  /** Aborted when the client goes or the relay stops. */
  readonly signal: AbortSignal;
  /** `reason`: see `endings.ts`. */
  abort(reason: RelayError): void;
  /** The work is not over before this, even after `done`. */
  until(end: Promise<void>): void;
  done(): void;
};

export type Running = {
  enter(): Work;
  count(): number;
  /** Ends all work. */
  abortAll(): void;
  /** Resolves when no work is left. */
  idle(): Promise<void>;
};

export function createRunning(): Running {
  const all = new Set<{ abort: AbortController; ends: Promise<void>[] }>();
  const waiting: (() => void)[] = [];
  const leave = (work: { abort: AbortController; ends: Promise<void>[] }): void => {
    all.delete(work);
    if (all.size === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  return {
    enter: () => {
      const work = { abort: new AbortController(), ends: [] as Promise<void>[] };
      all.add(work);
      return {
        signal: work.abort.signal,
        abort: (reason) => work.abort.abort(reason),
        until: (end) => {
          work.ends.push(end);
        },
        done: () => {
          void Promise.allSettled(work.ends).then(() => leave(work));
        },
      };
    },
    count: () => all.size,
    abortAll: () => {
      for (const { abort } of all) abort.abort(shuttingDown());
    },
    idle: async () => {
      if (all.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

/** Rejects as `Admission.reserve` does, and with `unauthorized`. Notes how long it took, whatever comes of it. */
export async function reserve(
  work: LaneWork,
  key: Key,
  signal: AbortSignal,
  exchange: Exchange,
  { admission, keys }: AppContext,
): Promise<Ticket> {
  const cameAt = performance.now();
  const ticket = await admission.reserve({ ...work, key: limitsOf(key, work.lane), signal }).finally(() => {
    exchange.queueMs = performance.now() - cameAt;
  });
  try {
    // It may have been revoked, or have expired, while the body arrived or the request waited.
    if (!keys.isLive(key.id)) throw unauthorized();
    return ticket;
  } catch (error) {
    ticket.release();
    throw error;
  }
}

/**
 * `leaving` is aborted when nobody waits for the work any more. Rejects with a RelayError wherever the work was given up; whatever
 * else it throws passes through.
 */
export async function withWork<T>(
  leaving: AbortSignal,
  exchange: Exchange,
  running: Running,
  run: (work: Work) => Promise<T>,
): Promise<T> {
  const work = running.enter();
  const onClientGone = (): void => {
    exchange.clientGone = true;
    work.abort(clientGone());
  };
  leaving.addEventListener('abort', onClientGone);
  if (leaving.aborted) onClientGone();
  try {
    return await run(work);
  } catch (error) {
    if (error instanceof RelayError || !work.signal.aborted) throw error;
    throw exchange.clientGone ? clientGone() : shuttingDown();
  } finally {
    leaving.removeEventListener('abort', onClientGone);
    work.done();
  }
}
