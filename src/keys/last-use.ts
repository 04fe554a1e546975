/** When each key was last used, written after the request: in memory at once, in the database within a second. */
import type { Store } from '../store/sqlite.ts';

/** A key's time is written at most this often. */
const stepMs = 60_000;
const delayMs = 1000;

export function openLastUse(store: Store) {
  const update = store.db.prepare('UPDATE keys SET last_used_at = ? WHERE id = ?');
  const pending = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  return {
    /** `recorded` is the time in the database. */
    touch(id: string, recorded: number | null, at: number): void {
      // A recorded time that lies ahead comes from a clock that was wrong.
      const isRecent = recorded !== null && Math.abs(at - recorded) < stepMs;
      if (pending.has(id) || isRecent) return;
      pending.set(id, at);
      timer ??= setTimeout(write, delayMs).unref();
    },
    close(): void {
      closed = true;
      clearTimeout(timer);
      write();
    },
  };

  function write(): void {
    timer = undefined;
    if (pending.size === 0) return;
    try {
      store.transaction(() => {
        for (const [id, at] of pending) update.run(at, id);
      });
      pending.clear();
    } catch {
      // A locked or full database: a time of last use is not worth an error. Try again later.
      if (!closed) timer = setTimeout(write, stepMs).unref();
    }
  }
}
