/**
 * Who calls: the live key of a token. Only the SHA-256 of a secret is stored. Each question goes to the database, without a cache: the
 * next request of a running relay sees what a command has changed.
 */
import { timingSafeEqual } from 'node:crypto';
import { RelayError } from '../errors.ts';
import { storeFailure } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { mayUse, type Key, type KeyRoute } from './key.ts';
import { openLastUse } from './last-use.ts';
import { keyOf, type KeyRow } from './row.ts';
import { parseToken } from './token.ts';

type SecretRow = KeyRow & { digest: Uint8Array; valid_until: number | null };

/** The methods throw `not_ready` when the database cannot be read. */
export function openVerifier(store: Store, now: () => number) {
  const { db } = store;
  const bySecret = db.prepare(
    `SELECT k.*, s.digest, s.valid_until FROM keys k JOIN key_secrets s ON s.key_id = k.id
     WHERE k.id = ? AND k.revoked_at IS NULL AND k.disabled_at IS NULL`,
  );
  const byId = db.prepare('SELECT * FROM keys WHERE id = ? AND revoked_at IS NULL AND disabled_at IS NULL');
  const standingById = db.prepare(
    `SELECT expires_at, (SELECT max(id) FROM key_events WHERE key_id = k.id AND action = 'rotated') AS rotation
     FROM keys k WHERE id = ? AND revoked_at IS NULL AND disabled_at IS NULL`,
  );
  const lastUse = openLastUse(store);

  const live = (id: string): Key | undefined => {
    const row = orNotReady(() => byId.get(id)) as KeyRow | undefined;
    return row === undefined || isExpired(row, now()) ? undefined : keyOf(row);
  };

  return {
    /** The live key of a token; undefined for a token that is wrong in any way. */
    verify(token: string): Key | undefined {
      const parsed = parseToken(token);
      if (parsed === undefined) return undefined;
      const at = now();
      // All of the key's secrets are compared, so that the time taken does not show which one was close.
      let found: SecretRow | undefined;
      for (const row of orNotReady(() => bySecret.all(parsed.id)) as SecretRow[]) {
        const same = timingSafeEqual(row.digest, parsed.digest);
        if (same && (row.valid_until === null || at < row.valid_until)) found = row;
      }
      if (found === undefined || isExpired(found, at)) return undefined;
      lastUse.touch(found.id, found.last_used_at, at);
      return keyOf(found);
    },

    /** For a caller that is known in another way than by a secret. Undefined for a key that is revoked or disabled, or has expired. */
    byId(id: string): Key | undefined {
      const key = live(id);
      if (key !== undefined) lastUse.touch(id, key.lastUsedAt ?? null, now());
      return key;
    },

    /** These are no use of the key. */
    isLive: (id: string): boolean => live(id) !== undefined,
    mayUse: (id: string, scope: KeyRoute): boolean => {
      const key = live(id);
      return key !== undefined && mayUse(key, scope);
    },

    /** Changes with each new secret of the key; undefined once it is revoked or disabled, or has expired. */
    standing(id: string): string | undefined {
      const row = orNotReady(() => standingById.get(id)) as
        | (Pick<KeyRow, 'expires_at'> & { rotation: number | null })
        | undefined;
      return row === undefined || isExpired(row, now()) ? undefined : String(row.rotation);
    },

    /** Writes the times of last use that are still in memory. */
    close: () => lastUse.close(),
  };
}

function isExpired({ expires_at }: Pick<KeyRow, 'expires_at'>, at: number): boolean {
  return expires_at !== null && at >= expires_at;
}

/** Throws `not_ready` when the database cannot be read. */
export function orNotReady<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (storeFailure(error) === undefined) throw error;
    // Without the reason: the caller has not shown a valid key.
    throw new RelayError(
      'not_ready',
      'The relay cannot read its keys at the moment. The owner can run `claude-relay doctor` for the reason.',
      { cause: error },
    );
  }
}
