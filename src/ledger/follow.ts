/** Reads the ledger's rows in the order in which they came, for a person to look at. */
import type { Store } from '../store/sqlite.ts';
import type { StoredRequest } from './record.ts';

export type LedgerRow = StoredRequest & { id: number };

export type LedgerReader = {
  /** The last rows, oldest first. */
  last(count: number, keyId?: string): LedgerRow[];
  /** Up to 1000 rows after an id, oldest first. */
  after(id: number, keyId?: string): LedgerRow[];
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
      ((keyId === undefined ? last.all(count) : lastOfKey.all(keyId, count)) as LedgerRow[]).toReversed(),
    after: (id, keyId) => (keyId === undefined ? after.all(id) : afterOfKey.all(keyId, id)) as LedgerRow[],
  };
}
