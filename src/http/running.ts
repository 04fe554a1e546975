/** The requests at work: so that a stop can wait for them, then end them, and know when nothing of them is left. */
import { shutdown } from '../claude/turn.ts';

export type Work = {
  /** Aborted when the client goes or the relay stops. */
  readonly signal: AbortSignal;
  abort(reason: string): void;
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
      for (const { abort } of all) abort.abort(shutdown);
    },
    idle: async () => {
      if (all.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}
