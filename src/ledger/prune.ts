/**
 * Removes what is older than `LEDGER_DAYS`, in steps so small that no request waits for one, and the copies of the database whose time is
 * over. Changes of keys stay; lent secrets do not.
 */
import type { Store } from '../store/sqlite.ts';
import { dayMs, utcDay, utcHour } from '../time.ts';

/** `monotonic` is a clock that never jumps. Both are in milliseconds. */
type PrunerOptions = { days: number; now: () => number; monotonic?: () => number };

const roundMs = 3_600_000;
/** A machine that slept jumps too; a jump this small removes at most one more day. */
const smallJumpMs = dayMs;
/** The hours of these days are kept, for a chart of the last 24. */
const hourlyDays = 2;
const pauseMs = 50;
const stepRows = 100;

export function openPruner(store: Store, { days, now, monotonic = () => performance.now() }: PrunerOptions) {
  const removeRequests = store.db.prepare(
    `DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE at < ? ORDER BY at LIMIT ${stepRows})`,
  );
  const removeUsage = store.db.prepare(
    `DELETE FROM daily_usage WHERE (key_id, day, model) IN
       (SELECT key_id, day, model FROM daily_usage WHERE day < ? ORDER BY day LIMIT ${stepRows})`,
  );
  const removeHours = store.db.prepare(
    `DELETE FROM hourly_usage WHERE (key_id, hour, model) IN
       (SELECT key_id, hour, model FROM hourly_usage WHERE hour < ? ORDER BY hour LIMIT ${stepRows})`,
  );
  const removeLent = store.db.prepare(
    `DELETE FROM key_events WHERE id IN
       (SELECT id FROM key_events WHERE action = 'lent' AND at < ? ORDER BY at LIMIT ${stepRows})`,
  );
  let last = { wall: now(), monotonic: monotonic() };
  let timer = setTimeout(round, roundMs).unref();
  return { step, close: () => clearTimeout(timer) };

  /** Removes up to one step's rows. Returns whether there may be more. */
  function step(): boolean {
    const oldest = now() - days * dayMs;
    return store.transaction(() => {
      const requests = removeRequests.run(oldest).changes;
      const usage = removeUsage.run(utcDay(oldest)).changes;
      const hours = removeHours.run(utcHour(now() - hourlyDays * dayMs)).changes;
      const lent = removeLent.run(oldest).changes;
      return [requests, usage, hours, lent].includes(stepRows);
    });
  }

  /** A clock that was set ahead by mistake must not remove every record, so nothing is removed in a round in which it jumped. */
  function round(): void {
    const seen = { wall: now(), monotonic: monotonic() };
    const jumpedMs = Math.abs(seen.wall - last.wall - (seen.monotonic - last.monotonic));
    last = seen;
    if (jumpedMs > smallJumpMs) {
      timer = setTimeout(round, roundMs).unref();
      return;
    }
    store.removeExpiredCopies(now());
    remove();
  }

  function remove(): void {
    let more = false;
    try {
      more = step();
    } catch {
      // The ledger reports a locked or full database. Removing can wait for the next round.
    }
    timer = more ? setTimeout(remove, pauseMs).unref() : setTimeout(round, roundMs).unref();
  }
}
