/**
 * Copies of the database from before its upgrades, next to it, for the way back: `relay.db.schema-11` is a database of schema 11.
 * A copy can hold what was removed from the database since, so it is removed after `copyDays`.
 */
import { closeSync, openSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { dayMs } from '../time.ts';

/** `at`: the last change of its rows. */
export type Copy = { name: string; schema: number; at: number };

const copyDays = 30;

const waitMs = 5000;

/** A database, and what SQLite writes next to it. */
const ends = ['', '-wal', '-shm', '-journal'] as const;
/** `.new`: not complete. */
const ofCopies = /^relay\.db\.schema-\d+(?:\.new)?(?:-wal|-shm|-journal)?$/;

export const copyName = (schema: number): string => `relay.db.schema-${schema}`;

/** The names of all files that hold rows of the database, also of a killed upgrade. */
export function databaseFiles(dataDir: string): string[] {
  const own = new Set(ends.map((end) => `relay.db${end}`));
  return names(dataDir).filter((name) => own.has(name) || ofCopies.test(name));
}

/** The complete copies. */
export function listCopies(dataDir: string): Copy[] {
  return names(dataDir).flatMap((name) => {
    const [, schema] = /^relay\.db\.schema-(\d+)$/.exec(name) ?? [];
    const found = statSync(join(dataDir, name), { throwIfNoEntry: false });
    return schema === undefined || !found?.isFile()
      ? []
      : [{ name, schema: Number(schema), at: found.mtimeMs }];
  });
}

/**
 * Copies the database. The caller holds its write lock, so that nothing is written in between, and no other process makes a copy. It has
 * its name once it is complete and on the disk.
 */
export function keepCopy(dataDir: string, schema: number): void {
  const copy = join(dataDir, copyName(schema));
  const unfinished = `${copy}.new`;
  removeFiles(unfinished);
  try {
    // SQLite would use the umask.
    closeSync(openSync(unfinished, 'wx', 0o600));
    const reader = new DatabaseSync(join(dataDir, 'relay.db'), { timeout: waitMs, defensive: true });
    try {
      reader.prepare('VACUUM INTO ?').run(unfinished);
    } finally {
      reader.close();
    }
    // A write-ahead log of an earlier file with this name does not belong to the new one.
    removeFiles(copy);
    renameSync(unfinished, copy);
  } catch (error) {
    removeFiles(unfinished);
    throw error;
  }
}

/** After an upgrade from `schema`. A newer file is one that its owner has put there to go back. */
export function removeOlderCopies(dataDir: string, schema: number): void {
  for (const copy of listCopies(dataDir)) {
    if (copy.schema < schema) removeFiles(join(dataDir, copy.name));
  }
}

/** Removes what is older than `copyDays`, also of a killed upgrade. */
export function removeExpiredCopies(dataDir: string, now: number): void {
  for (const name of names(dataDir).filter((each) => ofCopies.test(each))) {
    try {
      const path = join(dataDir, name);
      if (now - statSync(path).mtimeMs > copyDays * dayMs) rmSync(path);
    } catch {
      // Another process has removed it, or the next opening tries again.
    }
  }
}

/** Does the same in each copy, and overwrites what it removes. A copy in which this is not possible is removed. */
export function changeCopies(dataDir: string, work: (db: DatabaseSync) => void): void {
  for (const { name, at } of listCopies(dataDir)) {
    const path = join(dataDir, name);
    try {
      const db = new DatabaseSync(path, { timeout: waitMs, defensive: true });
      try {
        db.exec('PRAGMA secure_delete = ON; BEGIN IMMEDIATE');
        work(db);
        db.exec('COMMIT');
      } finally {
        db.close();
      }
      // The copy does not stay longer for it.
      utimesSync(path, at / 1000, at / 1000);
    } catch {
      removeFiles(path);
    }
  }
}

function removeFiles(path: string): void {
  for (const end of ends) rmSync(path + end, { force: true });
}

/** Without directories, which are not of the relay and would refuse to be removed. */
function names(dataDir: string): string[] {
  try {
    return readdirSync(dataDir, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
