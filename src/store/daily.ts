/**
 * The durable counts behind the daily limits, by UTC day and scope (a key, or all of them).
 *
 * An `add` that returned is in the file and survives `kill -9`; one that threw counted nothing.
 */
import { RelayError } from '../errors.ts';
import { storeFailure } from './errors.ts';
import type { Store } from './sqlite.ts';

export type DailyCounts = {
  /** The counts of two scopes (such as `key:<id>`: up to 64 letters, digits, `:`, `.`, `_`, `-`) on a day, `YYYY-MM-DD` in UTC. */
  read(day: string, scopes: readonly [string, string]): readonly [number, number];
  /**
   * Adds to all scopes or, when it throws, to none. A count never goes below 0.
   * Throws `not_ready` when the disk is full or the database locked: work that cannot be counted must not run.
   */
  add(day: string, scopes: readonly string[], delta: 1 | -1): void;
};

/** Enough that a clock that jumps ahead and comes back finds today's counts again. */
const daysKept = 8;

export function openDailyCounts(store: Store): DailyCounts {
  const select = store.db.prepare(
    `SELECT (SELECT count FROM daily_counts WHERE day = ?1 AND scope = ?2) AS first,
            (SELECT count FROM daily_counts WHERE day = ?1 AND scope = ?3) AS second`,
  );
  // One statement for all scopes is all or nothing by itself: no BEGIN and COMMIT around it. (WHERE true: the grammar needs it.)
  const more = store.db.prepare(
    `INSERT INTO daily_counts (day, scope, count) SELECT ?, value, 1 FROM json_each(?) WHERE true
       ON CONFLICT DO UPDATE SET count = count + 1`,
  );
  const less = store.db.prepare(
    `UPDATE daily_counts SET count = count - 1
       WHERE day = ? AND scope IN (SELECT value FROM json_each(?)) AND count > 0`,
  );
  const removeOld = store.db.prepare(
    `DELETE FROM daily_counts WHERE day <
       (SELECT min(day) FROM (SELECT DISTINCT day FROM daily_counts ORDER BY day DESC LIMIT ${daysKept}))`,
  );
  let lastDay: string | undefined;
  return {
    read(day, [first, second]) {
      return orNotReady(() => {
        const row = select.get(day, first, second);
        return [count(row?.['first']), count(row?.['second'])];
      });
    },
    add(day, scopes, delta) {
      const change = delta === 1 ? more : less;
      const list = JSON.stringify(scopes);
      orNotReady(() => {
        if (day === lastDay) return store.write(() => change.run(day, list));
        return store.transaction(() => {
          change.run(day, list);
          return removeOld.run();
        });
      });
      lastDay = day;
    },
  };
}

/** A scope that has no row has counted nothing. */
function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function orNotReady<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const reason = storeFailure(error);
    if (reason === undefined) throw error;
    throw new RelayError('not_ready', `The relay cannot count requests: ${reason}.`, { cause: error });
  }
}
