/** The doctor's lines about the data directory, the database, the keys and free space. */
import { accessSync, constants, existsSync, statfsSync, statSync, type Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../../config.ts';
import { openKeys } from '../../keys/store.ts';
import { openStore, type Store } from '../../store/sqlite.ts';
import { countLive } from '../settings-warnings.ts';
import { failure, ok, warning, word, type Line } from './line.ts';

const mib = 1024 * 1024;
const scarceBytes = 1024 * mib;
const tooLittleBytes = 100 * mib;
/** Checking a larger database would take seconds. */
const largestChecked = 64 * mib;

export type DiskReport = {
  lines: Line[];
  /** Undefined without a database. */
  liveKeys: number | undefined;
  /** When a relay last wrote the row that proves a writable database, in milliseconds since 1970; 0 for never. */
  writtenAt: number;
};

export function examineDisk({ dataDir }: Config, now: number): DiskReport {
  const directory = statSync(dataDir, { throwIfNoEntry: false });
  if (directory === undefined) {
    const { line, parent } = missingDirectory(dataDir);
    const lines = [line, keysLine(0), spaceLine('disk', parent), tempLine()];
    return { lines, liveKeys: undefined, writtenAt: 0 };
  }
  const lines = [directoryLine(dataDir, directory)];
  let liveKeys: number | undefined;
  let writtenAt = 0;
  try {
    const store = openStore(dataDir, { waitMs: 5000 });
    try {
      // Before the doctor itself writes that row.
      writtenAt = Number(store.db.prepare('SELECT at FROM probe').get()?.['at'] ?? 0);
      lines.push(databaseLine(store, join(dataDir, 'relay.db')));
      liveKeys = countLive(openKeys(store).list(), now);
    } finally {
      store.close();
    }
    lines.push(keysLine(liveKeys));
  } catch (error) {
    lines.push(failure('database', (error as Error).message, `ls -la ${word(dataDir)}`));
  }
  return { lines: [...lines, spaceLine('disk', dataDir), tempLine()], liveKeys, writtenAt };
}

/** The doctor does not create the directory; it reports whether the relay could. */
function missingDirectory(dataDir: string): { line: Line; parent: string } {
  let parent = dirname(dataDir);
  while (!existsSync(parent)) parent = dirname(parent);
  const line = may(parent, constants.W_OK | constants.X_OK)
    ? ok('data-dir', `${dataDir}, which the first key or start creates`)
    : failure(
        'data-dir',
        `${dataDir} does not exist and cannot be created: ${parent} cannot be written`,
        'set DATA_DIR to a directory that you can write to',
      );
  return { line, parent };
}

function directoryLine(dataDir: string, { mode, uid }: Stats): Line {
  const me = process.getuid?.();
  const path = word(dataDir);
  if (me !== undefined && uid !== me && me !== 0) {
    return failure('data-dir', `${dataDir} belongs to another user`, `sudo chown -R "$(id -un)" ${path}`);
  }
  if (!may(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)) {
    return failure('data-dir', `${dataDir} cannot be written`, `chmod 700 ${path}`);
  }
  if ((mode & 0o077) === 0) return ok('data-dir', `${dataDir}, which only you can read`);
  const state = (mode & 0o022) === 0 ? warning : failure;
  const detail = `other users can read or write ${dataDir} (mode ${(mode & 0o777).toString(8)})`;
  return state('data-dir', detail, `chmod 700 ${path}`);
}

function databaseLine(store: Store, path: string): Line {
  const writable = store.writable();
  if (!writable.ok) {
    return failure('database', writable.reason, `ls -la ${word(path)}*; df -h ${word(dirname(path))}`);
  }
  const bytes = statSync(path).size;
  const size = `${(bytes / mib).toFixed(1)} MiB`;
  if (bytes > largestChecked) return ok('database', `${size}, writable`);
  const verdict = Object.values(store.db.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
  if (verdict === 'ok') return ok('database', `${size}, writable, undamaged`);
  const fix = `mv ${word(path)} ${word(`${path}.damaged`)}, or restore a backup (the file holds keys and usage)`;
  return failure('database', `${path} is damaged`, fix);
}

function keysLine(liveKeys: number): Line {
  return liveKeys === 0
    ? warning('keys', 'there is no valid key: no app can send requests', 'bin/genkey my-app')
    : ok('keys', `${liveKeys} valid`);
}

/** Each process of Claude Code has a separate directory there. */
function tempLine(): Line {
  const directory = tmpdir();
  return may(directory, constants.W_OK | constants.X_OK)
    ? spaceLine('temp', directory)
    : failure('temp', `${directory} cannot be written`, 'set TMPDIR to a directory that you can write to');
}

function spaceLine(name: string, directory: string): Line {
  const { bavail, bsize, ffree, files } = statfsSync(directory);
  return judgeSpace(name, directory, { freeBytes: bavail * bsize, freeFiles: files > 0 ? ffree : undefined });
}

/** `freeFiles` is undefined when the file system does not count files. Pure. */
export function judgeSpace(
  name: string,
  directory: string,
  { freeBytes, freeFiles }: { freeBytes: number; freeFiles: number | undefined },
): Line {
  if (freeFiles === 0) {
    const detail = `cannot create a file in ${directory}: its inodes are used up`;
    return failure(name, detail, `df -i ${word(directory)} (and remove files)`);
  }
  const free = Math.floor(freeBytes / mib);
  const detail = `${free < 10 * 1024 ? `${free} MiB` : `${Math.floor(free / 1024)} GiB`} free in ${directory}`;
  const fix = `df -h ${word(directory)} (and make room)`;
  if (freeBytes < tooLittleBytes) return failure(name, detail, fix);
  return freeBytes < scarceBytes ? warning(name, detail, fix) : ok(name, detail);
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
