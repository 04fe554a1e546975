/**
 * The keys: created, checked, rotated and revoked. Only the SHA-256 of a secret is stored; the secret is returned once. `verify` asks
 * the database each time, without a cache: the next request of a running relay sees what a command has changed.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { RelayError } from '../errors.ts';
import { storeFailure, sqliteCode } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import {
  checkGrants,
  checkLabel,
  checkOllamaAddress,
  KeyError,
  type Key,
  type KeyGrants,
  type OllamaAddress,
} from './key.ts';
import { openLastUse } from './last-use.ts';
import { grantColumns, keyOf, type KeyRow } from './row.ts';
import { mintToken, parseToken } from './token.ts';

export type Keys = ReturnType<typeof openKeys>;
export type KeyEvent = { at: number; action: KeyAction; command: string };
type KeyAction = 'created' | 'rotated' | 'revoked' | 'lent' | 'changed';
export type NewSecret = { key: Key; token: string };

type KeysOptions = { now?: () => number; random?: (bytes: number) => Uint8Array };
type SecretRow = KeyRow & { digest: Uint8Array; valid_until: number | null };

const uniqueViolation = 2067;

/**
 * In each method, `command` says who asked, in at most 40 characters, for the record of changes. `verify`, `byId` and `isLive` throw
 * `not_ready` when the database cannot be read. The others throw `KeyError` with a sentence for the owner.
 */
export function openKeys(store: Store, { now = Date.now, random = randomBytes }: KeysOptions = {}) {
  const { db } = store;
  const bySecret = db.prepare(
    `SELECT k.*, s.digest, s.valid_until FROM keys k JOIN key_secrets s ON s.key_id = k.id
     WHERE k.id = ? AND k.revoked_at IS NULL`,
  );
  const byId = db.prepare('SELECT * FROM keys WHERE id = ? AND revoked_at IS NULL');
  const withOllama = db.prepare('SELECT * FROM keys WHERE ollama_port IS NOT NULL AND revoked_at IS NULL');
  const setOllama = db.prepare('UPDATE keys SET ollama_host = ?, ollama_port = ? WHERE id = ?');
  const standingById = db.prepare(
    `SELECT expires_at, (SELECT max(id) FROM key_events WHERE key_id = k.id AND action = 'rotated') AS rotation
     FROM keys k WHERE id = ? AND revoked_at IS NULL`,
  );
  const byLabel = db.prepare('SELECT * FROM keys WHERE label = ? AND revoked_at IS NULL');
  const lastByLabel = db.prepare(
    'SELECT * FROM keys WHERE label = ? ORDER BY revoked_at IS NULL DESC, created_at DESC LIMIT 1',
  );
  const live = db.prepare('SELECT * FROM keys WHERE revoked_at IS NULL ORDER BY created_at, id');
  const all = db.prepare('SELECT * FROM keys ORDER BY created_at, id');
  const events = db.prepare('SELECT at, action, command FROM key_events WHERE key_id = ? ORDER BY id');
  const insertKey = db.prepare(
    `INSERT INTO keys (id, label, created_at, expires_at, daily_limit, rpm, concurrency, allowed_routes, allowed_models)
     VALUES (:id, :label, :created_at, :expires_at, :daily_limit, :rpm, :concurrency, :allowed_routes, :allowed_models)`,
  );
  const markRevoked = db.prepare('UPDATE keys SET revoked_at = ? WHERE id = ?');
  const insertSecret = db.prepare('INSERT INTO key_secrets (key_id, digest, valid_until) VALUES (?, ?, ?)');
  const shortenSecrets = db.prepare(
    'UPDATE key_secrets SET valid_until = min(coalesce(valid_until, :until), :until) WHERE key_id = :id',
  );
  const removeExpired = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND valid_until <= ?');
  const removeSecret = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND digest = ?');
  const removeSecrets = db.prepare('DELETE FROM key_secrets WHERE key_id = ?');
  const insertEvent = db.prepare('INSERT INTO key_events (at, key_id, action, command) VALUES (?, ?, ?, ?)');
  const lastUse = openLastUse(store);

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

    /** For a caller that is known in another way than by a secret. Undefined for a key that is revoked or has expired. */
    byId(id: string): Key | undefined {
      const at = now();
      const row = orNotReady(() => byId.get(id)) as KeyRow | undefined;
      if (row === undefined || isExpired(row, at)) return undefined;
      lastUse.touch(id, row.last_used_at, at);
      return keyOf(row);
    },

    isLive(id: string): boolean {
      const row = orNotReady(() => byId.get(id)) as KeyRow | undefined;
      return row !== undefined && !isExpired(row, now());
    },

    /** Changes with each new secret of the key; undefined once it is revoked or has expired. */
    standing(id: string): string | undefined {
      const row = orNotReady(() => standingById.get(id)) as
        | (Pick<KeyRow, 'expires_at'> & { rotation: number | null })
        | undefined;
      return row === undefined || isExpired(row, now()) ? undefined : String(row.rotation);
    },

    create(label: string, grants: KeyGrants, command: string): NewSecret {
      checkLabel(label);
      const at = now();
      checkGrants(grants, at);
      const { id, token, digest } = mintToken(random);
      try {
        return store.transaction(() => {
          addKey(id, label, grants, at, command);
          insertSecret.run(id, digest, null);
          return { key: liveKey(label), token };
        });
      } catch (error) {
        if (sqliteCode(error) !== uniqueViolation) throw error;
        throw labelTaken(label, at);
      }
    },

    /** A new secret for the same key. Earlier secrets are valid for at most `graceMs` more milliseconds; 0 ends them now. */
    rotate(label: string, graceMs: number, command: string): NewSecret {
      if (!Number.isSafeInteger(graceMs) || graceMs < 0)
        throw new KeyError('The grace period cannot be negative.');
      return store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        const { token, digest } = mintToken(random, key.id);
        shortenSecrets.run({ id: key.id, until: at + graceMs });
        removeExpired.run(key.id, at);
        insertSecret.run(key.id, digest, null);
        insertEvent.run(at, key.id, 'rotated', command);
        return { key, token };
      });
    },

    /** Where the key serves Ollama's API without its secret; undefined: nowhere. */
    setOllama(label: string, address: OllamaAddress | undefined, command: string): Key {
      const { host, port } = address === undefined ? {} : checkOllamaAddress(address);
      return store.transaction(() => {
        const key = liveKey(label);
        const other = withOllama
          .all()
          .map((row) => keyOf(row as KeyRow))
          .find(({ id, ollama }) => id !== key.id && ollama?.host === host && ollama?.port === port);
        if (other !== undefined) throw new KeyError(`The key ${other.label} already has that address.`);
        setOllama.run(host ?? null, port ?? null, key.id);
        insertEvent.run(now(), key.id, 'changed', command);
        return liveKey(label);
      });
    },

    /** The keys that serve Ollama's API, expired ones included. */
    withOllama(): Key[] {
      return withOllama.all().map((row) => keyOf(row as KeyRow));
    },

    revoke(label: string, command: string): Key {
      return store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        markRevoked.run(at, key.id);
        removeSecrets.run(key.id);
        insertEvent.run(at, key.id, 'revoked', command);
        return { ...key, revokedAt: at };
      });
    },

    /** A secret for `forMs` milliseconds or until `end`. Creates a missing key; limits and other secrets of the key stay. */
    lend(label: string, forMs: number, command: string): NewSecret & { end(): void } {
      checkLabel(label);
      return store.transaction(() => {
        const at = now();
        if (byLabel.get(label) === undefined) addKey(mintToken(random).id, label, {}, at, command);
        const key = liveKey(label);
        if (key.expiresAt !== undefined && at >= key.expiresAt) throw labelTaken(label, at);
        const { token, digest } = mintToken(random, key.id);
        removeExpired.run(key.id, at);
        insertSecret.run(key.id, digest, at + forMs);
        insertEvent.run(at, key.id, 'lent', command);
        return { key, token, end: () => void removeSecret.run(key.id, digest) };
      });
    },

    /** Oldest first, expired keys included. */
    list({ revoked = false }: { revoked?: boolean } = {}): Key[] {
      return (revoked ? all : live).all().map((row) => keyOf(row as KeyRow));
    },

    /** The key that has this label now, or else the last one that had it, and its record of changes. */
    show(label: string): { key: Key; events: KeyEvent[] } {
      const row = lastByLabel.get(label) as KeyRow | undefined;
      if (row === undefined) throw unknownLabel(label);
      const rows = events.all(row.id) as KeyEvent[];
      // Plain objects: the database's rows have no prototype.
      return { key: keyOf(row), events: rows.map(({ at, action, command }) => ({ at, action, command })) };
    },

    /** Writes the times of last use that are still in memory. */
    close: () => lastUse.close(),
  };

  function addKey(id: string, label: string, grants: KeyGrants, at: number, command: string): void {
    insertKey.run({ id, label, created_at: at, ...grantColumns(grants) });
    insertEvent.run(at, id, 'created', command);
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
        : `There is already a key with the label ${label}.`,
    );
  }
}

function isExpired({ expires_at }: Pick<KeyRow, 'expires_at'>, at: number): boolean {
  return expires_at !== null && at >= expires_at;
}

function orNotReady<T>(read: () => T): T {
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

/** Repeats the label only if it has a label's shape: what a person typed by mistake can be a secret. */
function unknownLabel(label: string): KeyError {
  checkLabel(label);
  return new KeyError(
    label.startsWith('crk_')
      ? 'That is a secret, not a label. Give the label of the key.'
      : `There is no key with the label ${label}.`,
  );
}
