/**
 * The one database: a SQLite file in the data directory, used by the relay and by the commands at the same time.
 *
 * WAL lets readers and one writer work together. `synchronous = NORMAL` writes each commit to the operating system before
 * it returns, and syncs at checkpoints only: a `kill -9` of the relay loses no commit, because what was written is the
 * kernel's by then; a power cut can lose the last ones, never tear the file.
 */
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { changeCopies, keepCopy, removeExpiredCopies, removeOlderCopies } from './copies.ts';
import { sqliteCode, storeFailure, StoreError } from './errors.ts';
import { migrations } from './migrations.ts';
import { newerDatabase } from './newer.ts';

export type Store = ReturnType<typeof openStore>;

type StoreOptions = {
  /** Milliseconds that a statement waits for another process's lock, and blocks the thread: a server takes few (the default). */
  waitMs?: number;
  /** Those of another version, for tests. */
  steps?: readonly string[];
};

const openingWaitMs = 5000;

/** Opens, upgrades or creates the database of a data directory. Throws `StoreError` with a sentence for the owner. */
export function openStore(dataDir: string, { waitMs = 250, steps = migrations }: StoreOptions = {}) {
  const path = join(dataDir, 'relay.db');
  try {
    prepareFiles(dataDir, path);
    const db = new DatabaseSync(path, { timeout: openingWaitMs, defensive: true });
    try {
      useWal(db);
      migrate(db, dataDir, steps);
      tighten([`${path}-wal`, `${path}-shm`]);
      removeExpiredCopies(dataDir, Date.now());
      return makeStore(db, dataDir, Math.trunc(waitMs));
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const why = storeFailure(error) ?? (error as Error).message.replace(/\.$/, '');
    throw new StoreError(`The database ${path} cannot be used: ${why}.`, { cause: error });
  }
}

function makeStore(db: DatabaseSync, dataDir: string, waitMs: number) {
  const path = join(dataDir, 'relay.db');
  const probe = db.prepare(
    'INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT DO UPDATE SET at = excluded.at',
  );
  const opened = inodeOf(path);
  let probed: { at: number; problem: string | undefined } | undefined;
  let waits: boolean | undefined;
  const setWaiting = (yes: boolean): void => {
    if (waits !== yes) db.exec(`PRAGMA busy_timeout = ${yes ? waitMs : 0}`);
    waits = yes;
  };
  setWaiting(true);

  /**
   * Runs one statement that writes. Waiting for a lock blocks the thread: after one statement has waited without success, the next
   * ones do not wait until one succeeds. Throws `StoreError` if the file at the database's path is not the one that was opened.
   */
  function write<T>(work: () => T): T {
    // Rows in a file without a name would be lost, and rows that commands write to a new file would not be seen.
    if (inodeOf(path) !== opened) {
      throw new StoreError('the database file was removed or replaced: restart the relay');
    }
    try {
      const result = work();
      setWaiting(true);
      return result;
    } catch (error) {
      if (isLocked(error)) setWaiting(false);
      throw error;
    }
  }

  function tryToWrite(): string | undefined {
    try {
      write(() => probe.run(Date.now()));
      return undefined;
    } catch (error) {
      return storeFailure(error) ?? 'the database cannot be written';
    }
  }

  return {
    db,
    write,
    /** The same for several statements, in one transaction that holds the write lock from its start. */
    transaction: <T>(work: () => T): T => write(() => inTransaction(db, work)),
    /** Why the disk, a lock or the database lets no row be written. Writes one small row to learn it, at most once a second. */
    problem(): string | undefined {
      const at = performance.now();
      if (probed === undefined || at - probed.at >= 1000) probed = { at, problem: tryToWrite() };
      return probed.problem;
    },
    /** Does the same in the copies from before upgrades, which have the tables of their schema. */
    changeCopies: (work: (copy: DatabaseSync) => void): void => changeCopies(dataDir, work),
    removeExpiredCopies: (now: number): void => removeExpiredCopies(dataDir, now),
    close(): void {
      if (db.isOpen) db.close();
    },
  };
}

/** Whatever `work` throws undoes all of it. */
function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite itself rolls back after some failures, such as a full disk.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

function isLocked(error: unknown): boolean {
  return ((sqliteCode(error) ?? 0) & 0xff) === 5;
}

/** Creates the directory and the file for their owner alone: SQLite would use the umask, and -wal and -shm copy the file's mode. */
function prepareFiles(dataDir: string, path: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if ((statSync(dataDir).mode & 0o022) !== 0) {
    throw new StoreError(
      `The data directory ${dataDir} can be written by other users: run chmod 700 on it, or choose another DATA_DIR.`,
    );
  }
  // An existing file is not opened: closing a second descriptor would drop the locks that this process holds on the file.
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    tighten([path]);
  }
}

function tighten(paths: readonly string[]): void {
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && (found.mode & 0o077) !== 0) chmodSync(path, 0o600);
  }
}

/** The change to WAL does not wait for locks: when several processes create a database at the same time, all but one must retry. */
function useWal(db: DatabaseSync): void {
  const until = performance.now() + openingWaitMs;
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL');
      db.exec('PRAGMA synchronous = NORMAL');
      return;
    } catch (error) {
      if (!isLocked(error) || performance.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** All steps are one transaction: a kill leaves the old schema or the new one, and the copy is of the one that a version knows. */
function migrate(db: DatabaseSync, dataDir: string, steps: readonly string[]): void {
  if (schemaVersion(db) === steps.length) return;
  if (schemaVersion(db) > steps.length) throw newerDatabase(dataDir, schemaVersion(db), steps.length);
  const from = inTransaction(db, () => {
    // Under the lock: another process may have done it.
    const version = schemaVersion(db);
    if (version >= steps.length) return version;
    if (version > 0) copyOrRefuse(dataDir, version, steps.length);
    for (const step of steps.slice(version)) db.exec(step);
    db.exec(`PRAGMA user_version = ${steps.length}`);
    return version;
  });
  if (from < steps.length) removeOlderCopies(dataDir, from);
  else migrate(db, dataDir, steps);
}

/** Without a copy there would be no way back, so a full disk stops the upgrade. */
function copyOrRefuse(dataDir: string, version: number, latest: number): void {
  try {
    keepCopy(dataDir, version);
  } catch (error) {
    const why = storeFailure(error) ?? (error as Error).message.replace(/\.$/, '');
    const bytes = ['relay.db', 'relay.db-wal']
      .map((name) => statSync(join(dataDir, name), { throwIfNoEntry: false })?.size ?? 0)
      .reduce((sum, size) => sum + size);
    const fix =
      why === 'the disk is full'
        ? `The upgrade needs ${Math.ceil((2 * bytes) / 2 ** 20)} MiB there: make room`
        : 'Fix this first';
    throw new StoreError(
      `The database in ${dataDir} needs an upgrade from schema ${version} to ${latest}, and a copy of it cannot be written first: ${why}. Nothing was changed. ${fix}, then start again.`,
      { cause: error },
    );
  }
}

function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
}
