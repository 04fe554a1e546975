/** Reads the ledger's rows in the order of their ids. */
import type { Store } from '../store/sqlite.ts';
import type { LedgerRow } from './record.ts';

export type NumberedRow = LedgerRow & { id: number };

/** Undefined: any. `status` is the first digit of one, or 0 for a client that left. */
export type RowFilter = {
  keyId?: string | undefined;
  route?: string | undefined;
  status?: number | undefined;
};

/** `searchedTo`: the id from which an older page continues; undefined on the last page. */
export type RowPage = { rows: NumberedRow[]; searchedTo: number | undefined };

export type Failures = { error: string; limit_hit: string | null; route: string; count: number };

/** A filter looks at this many rows for one page, however few match: about 50 ms. The rows of one key lie apart. */
const rowsSearched = 100_000;
const rowsOfKeySearched = 10_000;
/** So many are counted by kind, the newest: the thread waits for it. */
export const failuresCounted = 100_000;

/** Without a `keyId`: the rows of all keys. */
export function openLedgerReader(store: Store) {
  const ofKey = '(:keyId IS NULL OR key_id = :keyId)';
  const last = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} ORDER BY id DESC LIMIT :count`);
  const after = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} AND id > :id ORDER BY id LIMIT 1000`);
  const pageWhere = (key: string) =>
    store.db.prepare(
      `SELECT * FROM requests WHERE ${key} AND id < :before AND id >= :from
         AND (:route IS NULL OR route = :route) AND (:status IS NULL OR status / 100 = :status)
       ORDER BY id DESC LIMIT :count`,
    );
  const pageOfAll = pageWhere(':keyId IS NULL');
  const pageOfKey = pageWhere('key_id = :keyId');
  const farRowOfKey = store.db.prepare(
    `SELECT id FROM requests WHERE key_id = ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ${rowsOfKeySearched - 1}`,
  );
  // Jumps in the index from key to key.
  const keyIds = store.db.prepare(
    `WITH RECURSIVE key(id) AS (SELECT min(key_id) FROM requests
       UNION ALL SELECT (SELECT min(key_id) FROM requests WHERE key_id > key.id) FROM key WHERE key.id IS NOT NULL)
     SELECT id FROM key WHERE id IS NOT NULL`,
  );
  const newest = store.db.prepare('SELECT max(id) AS id FROM requests');
  const oldest = store.db.prepare('SELECT min(id) AS id FROM requests');
  const lastFailures = store.db.prepare(
    'SELECT * FROM requests WHERE error IS NOT NULL ORDER BY at DESC LIMIT ?',
  );
  const failures = store.db.prepare(
    `SELECT error, limit_hit, route, count(*) AS count FROM
       (SELECT error, limit_hit, route FROM requests WHERE error IS NOT NULL AND at >= ?
        ORDER BY at DESC LIMIT ${failuresCounted})
     GROUP BY error, limit_hit, route ORDER BY count DESC`,
  );
  return {
    /** Up to `count` rows before an id (the newest by default), newest first. */
    page(
      { keyId, route, status }: RowFilter,
      count: number,
      before = Number(newest.get()?.['id'] ?? 0) + 1,
    ): RowPage {
      const from =
        keyId === undefined ? before - rowsSearched : Number(farRowOfKey.get(keyId, before)?.['id'] ?? 0);
      const page = keyId === undefined ? pageOfAll : pageOfKey;
      const rows = page.all({
        before,
        from,
        keyId: keyId ?? null,
        route: route ?? null,
        status: status ?? null,
        count,
      }) as NumberedRow[];
      const searchedTo = rows.length === count ? rows.at(-1)?.id : from;
      const first = Number(oldest.get()?.['id'] ?? 0);
      return { rows, searchedTo: searchedTo !== undefined && searchedTo > first ? searchedTo : undefined };
    },
    /** The keys that have rows. */
    keyIds: (): string[] => keyIds.all().map((row) => String(row['id'])),
    /** Newest first. */
    lastFailures: (count: number) => lastFailures.all(count) as NumberedRow[],
    /** Requests that failed or were refused since a time, the newest `failuresCounted`, by kind, the most frequent first. */
    failures: (since: number) => failures.all(since) as Failures[],
    /** The last rows, oldest first. */
    last: (count: number, keyId: string | null = null) =>
      (last.all({ count, keyId }) as NumberedRow[]).toReversed(),
    /** Up to 1000 rows after an id, oldest first. */
    after: (id: number, keyId: string | null = null) => after.all({ id, keyId }) as NumberedRow[],
  };
}
