/**
 * One row a request, written after the answer: `record` only remembers, and a short timer writes what has come together in one
 * transaction. A kill loses at most the rows of that moment; the daily limits do not depend on them.
 *
 * If the database refuses (locked, disk full), up to `maxWaiting` rows wait in memory for the next try; further ones are dropped.
 */
import { storeFailure } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { openPruner } from './prune.ts';
import { ledgerColumns, storable, type LedgerRow, type RequestRecord } from './record.ts';

export type Ledger = ReturnType<typeof openLedger>;

type LedgerOptions = {
  /** Rows older than this are removed (LEDGER_DAYS). */
  days: number;
  now?: () => number;
  maxWaiting?: number;
  /** Called each time that the database refuses rows. Must not throw. */
  onRefused?: () => void;
};

const writeDelayMs = 200;
const retryDelayMs = 2000;
/** Bounds how long one transaction holds the thread and the lock, and so delays an answer: about a millisecond. */
const batchRows = 25;

/** Not a request whose client was gone: its status is 0. */
const isAnswer = 'status BETWEEN 200 AND 399 AND error IS NULL';

export function openLedger(
  store: Store,
  { days, now = Date.now, maxWaiting = 10_000, onRefused }: LedgerOptions,
) {
  const insert = store.db.prepare(
    `INSERT INTO requests (${ledgerColumns.join()}) VALUES (${ledgerColumns.map((name) => `:${name}`).join()})`,
  );
  const sums = [
    addTo(store, 'daily_usage', 'day', '%Y-%m-%d'),
    addTo(store, 'hourly_usage', 'hour', '%Y-%m-%dT%H'),
  ];
  const pruner = openPruner(store, { days, now });
  const waiting: LedgerRow[] = [];
  let problem: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  return {
    /** Never throws and never touches the disk. */
    record(record: RequestRecord): void {
      if (waiting.length >= maxWaiting) return;
      waiting.push(storable(record));
      schedule(writeDelayMs);
    },
    flush,
    /** Why the database refused the latest rows. */
    problem: () => problem,
    /** Writes what waits and ends the timers; the store stays open. */
    close(): void {
      closed = true;
      clearTimeout(timer);
      pruner.close();
      flush();
    },
  };

  /** Writes everything that waits, now. Returns false if the database refuses. */
  function flush(): boolean {
    while (waiting.length > 0) {
      if (!writeBatch()) return false;
    }
    return true;
  }

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
        for (const row of batch) {
          const { lastInsertRowid: id } = insert.run(row);
          for (const sum of sums) sum.run(id);
        }
      });
      problem = undefined;
    } catch (error) {
      onRefused?.();
      const failure = storeFailure(error);
      problem = `the ledger cannot be written: ${failure ?? 'the database refused a row'}`;
      // Any other failure is a defect that a retry would not fix: these rows must not hold up the rest.
      if (failure !== undefined) return false;
    }
    waiting.splice(0, batch.length);
    return true;
  }
}

/** Adds a row to the sums of its key and of all keys (`*`), each for its UTC day or hour and its model. */
function addTo(store: Store, table: string, period: string, format: string) {
  return store.db.prepare(
    `INSERT INTO ${table} (key_id, ${period}, model, requests, errors, tokens_in, tokens_out, cache_read, cache_write, cost_usd,
       answers, hot_answers, fallback_answers, fallback_usd)
     SELECT owner.value, strftime('${format}', at / 1000, 'unixepoch'), coalesce(model, ''), 1,
         status >= 400 OR error IS NOT NULL, tokens_in, tokens_out, cache_read, cache_write, cost_usd,
         ${isAnswer} AND start IS NOT NULL, ${isAnswer} AND start IS 'hot',
         ${isAnswer} AND fallback_from IS NOT NULL, iif(fallback_from IS 'plan', cost_usd, 0)
       FROM requests, json_each(json_array(key_id, '*')) AS owner
       WHERE requests.id = ? AND key_id IS NOT NULL
     ON CONFLICT DO UPDATE SET requests = requests + 1, errors = errors + excluded.errors,
       tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out,
       cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
       cost_usd = cost_usd + excluded.cost_usd,
       answers = answers + excluded.answers, hot_answers = hot_answers + excluded.hot_answers,
       fallback_answers = fallback_answers + excluded.fallback_answers, fallback_usd = fallback_usd + excluded.fallback_usd`,
  );
}
