/**
 * What ends or disables a key, ends a secret or changes a system prompt is done in the copies from before upgrades, too: going back to one
 * must not bring it back. A copy has the tables of its schema; every schema has `keys` and `key_secrets`.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Store } from '../store/sqlite.ts';
import { setSystem } from './system-prompts.ts';

/** The methods are called in the transaction of the change. If that is undone, the copies are ahead of it until it is tried again. */
export function openKeyCopies(store: Store) {
  return {
    revoke(id: string, at: number): void {
      store.changeCopies((copy) => {
        copy.prepare('UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?').run(at, id);
        if (has(copy, 'key_prompts')) setSystem(copy, id, null);
        for (const table of ['key_secrets', 'webhook_secrets', 'webhooks']) {
          if (has(copy, table)) copy.prepare(`DELETE FROM ${table} WHERE key_id = ?`).run(id);
        }
      });
    },

    rotate(id: string, until: number, digest: Uint8Array): void {
      store.changeCopies((copy) => {
        copy.prepare(shortenSecrets).run({ id, until });
        copy
          .prepare('INSERT INTO key_secrets (key_id, digest) SELECT id, ? FROM keys WHERE id = ?')
          .run(digest, id);
      });
    },

    /** Null: it never ends, or is enabled. */
    setEnd(id: string, expiresAt: number | null, disabledAt: number | null): void {
      store.changeCopies((copy) => {
        copy.prepare('UPDATE keys SET expires_at = ? WHERE id = ?').run(expiresAt, id);
        if (has(copy, 'keys', 'disabled_at')) {
          copy.prepare('UPDATE keys SET disabled_at = ? WHERE id = ?').run(disabledAt, id);
        }
      });
    },

    setSystem(id: string, text: string | null): void {
      store.changeCopies((copy) => {
        if (has(copy, 'key_prompts')) setSystem(copy, id, text);
      });
    },
  };
}

export const shortenSecrets =
  'UPDATE key_secrets SET valid_until = min(coalesce(valid_until, :until), :until) WHERE key_id = :id';

function has(copy: DatabaseSync, table: string, column = 'key_id'): boolean {
  return copy.prepare('SELECT 1 FROM pragma_table_info(?) WHERE name = ?').get(table, column) !== undefined;
}
