/** Reads the ledger's rows in the order of the requests' ends. */
import type { Store } from '../store/sqlite.ts';
import type { LedgerRow } from './record.ts';

export type NumberedRow = LedgerRow & { id: number };

export type LedgerReader = {
  /** The last rows, oldest first. */
  last(count: number, keyId?: string): NumberedRow[];
  /** Up to 1000 rows after an id, oldest first. */
  after(id: number, keyId?: string): NumberedRow[];
};

export function openLedgerReader(store: Store): LedgerReader {
  const last = store.db.prepare('SELECT * FROM requests ORDER BY id DESC LIMIT ?');
  const lastOfKey = store.db.prepare('SELECT * FROM requests WHERE key_id = ? ORDER BY id DESC LIMIT ?');
  const after = store.db.prepare('SELECT * FROM requests WHERE id > ? ORDER BY id LIMIT 1000');
  const afterOfKey = store.db.prepare(
    'SELECT * FROM requests WHERE key_id = ? AND id > ? ORDER BY id LIMIT 1000',
  );
  return {
    last: (count, keyId) =>
      ((keyId === undefined ? last.all(count) : lastOfKey.all(keyId, count)) as NumberedRow[]).toReversed(),
    after: (id, keyId) => (keyId === undefined ? after.all(id) : afterOfKey.all(keyId, id)) as NumberedRow[],
  };
}
