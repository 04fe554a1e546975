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
import { sqliteCode, storeFailure, StoreError } from './errors.ts';
import { migrations } from './migrations.ts';

export type Store = {
  readonly db: DatabaseSync;
  /**
   * Runs one statement that writes. Waiting for a lock blocks the thread: once one has waited in vain, those after it do not wait
   * until one has worked. Throws `StoreError` when the file at the database's path is not the one that was opened.
   */
  write<T>(work: () => T): T;
  /** The same for several, in one transaction that holds the write lock from its start; whatever it throws undoes all of it. */
  transaction<T>(work: () => T): T;
  /** Writes one small row, at most once a second; the reason when the disk or a lock does not let it. For readiness. */
  writable(): { ok: true } | { ok: false; reason: string };
  close(): void;
};

export type StoreOptions = {
  /**
   * How long a statement waits for another process's lock, in milliseconds. It blocks the thread, so a server
   * takes little (the default, 250); a command can wait.
   */
  waitMs?: number;
};

const openingWaitMs = 5000;

/** Opens (or creates) the database of a data directory. Throws `StoreError` with a sentence for the owner. */
export function openStore(dataDir: string, { waitMs = 250 }: StoreOptions = {}): Store {
  const path = join(dataDir, 'relay.db');
  try {
    prepareFiles(dataDir, path);
    const db = new DatabaseSync(path, { timeout: openingWaitMs, defensive: true });
    try {
      useWal(db);
      migrate(db, path);
      tighten([`${path}-wal`, `${path}-shm`]);
      return makeStore(db, path, Math.trunc(waitMs));
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(`The database ${path} cannot be used: ${openingFailure(error)}.`, { cause: error });
  }
}

function openingFailure(error: unknown): string {
  const known = storeFailure(error);
  if (known !== undefined) return known;
  return error instanceof Error ? error.message.replace(/\.$/, '') : 'unknown reason';
}

function makeStore(db: DatabaseSync, path: string, waitMs: number): Store {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const probe = db.prepare(
    'INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT DO UPDATE SET at = excluded.at',
  );
  const opened = inodeOf(path);
  let probed: { at: number; result: ReturnType<Store['writable']> } | undefined;
  let waits: boolean | undefined;
  const wait = (yes: boolean): void => {
    if (waits === yes) return;
    db.exec(`PRAGMA busy_timeout = ${yes ? waitMs : 0}`);
    waits = yes;
  };
  wait(true);

  const store: Store = {
    db,
    write(work) {
      // What is written to a file without a name is lost, and what commands write to another is not seen.
      if (inodeOf(path) !== opened) {
        throw new StoreError('the database file was removed or replaced: restart the relay');
      }
      try {
        const result = work();
        wait(true);
        return result;
      } catch (error) {
        if (isLocked(error)) wait(false);
        throw error;
      }
    },
    transaction: (work) =>
      store.write(() => {
        begin.run();
        try {
          const result = work();
          commit.run();
          return result;
        } catch (error) {
          // SQLite has already rolled back by itself after some failures, a full disk among them.
          if (db.isTransaction) db.exec('ROLLBACK');
          throw error;
        }
      }),
    writable() {
      const at = performance.now();
      if (probed === undefined || at - probed.at >= 1000) probed = { at, result: tryProbe() };
      return probed.result;
    },
    close() {
      if (db.isOpen) db.close();
    },
  };
  return store;

  function tryProbe(): ReturnType<Store['writable']> {
    try {
      store.write(() => probe.run(Date.now()));
      return { ok: true };
    } catch (error) {
      return { ok: false, reason: storeFailure(error) ?? 'the database cannot be written' };
    }
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

/** The directory for its owner alone, and the file there before SQLite makes one with the umask's mode (-wal and -shm copy it). */
function prepareFiles(dataDir: string, path: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if ((statSync(dataDir).mode & 0o022) !== 0) {
    throw new StoreError(
      `The data directory ${dataDir} can be written by other users: run chmod 700 on it, or choose another DATA_DIR.`,
    );
  }
  // Never opened when it exists: closing a second descriptor would drop the locks that this process holds on the file.
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    tighten([path]);
  }
}

function tighten(paths: readonly string[]): void {
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && (found.mode & 0o077) !== 0) chmodSync(path, 0o600);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** The change to WAL does not wait for locks as other statements do: when several processes make a database at once, all but one must try again. */
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

/** Brings the schema to the newest version, each step in one transaction. The version is read under the lock: another process may be doing the same. */
function migrate(db: DatabaseSync, path: string): void {
  while (schemaVersion(db) !== migrations.length) {
    db.exec('BEGIN IMMEDIATE');
    try {
      const version = schemaVersion(db);
      if (version > migrations.length) {
        throw new StoreError(
          `The database ${path} was written by a newer claude-relay (schema ${version}, this one knows ${migrations.length}): update claude-relay, or choose another DATA_DIR.`,
        );
      }
      const step = migrations[version];
      if (step !== undefined) db.exec(`${step}; PRAGMA user_version = ${version + 1}`);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}

function schemaVersion(db: DatabaseSync): number {
  const version = db.prepare('PRAGMA user_version').get()?.['user_version'];
  return typeof version === 'number' ? version : 0;
}
