/** The secrets that sign the webhooks of a key. Unlike the key's own secret they are stored as they are: a signature needs them. */
import type { Store } from '../store/sqlite.ts';

export function openWebhookSecrets(store: Store, now: () => number, random: (bytes: number) => Uint8Array) {
  const { db } = store;
  const select = db.prepare(
    `SELECT secret FROM webhook_secrets WHERE key_id = ? AND (valid_until IS NULL OR valid_until > ?)
     ORDER BY valid_until IS NULL DESC, valid_until DESC`,
  );
  const insert = db.prepare(
    `INSERT INTO webhook_secrets (key_id, secret)
     SELECT :id, :secret FROM keys WHERE id = :id AND revoked_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM webhook_secrets WHERE key_id = :id AND valid_until IS NULL)`,
  );
  const shorten = db.prepare(
    'UPDATE webhook_secrets SET valid_until = min(coalesce(valid_until, :until), :until) WHERE key_id = :id',
  );
  const removeExpired = db.prepare('DELETE FROM webhook_secrets WHERE key_id = ? AND valid_until <= ?');
  const remove = db.prepare('DELETE FROM webhook_secrets WHERE key_id = ?');

  const valid = (keyId: string): Uint8Array[] =>
    select.all(keyId, now()).map(({ secret }) => secret as Uint8Array);

  return {
    /** The newest first. Makes the first one, and none for a revoked key. */
    of: (keyId: string): Uint8Array[] => {
      const known = valid(keyId);
      if (known.length > 0) return known;
      store.write(() => insert.run({ id: keyId, secret: random(32) }));
      return valid(keyId);
    },

    /** Earlier secrets are valid for at most `graceMs` more milliseconds. */
    replace(keyId: string, graceMs: number): void {
      shorten.run({ id: keyId, until: now() + graceMs });
      removeExpired.run(keyId, now());
      insert.run({ id: keyId, secret: random(32) });
    },

    remove: (keyId: string): void => void remove.run(keyId),
  };
}

/** As Standard Webhooks write a secret (standardwebhooks.com, "Signature scheme"). */
export function textOfSecret([newest = new Uint8Array()]: readonly Uint8Array[]): string {
  return `whsec_${Buffer.from(newest).toString('base64')}`;
}
