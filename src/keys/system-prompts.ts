/**
 * The system prompts of keys: the only content in the database, apart from the URLs of webhooks. They have a separate table, so that no
 * other statement reads them. Where SQLite removes any row, it overwrites the bytes.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Store } from '../store/sqlite.ts';
import { KeyError } from './key.ts';
import { orNotReady } from './verify.ts';

/** Bytes of UTF-8. */
const longest = 100_000;

/** Throws `KeyError`, which does not quote the text. */
export function checkSystemPrompt(text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > longest) {
    throw new KeyError(`The system prompt has ${bytes} bytes: shorten it to ${longest}.`);
  }
  if (text.trim() === '') throw new KeyError('The system prompt is empty.');
  if (text.includes('\0')) throw new KeyError('The system prompt holds a NUL character.');
}

export function openSystemPrompts({ db }: Store) {
  const read = db.prepare('SELECT system FROM key_prompts WHERE key_id = ?');
  db.exec('PRAGMA secure_delete = ON');

  return {
    /** The system prompt of a key, byte for byte; undefined without one. Throws `not_ready` when the database cannot be read. */
    systemOf(keyId: string): string | undefined {
      return orNotReady(() => read.get(keyId))?.['system'] as string | undefined;
    },

    /** After the transaction: the write-ahead log would hold what was removed until it is full. */
    emptyLog(): void {
      try {
        db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      } catch {
        // The change is done. A later checkpoint empties the log.
      }
    },
  };
}

/** Inside of a transaction, in the database or a copy, which can lack the key. Null removes it. */
export function setSystem(db: DatabaseSync, keyId: string, text: string | null): void {
  db.prepare('DELETE FROM key_prompts WHERE key_id = ?').run(keyId);
  if (text !== null) {
    db.prepare('INSERT INTO key_prompts (key_id, system) SELECT id, ? FROM keys WHERE id = ?').run(
      text,
      keyId,
    );
  }
  const bytes = text === null ? null : Buffer.byteLength(text);
  db.prepare('UPDATE keys SET system_bytes = ? WHERE id = ?').run(bytes, keyId);
}
