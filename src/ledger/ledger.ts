/**
 * One row a request, written off the request's path: `record` only remembers, and a short timer writes what has come
 * together in one transaction. A kill loses at most the rows of that moment; the daily limits do not depend on them.
 *
 * When the database refuses (locked, disk full), the rows wait in memory for the next try, in a bounded number; `health`
 * tells it, and the rows that found no place are counted.
 */
import { storeFailure } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { openPruner } from './prune.ts';
import { storable } from './record.ts';
import type { LedgerRow, RequestRecord } from './record.ts';

type LedgerHealth = { ok: true } | { ok: false; reason: string };

export type Ledger = {
  /** Never throws and never touches the disk. */
  record(record: RequestRecord): void;
  /** Writes everything that waits, now. Returns whether nothing is left waiting. */
  flush(): boolean;
  health(): LedgerHealth;
  /** Rows lost for want of space, and rows that wait. */
  counts(): { dropped: number; waiting: number };
  /** Writes what waits and ends the timers; the store stays open. */
  close(): void;
};

export type LedgerOptions = {
  /** Rows older than this many days are removed (`LEDGER_DAYS`). */
  days: number;
  now?: () => number;
  /** Rows that wait in memory at most. */
  maxWaiting?: number;
};

const writeDelayMs = 200;
const retryDelayMs = 2000;
/** Bounds how long one transaction holds the thread and the lock, and so how long an answer may wait for it: about a millisecond. */
const batchRows = 25;

export function openLedger(
  store: Store,
  { days, now = Date.now, maxWaiting = 10_000 }: LedgerOptions,
): Ledger {
  const insert = store.db.prepare(
    `INSERT INTO requests (at, request_id, key_id, route, model, status, error, limit_hit, stop_reason,
       tokens_in, tokens_out, cache_read, cache_write, cost_usd, queue_ms, spawn_ms, upstream_ms, total_ms,
       bytes_in, bytes_out, client_gone)
     VALUES (:at, :request_id, :key_id, :route, :model, :status, :error, :limit_hit, :stop_reason,
       :tokens_in, :tokens_out, :cache_read, :cache_write, :cost_usd, :queue_ms, :spawn_ms, :upstream_ms, :total_ms,
       :bytes_in, :bytes_out, :client_gone)`,
  );
  // To the sums of the row's key and of all keys (`*`), each for its UTC day and model.
  const addToSums = store.db.prepare(
    `INSERT INTO daily_usage (key_id, day, model, requests, errors, tokens_in, tokens_out, cache_read, cache_write, cost_usd)
     SELECT owner.value, date(at / 1000, 'unixepoch'), coalesce(model, ''), 1, status >= 400 OR error IS NOT NULL,
         tokens_in, tokens_out, cache_read, cache_write, cost_usd
       FROM requests, json_each(json_array(key_id, '*')) AS owner
       WHERE requests.id = ? AND key_id IS NOT NULL
     ON CONFLICT DO UPDATE SET requests = requests + 1, errors = errors + excluded.errors,
       tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out,
       cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
       cost_usd = cost_usd + excluded.cost_usd`,
  );
  const pruner = openPruner(store, { days, now });
  const waiting: LedgerRow[] = [];
  let dropped = 0;
  let failure: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  return {
    record(record) {
      if (waiting.length >= maxWaiting) {
        dropped += 1;
        return;
      }
      waiting.push(storable(record));
      schedule(writeDelayMs);
    },
    flush() {
      while (waiting.length > 0) {
        if (!writeBatch()) return false;
      }
      return true;
    },
    health: () => (failure === undefined ? { ok: true } : { ok: false, reason: failure }),
    counts: () => ({ dropped, waiting: waiting.length }),
    close() {
      closed = true;
      clearTimeout(timer);
      pruner.close();
      this.flush();
    },
  };

  function schedule(delay: number): void {
    if (!closed) timer ??= setTimeout(writeSome, delay).unref();
  }

  function writeSome(): void {
    timer = undefined;
    const written = writeBatch();
    // One batch a turn of the event loop: requests go on between them.
    if (waiting.length > 0) schedule(written ? 1 : retryDelayMs);
  }

  function writeBatch(): boolean {
    const batch = waiting.slice(0, batchRows);
    try {
      store.transaction(() => {
        for (const row of batch) addToSums.run(insert.run(row).lastInsertRowid);
      });
    } catch (error) {
      const reason = storeFailure(error);
      failure = `the ledger cannot be written: ${reason ?? 'the database refused a row'}`;
      if (reason !== undefined) return false;
      // A defect, which trying again would not mend: these rows must not hold up the rest.
      dropped += batch.length;
      waiting.splice(0, batch.length);
      return true;
    }
    waiting.splice(0, batch.length);
    failure = undefined;
    return true;
  }
}
