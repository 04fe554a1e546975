/** Files that the relay's commands write: as a whole or not at all, and only when they change. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Returns whether the file changed. */
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

/** Undefined when the file does not exist. */
export function readOwnFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Returns whether the file existed. */
export function removeOwnFile(path: string): boolean {
  const there = readOwnFile(path) !== undefined;
  rmSync(path, { force: true });
  return there;
}
