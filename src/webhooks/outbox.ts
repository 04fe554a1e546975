/** The webhooks that are not delivered yet, in the database: none is lost when the relay is killed. */
import { uptime } from 'node:os';
import { RelayError } from '../errors.ts';
import { isAlive } from '../is-alive.ts';
import type { Store } from '../store/sqlite.ts';

export type JobEnd = { status: 'done' | 'failed' | 'cancelled'; at: number };

export type Undelivered = { id: string; keyId: string; url: string; attempts: number; end: JobEnd };

type Row = {
  job_id: string;
  key_id: string;
  pid: number;
  created_at: number;
  url: string;
  status: JobEnd['status'];
  ended_at: number;
  attempts: number;
};

/** Webhooks of one key that are not delivered yet. */
export const mostPerKey = 1000;

export type Outbox = ReturnType<typeof openOutbox>;

/** `now`: milliseconds since 1970. Every method can throw an error of the database. */
export function openOutbox(store: Store, now: () => number) {
  const { db } = store;
  const count = db.prepare('SELECT count(*) AS n FROM webhooks WHERE key_id = ?');
  const insert = db.prepare(
    'INSERT INTO webhooks (job_id, key_id, pid, created_at, url) VALUES (?, ?, ?, ?, ?)',
  );
  const end = db.prepare('UPDATE webhooks SET status = ?, ended_at = ? WHERE job_id = ?');
  const attempted = db.prepare('UPDATE webhooks SET attempts = ? WHERE job_id = ?');
  const remove = db.prepare('DELETE FROM webhooks WHERE job_id = ?');
  const all = db.prepare('SELECT * FROM webhooks ORDER BY created_at, job_id');
  const adopt = db.prepare(
    `UPDATE webhooks SET pid = ?, status = coalesce(status, 'failed'), ended_at = coalesce(ended_at, ?)
     WHERE job_id = ? RETURNING *`,
  );

  return {
    /** Throws `rate_limited` when the key has too many. */
    add({ id, keyId, url }: Pick<Undelivered, 'id' | 'keyId' | 'url'>): void {
      if (Number(count.get(keyId)?.['n']) >= mostPerKey) {
        throw new RelayError(
          'rate_limited',
          `This key has ${mostPerKey} webhooks that are not delivered yet. Send the request without "webhook", or try again later.`,
          { retryAfter: 60 },
        );
      }
      store.write(() => insert.run(id, keyId, process.pid, now(), url));
    },
    ended: (id: string, { status, at }: JobEnd): void => void store.write(() => end.run(status, at, id)),
    attempted: (id: string, attempts: number): void => void store.write(() => attempted.run(attempts, id)),
    remove: (id: string): void => void store.write(() => remove.run(id)),

    /** What relays have left that run no longer, oldest first. Their jobs that had not ended fail now. For a relay that begins. */
    adopt(): Undelivered[] {
      const booted = now() - uptime() * 1000;
      return store.transaction(() => {
        const left = (all.all() as Row[]).filter(
          ({ pid, created_at: at }) => pid === process.pid || at < booted || !isAlive(pid),
        );
        return left.flatMap(({ job_id: id }) =>
          (adopt.all(process.pid, now(), id) as Row[]).map((row) => ({
            id,
            keyId: row.key_id,
            url: row.url,
            attempts: row.attempts,
            end: { status: row.status, at: row.ended_at },
          })),
        );
      });
    },
  };
}
