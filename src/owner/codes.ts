/**
 * Codes that open the owner's page: who can write to the data directory can make one. The database has a digest, and a code is used up
 * by its first use.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Store } from '../store/sqlite.ts';

/** Milliseconds in which a code can be used. */
export const codeLifeMs = 60_000;

export function openCodes(store: Store, now: () => number = Date.now) {
  const forget = store.db.prepare('DELETE FROM owner_codes WHERE expires_at <= ?');
  const insert = store.db.prepare('INSERT INTO owner_codes (digest, expires_at) VALUES (?, ?)');
  const find = store.db.prepare('SELECT 1 FROM owner_codes WHERE digest = ?');
  const take = store.db.prepare('DELETE FROM owner_codes WHERE digest = ? AND expires_at > ?');
  return {
    /** A new code of 256 bits. Throws as `store.write` does. */
    make(): string {
      const code = randomBytes(32).toString('base64url');
      store.transaction(() => {
        forget.run(now());
        insert.run(digestOf(code), now() + codeLifeMs);
      });
      return code;
    },
    /** Whether it was not used. Throws as the database does. */
    waits: (code: string): boolean => find.get(digestOf(code)) !== undefined,
    /** Uses a code up. Returns false if it is not valid any more, or never was. Throws as `store.write` does. */
    use: (code: string): boolean => store.write(() => take.run(digestOf(code), now()).changes) === 1,
  };
}

function digestOf(code: string): Uint8Array {
  return createHash('sha256').update(code).digest();
}
