/** A file that the relay's commands write: whole or not at all, and only when it changes. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Whether the file has changed. */
export function writeOwnFile(path: string, text: string, mode = 0o644): boolean {
  if (readOwnFile(path) === text) return false;
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.${process.pid}.new`;
  try {
    writeFileSync(next, text, { mode, flag: 'wx', flush: true });
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
  return true;
}

/** Undefined when there is none. */
export function readOwnFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether there was one. */
export function removeOwnFile(path: string): boolean {
  const there = readOwnFile(path) !== undefined;
  rmSync(path, { force: true });
  return there;
}
