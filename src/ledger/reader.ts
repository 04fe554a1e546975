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

/** A filter looks at this many rows for one page, however few match: about 50 ms. */
const rowsSearched = 100_000;

/** Without a `keyId`: the rows of all keys. */
export function openLedgerReader(store: Store) {
  const ofKey = '(:keyId IS NULL OR key_id = :keyId)';
  const last = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} ORDER BY id DESC LIMIT :count`);
  const after = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} AND id > :id ORDER BY id LIMIT 1000`);
  const page = store.db.prepare(
    `SELECT * FROM requests WHERE id < :before AND id >= :before - ${rowsSearched} AND ${ofKey}
       AND (:route IS NULL OR route = :route) AND (:status IS NULL OR status / 100 = :status)
     ORDER BY id DESC LIMIT :count`,
  );
  const newest = store.db.prepare('SELECT max(id) AS id FROM requests');
  const oldest = store.db.prepare('SELECT min(id) AS id FROM requests');
  const lastFailures = store.db.prepare(
    'SELECT * FROM requests WHERE error IS NOT NULL ORDER BY at DESC LIMIT ?',
  );
  const failures = store.db.prepare(
    `SELECT error, limit_hit, route, count(*) AS count FROM requests
     WHERE error IS NOT NULL AND at >= ? GROUP BY error, limit_hit, route ORDER BY count DESC`,
  );
  return {
    /** Up to `count` rows before an id (the newest by default), newest first. */
    page(
      { keyId, route, status }: RowFilter,
      count: number,
      before = Number(newest.get()?.['id'] ?? 0) + 1,
    ): RowPage {
      const rows = page.all({
        before,
        keyId: keyId ?? null,
        route: route ?? null,
        status: status ?? null,
        count,
      }) as NumberedRow[];
      const searchedTo = rows.length === count ? rows.at(-1)?.id : before - rowsSearched;
      const first = Number(oldest.get()?.['id'] ?? 0);
      return { rows, searchedTo: searchedTo !== undefined && searchedTo > first ? searchedTo : undefined };
    },
    /** Newest first. */
    lastFailures: (count: number) => lastFailures.all(count) as NumberedRow[],
    /** Requests that failed or were refused since a time, by kind, the most frequent first. */
    failures: (since: number) => failures.all(since) as Failures[],
    /** The last rows, oldest first. */
    last: (count: number, keyId: string | null = null) =>
      (last.all({ count, keyId }) as NumberedRow[]).toReversed(),
    /** Up to 1000 rows after an id, oldest first. */
    after: (id: number, keyId: string | null = null) => after.all({ id, keyId }) as NumberedRow[],
  };
}
