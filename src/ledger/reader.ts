/** Reads the ledger's rows in the order of their ids. */
import type { Store } from '../store/sqlite.ts';
import type { LedgerRow } from './record.ts';

export type NumberedRow = LedgerRow & { id: number };

export function openLedgerReader(store: Store) {
  const last = store.db.prepare('SELECT * FROM requests ORDER BY id DESC LIMIT ?');
  const lastOfKey = store.db.prepare('SELECT * FROM requests WHERE key_id = ? ORDER BY id DESC LIMIT ?');
  const after = store.db.prepare('SELECT * FROM requests WHERE id > ? ORDER BY id LIMIT 1000');
  const afterOfKey = store.db.prepare(
    'SELECT * FROM requests WHERE key_id = ? AND id > ? ORDER BY id LIMIT 1000',
  );
  return {
    /** The last rows, oldest first. */
    last: (count: number, keyId?: string) =>
      ((keyId === undefined ? last.all(count) : lastOfKey.all(keyId, count)) as NumberedRow[]).toReversed(),
    /** Up to 1000 rows after an id, oldest first. */
    after: (id: number, keyId?: string) =>
      (keyId === undefined ? after.all(id) : afterOfKey.all(keyId, id)) as NumberedRow[],
  };
}
