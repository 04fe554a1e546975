/**
 * The keys: made, checked, rotated and revoked. Only the SHA-256 of a secret is stored; the secret is returned once.
 *
 * `verify` asks the database each time, with a prepared look-up by primary key: no cache, so what a command changes
 * counts for the very next request of a running relay.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { RelayError } from '../errors.ts';
import { storeFailure, sqliteCode } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { checkGrants, checkLabel, KeyError } from './key.ts';
import type { Key, KeyGrants } from './key.ts';
import { grantColumns, keyOf } from './row.ts';
import type { KeyRow } from './row.ts';
import { mintToken, parseToken } from './token.ts';
import { openLastUse } from './last-use.ts';

export type KeyEvent = { at: number; action: 'created' | 'rotated' | 'revoked' | 'lent'; command: string };
export type NewSecret = { key: Key; token: string };

export type Keys = {
  /** The live key of a token; undefined for whatever is wrong with it. Throws `not_ready` when the database cannot be read. */
  verify(token: string): Key | undefined;
  /** Whether the key with this id counts now. Throws as `verify` does. */
  isLive(id: string): boolean;
  /** `command` names who asked, for the record, in at most 40 characters. Throws `KeyError` with a sentence, as the next two do. */
  create(label: string, grants: KeyGrants, command: string): NewSecret;
  /** A new secret for the same key; those before it work for `graceMs` more milliseconds at most (0: not at all). */
  rotate(label: string, graceMs: number, command: string): NewSecret;
  revoke(label: string, command: string): Key;
  /**
   * One more secret for the key with this label, which is made when there is none. It counts for `forMs` milliseconds, or until
   * `end`; the key's limits, and its other secrets, stay as they are.
   */
  lend(label: string, forMs: number, command: string): NewSecret & { end(): void };
  /** Oldest first. Without `revoked`, only keys that are not revoked; expired ones are among them. */
  list(options?: { revoked?: boolean }): Key[];
  /** The key that has this label now, or else the last one that had it, and its record of administration. */
  show(label: string): { key: Key; events: KeyEvent[] };
  /** Writes the times of last use that are still in memory. */
  close(): void;
};

export type KeysOptions = { now?: () => number; random?: (bytes: number) => Uint8Array };

type SecretRow = KeyRow & { digest: Uint8Array; valid_until: number | null };

const uniqueViolation = 2067;

export function openKeys(store: Store, { now = Date.now, random = randomBytes }: KeysOptions = {}): Keys {
  const { db } = store;
  const bySecret = db.prepare(
    `SELECT k.*, s.digest, s.valid_until FROM keys k JOIN key_secrets s ON s.key_id = k.id
     WHERE k.id = ? AND k.revoked_at IS NULL`,
  );
  const insertKey = db.prepare(
    `INSERT INTO keys (id, label, created_at, expires_at, daily_limit, rpm, concurrency, allowed_routes, allowed_models)
     VALUES (:id, :label, :created_at, :expires_at, :daily_limit, :rpm, :concurrency, :allowed_routes, :allowed_models)`,
  );
  const insertSecret = db.prepare('INSERT INTO key_secrets (key_id, digest, valid_until) VALUES (?, ?, ?)');
  const shortenSecrets = db.prepare(
    'UPDATE key_secrets SET valid_until = min(coalesce(valid_until, :until), :until) WHERE key_id = :id',
  );
  const removeSecrets = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND valid_until <= ?');
  const removeSecret = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND digest = ?');
  const removeAllSecrets = db.prepare('DELETE FROM key_secrets WHERE key_id = ?');
  const markRevoked = db.prepare('UPDATE keys SET revoked_at = ? WHERE id = ?');
  const insertEvent = db.prepare('INSERT INTO key_events (at, key_id, action, command) VALUES (?, ?, ?, ?)');
  const byLabel = db.prepare('SELECT * FROM keys WHERE label = ? AND revoked_at IS NULL');
  const lastByLabel = db.prepare(
    'SELECT * FROM keys WHERE label = ? ORDER BY revoked_at IS NULL DESC, created_at DESC LIMIT 1',
  );
  const live = db.prepare('SELECT * FROM keys WHERE revoked_at IS NULL ORDER BY created_at, id');
  const all = db.prepare('SELECT * FROM keys ORDER BY created_at, id');
  const events = db.prepare('SELECT at, action, command FROM key_events WHERE key_id = ? ORDER BY id');
  const byId = db.prepare('SELECT expires_at FROM keys WHERE id = ? AND revoked_at IS NULL');
  const lastUse = openLastUse(store);

  return {
    verify(token) {
      const parsed = parseToken(token);
      if (parsed === undefined) return undefined;
      const at = now();
      // All of the key's secrets are compared, so that the time taken does not tell which one was close.
      let found: SecretRow | undefined;
      for (const row of orNotReady(() => bySecret.all(parsed.id)) as SecretRow[]) {
        const same = timingSafeEqual(row.digest, parsed.digest);
        if (same && (row.valid_until === null || at < row.valid_until)) found = row;
      }
      if (found === undefined || (found.expires_at !== null && at >= found.expires_at)) return undefined;
      lastUse.touch(found.id, found.last_used_at, at);
      return keyOf(found);
    },

    isLive(id) {
      const row = orNotReady(() => byId.get(id)) as Pick<KeyRow, 'expires_at'> | undefined;
      return row !== undefined && (row.expires_at === null || now() < row.expires_at);
    },

    create(label, grants, command) {
      checkLabel(label);
      const at = now();
      checkGrants(grants, at);
      const minted = mintToken(random);
      try {
        return store.transaction(() => {
          insertKey.run({ id: minted.id, label, created_at: at, ...grantColumns(grants) });
          insertSecret.run(minted.id, minted.digest, null);
          insertEvent.run(at, minted.id, 'created', command);
          return { key: liveKey(label), token: minted.token };
        });
      } catch (error) {
        if (sqliteCode(error) !== uniqueViolation) throw error;
        throw labelTaken(label, at);
      }
    },

    rotate(label, graceMs, command) {
      if (!Number.isSafeInteger(graceMs) || graceMs < 0) throw new KeyError('The grace cannot be negative.');
      return store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        const minted = mintToken(random, key.id);
        shortenSecrets.run({ id: key.id, until: at + graceMs });
        removeSecrets.run(key.id, at);
        insertSecret.run(key.id, minted.digest, null);
        insertEvent.run(at, key.id, 'rotated', command);
        return { key, token: minted.token };
      });
    },

    revoke(label, command) {
      return store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        markRevoked.run(at, key.id);
        removeAllSecrets.run(key.id);
        insertEvent.run(at, key.id, 'revoked', command);
        return { ...key, revokedAt: at };
      });
    },

    lend(label, forMs, command) {
      checkLabel(label);
      const at = now();
      return store.transaction(() => {
        if (byLabel.get(label) === undefined) {
          insertKey.run({ id: mintToken(random).id, label, created_at: at, ...grantColumns({}) });
          insertEvent.run(at, liveKey(label).id, 'created', command);
        }
        const key = liveKey(label);
        if (key.expiresAt !== undefined && at >= key.expiresAt) throw labelTaken(label, at);
        const minted = mintToken(random, key.id);
        removeSecrets.run(key.id, at);
        insertSecret.run(key.id, minted.digest, at + forMs);
        insertEvent.run(at, key.id, 'lent', command);
        return {
          key,
          token: minted.token,
          end: () => void removeSecret.run(key.id, minted.digest),
        };
      });
    },

    list({ revoked = false } = {}) {
      return (revoked ? all : live).all().map((row) => keyOf(row as KeyRow));
    },

    show(label) {
      const row = lastByLabel.get(label) as KeyRow | undefined;
      if (row === undefined) throw unknownLabel(label);
      const rows = events.all(row.id) as KeyEvent[];
      // Plain objects: the database's rows have no prototype.
      return { key: keyOf(row), events: rows.map(({ at, action, command }) => ({ at, action, command })) };
    },

    close: () => lastUse.close(),
  };

  function orNotReady<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (storeFailure(error) === undefined) throw error;
      // Without the reason: whoever asks has not shown that their key is valid.
      throw new RelayError(
        'not_ready',
        'The relay cannot read its keys at the moment. The owner can see more with `claude-relay doctor`.',
        { cause: error },
      );
    }
  }

  function liveKey(label: string): Key {
    const row = byLabel.get(label) as KeyRow | undefined;
    if (row === undefined) throw unknownLabel(label);
    return keyOf(row);
  }

  function labelTaken(label: string, at: number): KeyError {
    const { expiresAt } = liveKey(label);
    return new KeyError(
      expiresAt !== undefined && at >= expiresAt
        ? `An expired key still has the label ${label}: revoke it first.`
        : `There is a key with the label ${label} already.`,
    );
  }
}

/** The label is shown only when it has a label's shape: what a person typed by mistake may be a secret. */
function unknownLabel(label: string): KeyError {
  checkLabel(label);
  if (label.startsWith('crk_')) return new KeyError('That is a key, not a label: give the label of the key.');
  return new KeyError(`There is no key with the label ${label}.`);
}
