/**
 * Codes that open the owner's page: who can write to the data directory can make one. The database has a digest, and a code is used up
 * by its first use. A code works at one port: another program that listens at the port of a link learns the code, and can use it nowhere.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Store } from '../store/sqlite.ts';

/** Milliseconds in which a code can be used. */
export const codeLifeMs = 60_000;

export function openCodes(store: Store, port: number, now: () => number = Date.now) {
  const digestOf = (code: string): Uint8Array => createHash('sha256').update(`${port} ${code}`).digest();
  const forget = store.db.prepare('DELETE FROM owner_codes WHERE expires_at <= ?');
  const insert = store.db.prepare('INSERT INTO owner_codes (digest, expires_at) VALUES (?, ?)');
  const find = store.db.prepare('SELECT 1 FROM owner_codes WHERE digest = ?');
  const take = store.db.prepare('DELETE FROM owner_codes WHERE digest = ? AND expires_at > ?');
  return {
    /** A new code of 256 bits, and whether it was used, which throws as the database does. Throws as `store.write` does. */
    make(): { code: string; isUsed: () => boolean } {
      const code = randomBytes(32).toString('base64url');
      const digest = digestOf(code);
      const expiresAt = now() + codeLifeMs;
      store.transaction(() => {
        forget.run(now());
        insert.run(digest, expiresAt);
      });
      // A code that has expired can be forgotten, too.
      return { code, isUsed: () => now() < expiresAt && find.get(digest) === undefined };
    },
    /** Uses a code up. Returns false if it is not valid any more, or never was. Throws as `store.write` does. */
    use: (code: string): boolean => store.write(() => take.run(digestOf(code), now()).changes) === 1,
  };
}
