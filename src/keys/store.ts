/** The keys: created, changed, rotated and revoked by their owner. Only the SHA-256 of a secret is stored; the secret is returned once. */
import { randomBytes } from 'node:crypto';
import { sqliteCode } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { openKeyCopies, shortenSecrets } from './copies.ts';
import {
  checkFallback,
  checkGrants,
  checkLabel,
  checkOllamaAddress,
  checkProfile,
  KeyError,
  type GrantChanges,
  type Key,
  type KeyChanges,
  type OllamaAddress,
} from './key.ts';
import { grantColumns, grantsOf, keyOf, type KeyRow } from './row.ts';
import { checkSystemPrompt, openSystemPrompts, setSystem } from './system-prompts.ts';
import { mintToken } from './token.ts';
import { openVerifier } from './verify.ts';
import { openWebhookSecrets, textOfSecret } from './webhook-secrets.ts';

export type Keys = ReturnType<typeof openKeys>;
export type KeyEvent = { at: number; action: KeyAction; command: string };
type KeyAction = 'created' | 'rotated' | 'revoked' | 'lent' | 'changed';
export type NewSecret = { key: Key; token: string };

type KeysOptions = { now?: () => number; random?: (bytes: number) => Uint8Array };

const uniqueViolation = 2067;

const grantNames = Object.keys(grantColumns({}));

/**
 * In each method, `command` says who asked, in at most 40 characters, for the record of changes. The methods throw `KeyError` with a
 * sentence for the owner; those of the verifier throw as it says.
 */
export function openKeys(store: Store, { now = Date.now, random = randomBytes }: KeysOptions = {}) {
  const { db } = store;
  const withOllama = db.prepare('SELECT * FROM keys WHERE ollama_port IS NOT NULL AND revoked_at IS NULL');
  const update = db.prepare(
    `UPDATE keys SET ${grantNames.map((name) => `${name} = :${name}`).join()}, disabled_at = :disabled_at,
       ollama_host = :ollama_host, ollama_port = :ollama_port
     WHERE id = :id`,
  );
  const byLabel = db.prepare('SELECT * FROM keys WHERE label = ? AND revoked_at IS NULL');
  const lastByLabel = db.prepare(
    'SELECT * FROM keys WHERE label = ? ORDER BY revoked_at IS NULL DESC, created_at DESC LIMIT 1',
  );
  const live = db.prepare('SELECT * FROM keys WHERE revoked_at IS NULL ORDER BY created_at, id');
  const all = db.prepare('SELECT * FROM keys ORDER BY created_at, id');
  const byIds = db.prepare(
    'SELECT * FROM keys WHERE id IN (SELECT value FROM json_each(?)) ORDER BY created_at, id',
  );
  const events = db.prepare('SELECT at, action, command FROM key_events WHERE key_id = ? ORDER BY id');
  const insertKey = db.prepare(
    `INSERT INTO keys (id, label, created_at, ${grantNames.join()})
     VALUES (:id, :label, :created_at, ${grantNames.map((name) => `:${name}`).join()})`,
  );
  const markRevoked = db.prepare('UPDATE keys SET revoked_at = ? WHERE id = ?');
  const insertSecret = db.prepare('INSERT INTO key_secrets (key_id, digest, valid_until) VALUES (?, ?, ?)');
  const shorten = db.prepare(shortenSecrets);
  const removeExpired = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND valid_until <= ?');
  const removeSecret = db.prepare('DELETE FROM key_secrets WHERE key_id = ? AND digest = ?');
  const removeSecrets = db.prepare('DELETE FROM key_secrets WHERE key_id = ?');
  const removeWebhooks = db.prepare('DELETE FROM webhooks WHERE key_id = ?');
  const webhookSecrets = openWebhookSecrets(store, now, random);
  const insertEvent = db.prepare('INSERT INTO key_events (at, key_id, action, command) VALUES (?, ?, ?, ?)');

  const prompts = openSystemPrompts(store);
  const copies = openKeyCopies(store);

  return {
    ...openVerifier(store, now),
    systemOf: (keyId: string) => prompts.systemOf(keyId),
    webhookSecrets: webhookSecrets.of,

    create(
      label: string,
      { system, ...grants }: GrantChanges & { system?: string | undefined },
      command: string,
    ): NewSecret {
      checkLabel(label);
      const at = now();
      checkGrants(grants, at);
      checkFallback(grants);
      checkProfile(grants, system !== undefined);
      if (system !== undefined) checkSystemPrompt(system);
      const { id, token, digest } = mintToken(random);
      try {
        return store.transaction(() => {
          addKey(id, label, grants, at, command);
          insertSecret.run(id, digest, null);
          if (system !== undefined) setSystem(db, id, system);
          return { key: liveKey(label), token };
        });
      } catch (error) {
        if (sqliteCode(error) !== uniqueViolation) throw error;
        throw labelTaken(label, at);
      }
    },

    /** A new secret for the same key. Earlier secrets are valid for at most `graceMs` more milliseconds; 0 ends them now. */
    rotate(label: string, graceMs: number, command: string): NewSecret {
      checkGrace(graceMs);
      return store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        const { token, digest } = mintToken(random, key.id);
        shorten.run({ id: key.id, until: at + graceMs });
        removeExpired.run(key.id, at);
        insertSecret.run(key.id, digest, null);
        insertEvent.run(at, key.id, 'rotated', command);
        copies.rotate(key.id, at + graceMs, digest);
        return { key, token };
      });
    },

    /** The secret that signs the key's webhooks, made at the first use. */
    webhookSecret(label: string): string {
      return store.transaction(() => textOfSecret(webhookSecrets.of(liveKey(label).id)));
    },

    /** A new secret for the key's webhooks. For at most `graceMs` more milliseconds, earlier ones sign as well. */
    rotateWebhookSecret(label: string, graceMs: number, command: string): string {
      checkGrace(graceMs);
      return store.transaction(() => {
        const { id } = liveKey(label);
        webhookSecrets.replace(id, graceMs);
        insertEvent.run(now(), id, 'changed', command);
        return textOfSecret(webhookSecrets.of(id));
      });
    },

    change(label: string, changes: KeyChanges, command: string): Key {
      const { ollama, disabled, system, ...grants } = changes;
      const address = ollama && checkOllamaAddress(ollama);
      if (typeof system === 'string') checkSystemPrompt(system);
      const changed = store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        checkGrants(grants, at);
        const all = { ...grantsOf(key), ...withoutUndefined(grants) };
        checkFallback(all);
        checkProfile(all, system === undefined ? key.systemBytes !== undefined : system !== null);
        if (address) checkFree(address, key);
        const { host, port } = (address === undefined ? key.ollama : address) ?? {};
        update.run({
          id: key.id,
          ...grantColumns(all),
          disabled_at: disabled === undefined ? (key.disabledAt ?? null) : disabled && (key.disabledAt ?? at),
          ollama_host: host ?? null,
          ollama_port: port ?? null,
        });
        if (system !== undefined) {
          setSystem(db, key.id, system);
          copies.setSystem(key.id, system);
        }
        insertEvent.run(at, key.id, 'changed', command);
        const after = liveKey(label);
        if (grants.expiresAt !== undefined || disabled !== undefined) {
          copies.setEnd(key.id, after.expiresAt ?? null, after.disabledAt ?? null);
        }
        return after;
      });
      if (system !== undefined) prompts.emptyLog();
      return changed;
    },

    /** The keys that serve Ollama's API, expired ones included. */
    withOllama(): Key[] {
      return withOllama.all().map((row) => keyOf(row as KeyRow));
    },

    /** Its system prompt, its webhooks and their secrets are removed. */
    revoke(label: string, command: string): Key {
      const { systemBytes: _, ...revoked } = store.transaction(() => {
        const at = now();
        const key = liveKey(label);
        markRevoked.run(at, key.id);
        removeSecrets.run(key.id);
        setSystem(db, key.id, null);
        webhookSecrets.remove(key.id);
        removeWebhooks.run(key.id);
        insertEvent.run(at, key.id, 'revoked', command);
        copies.revoke(key.id, at);
        return { ...key, revokedAt: at };
      });
      prompts.emptyLog();
      return revoked;
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

    /** The keys that have one of these ids, revoked ones included. */
    withIds(ids: readonly string[]): Key[] {
      return byIds.all(JSON.stringify(ids)).map((row) => keyOf(row as KeyRow));
    },

    /** The key that has this label now, or else the last one that had it, and its record of changes. */
    show(label: string): { key: Key; events: KeyEvent[] } {
      const row = lastByLabel.get(label) as KeyRow | undefined;
      if (row === undefined) throw unknownLabel(label);
      const rows = events.all(row.id) as KeyEvent[];
      // Plain objects: the database's rows have no prototype.
      return { key: keyOf(row), events: rows.map(({ at, action, command }) => ({ at, action, command })) };
    },
  };

  function checkFree({ host, port }: OllamaAddress, { id }: Key): void {
    const other = withOllama
      .all()
      .map((row) => keyOf(row as KeyRow))
      .find(({ id: other, ollama }) => other !== id && ollama?.host === host && ollama.port === port);
    if (other !== undefined) throw new KeyError(`The key ${other.label} already has that address.`);
  }

  function addKey(id: string, label: string, grants: GrantChanges, at: number, command: string): void {
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

/** Throws `KeyError`. */
function checkGrace(graceMs: number): void {
  if (Number.isSafeInteger(graceMs) && graceMs >= 0) return;
  throw new KeyError('The grace period cannot be negative.');
}

function withoutUndefined<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
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
