/** Reads the ledger's rows in the order of their ids. */
import type { Store } from '../store/sqlite.ts';
import type { LedgerRow } from './record.ts';

export type NumberedRow = LedgerRow & { id: number };

/** Without a `keyId`: the rows of all keys. */
export function openLedgerReader(store: Store) {
  const ofKey = '(:keyId IS NULL OR key_id = :keyId)';
  const last = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} ORDER BY id DESC LIMIT :count`);
  const after = store.db.prepare(`SELECT * FROM requests WHERE ${ofKey} AND id > :id ORDER BY id LIMIT 1000`);
  return {
    /** The last rows, oldest first. */
    last: (count: number, keyId: string | null = null) =>
      (last.all({ count, keyId }) as NumberedRow[]).toReversed(),
    /** Up to 1000 rows after an id, oldest first. */
    after: (id: number, keyId: string | null = null) => after.all({ id, keyId }) as NumberedRow[],
  };
}
