/**
 * The durable counts behind the daily limits, by UTC day and scope (a key, or all of them). A `take` that returned is in the file and
 * survives `kill -9`; one that threw counted nothing.
 */
import type { Store } from './sqlite.ts';

/** `scope`: `<lane>:key:<key id>` for one key, `<lane>:all` for all, where the lane can also be a unit of what is spent. `limit`: the most it can count; null: no limit. */
export type Wanted = { scope: string; limit: number | null };

export type DailyCounts = ReturnType<typeof openDailyCounts>;

/**
 * Days whose counts stay, by number and not by age: a clock that was wrong for a while, in either direction, has to find
 * today's counts again, and every day that it went through has a separate row.
 */
const daysKept = 400;

export function openDailyCounts(store: Store) {
  const select = store.db.prepare(
    `SELECT (SELECT count FROM daily_counts WHERE day = ?1 AND scope = ?2) AS first,
            (SELECT count FROM daily_counts WHERE day = ?1 AND scope = ?3) AS second`,
  );
  // One statement for all scopes is all or nothing by itself: no BEGIN and COMMIT around it. It holds the write lock while it reads.
  const take = store.db.prepare(
    `INSERT INTO daily_counts (day, scope, count)
       SELECT ?1, wanted.value ->> 'scope', 1 FROM json_each(?2) AS wanted
       WHERE NOT EXISTS (
         SELECT 1 FROM json_each(?2) AS each
           LEFT JOIN daily_counts AS used ON used.day = ?1 AND used.scope = each.value ->> 'scope'
           WHERE coalesce(used.count, 0) >= each.value ->> 'limit')
       ON CONFLICT DO UPDATE SET count = count + 1`,
  );
  const less = store.db.prepare(
    `UPDATE daily_counts SET count = count - 1
       WHERE day = ? AND scope IN (SELECT value FROM json_each(?)) AND count > 0`,
  );
  // Today's own row stays, whatever days the clock went through before.
  const removeOld = store.db.prepare(
    `DELETE FROM daily_counts WHERE day <> ? AND day <
       (SELECT min(day) FROM (SELECT DISTINCT day FROM daily_counts ORDER BY day DESC LIMIT ${daysKept}))`,
  );
  const more = store.db.prepare(
    `INSERT INTO daily_counts (day, scope, count)
       SELECT ?1, each.value ->> 'scope', each.value ->> 'count' FROM json_each(?2) AS each WHERE true
       ON CONFLICT DO UPDATE SET count = count + excluded.count`,
  );
  let lastDay: string | undefined;
  return {
    /** The counts of two scopes on a day, `YYYY-MM-DD` in UTC. */
    read(day: string, [first, second]: readonly [string, string]): readonly [number, number] {
      const row = select.get(day, first, second);
      // A scope that has no row has counted nothing.
      return [Number(row?.['first'] ?? 0), Number(row?.['second'] ?? 0)];
    },
    /**
     * Adds 1 to all scopes, or to none when one of them is at its limit; returns whether it did. One statement checks and counts,
     * so two relays on one database admit exactly the limit together.
     * Throws when the disk is full or the database locked: work that cannot be counted must not run.
     */
    take(day: string, wanted: readonly Wanted[]): boolean {
      const list = JSON.stringify(wanted);
      const { changes } =
        day === lastDay
          ? store.write(() => take.run(day, list))
          : store.transaction(() => {
              removeOld.run(day);
              return take.run(day, list);
            });
      lastDay = day;
      return changes > 0;
    },
    /** Adds to all scopes, or to none. Throws as `take` does. */
    add(day: string, amounts: readonly { scope: string; count: number }[]): void {
      store.write(() => more.run(day, JSON.stringify(amounts)));
    },
    /** Takes 1 from all scopes; a count never goes below 0. Throws as `take` does. */
    refund(day: string, scopes: readonly string[]): void {
      store.write(() => less.run(day, JSON.stringify(scopes)));
    },
  };
}
