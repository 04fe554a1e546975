/** The webhooks that are not delivered yet, in the database: none is lost when the relay is killed. */
import { RelayError } from '../errors.ts';
import type { Store } from '../store/sqlite.ts';

export type JobEnd = { status: 'done' | 'failed' | 'cancelled'; at: number };

export type Undelivered = { id: string; keyId: string; url: string; attempts: number; end: JobEnd };

/** Webhooks of one key that are not delivered yet. */
export const mostPerKey = 1000;

export type Outbox = ReturnType<typeof openOutbox>;

/** `now`: milliseconds since 1970. Every method can throw an error of the database. */
export function openOutbox(store: Store, now: () => number) {
  const { db } = store;
  const openedAt = now();
  const count = db.prepare('SELECT count(*) AS n FROM webhooks WHERE key_id = ?');
  const insert = db.prepare('INSERT INTO webhooks (job_id, key_id, created_at, url) VALUES (?, ?, ?, ?)');
  const end = db.prepare('UPDATE webhooks SET status = ?, ended_at = ? WHERE job_id = ?');
  const attempted = db.prepare('UPDATE webhooks SET attempts = ? WHERE job_id = ?');
  const remove = db.prepare('DELETE FROM webhooks WHERE job_id = ?');
  const fail = db.prepare(
    "UPDATE webhooks SET status = 'failed', ended_at = ? WHERE status IS NULL AND created_at < ?",
  );
  const left = db.prepare(
    `SELECT job_id AS id, key_id AS keyId, url, attempts, status, ended_at AS at
     FROM webhooks WHERE created_at < ? ORDER BY created_at, job_id`,
  );

  return {
    /** Throws `rate_limited` when the key has too many. */
    requireRoom(keyId: string): void {
      if (Number(count.get(keyId)?.['n']) < mostPerKey) return;
      throw new RelayError(
        'rate_limited',
        `This key has ${mostPerKey} webhooks that are not delivered yet. Check that your receiver answers with 200 to 299, or send the request without "webhook".`,
        { limit: 'key_webhooks', retryAfter: 60 },
      );
    },
    add: ({ id, keyId, url }: Pick<Undelivered, 'id' | 'keyId' | 'url'>): void =>
      void store.write(() => insert.run(id, keyId, now(), url)),
    ended: (id: string, { status, at }: JobEnd): void => void store.write(() => end.run(status, at, id)),
    attempted: (id: string, attempts: number): void => void store.write(() => attempted.run(attempts, id)),
    remove: (id: string): void => void store.write(() => remove.run(id)),

    /** What earlier relays have left, oldest first. Their jobs that had not ended fail now. */
    adopt(): Undelivered[] {
      store.write(() => fail.run(now(), openedAt));
      const rows = left.all(openedAt) as (Omit<Undelivered, 'end'> & JobEnd)[];
      return rows.map(({ id, keyId, url, attempts, status, at }) => ({
        id,
        keyId,
        url,
        attempts,
        end: { status, at },
      }));
    },
  };
}
