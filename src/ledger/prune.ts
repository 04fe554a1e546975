/** Removes what is older than `LEDGER_DAYS`, in steps so small that no request waits for one. */
import type { Store } from '../store/sqlite.ts';

export type Pruner = {
  /** Removes up to one step's rows; returns whether there may be more. */
  step(): boolean;
  close(): void;
};

const dayMs = 86_400_000;
const roundMs = 3_600_000;
const pauseMs = 50;
const stepRows = 100;

export function openPruner(store: Store, { days, now }: { days: number; now: () => number }): Pruner {
  const removeRequests = store.db.prepare(
    `DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE at < ? ORDER BY at LIMIT ${stepRows})`,
  );
  const removeUsage = store.db.prepare(
    `DELETE FROM daily_usage WHERE (key_id, day, model) IN
       (SELECT key_id, day, model FROM daily_usage WHERE day < ? ORDER BY day LIMIT ${stepRows})`,
  );
  let timer = setTimeout(round, pauseMs).unref();
  return { step, close: () => clearTimeout(timer) };

  function step(): boolean {
    const oldest = now() - days * dayMs;
    return store.transaction(() => {
      const requests = removeRequests.run(oldest).changes;
      const usage = removeUsage.run(new Date(oldest).toISOString().slice(0, 10)).changes;
      return requests === stepRows || usage === stepRows;
    });
  }

  function round(): void {
    let more = false;
    try {
      more = step();
    } catch {
      // A locked or full database says so where rows are written; removing old ones can wait for the next round.
    }
    timer = setTimeout(round, more ? pauseMs : roundMs).unref();
  }
}
