/** The temporary directories of the relay's processes. Their names begin with the id of the relay that made them. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const prefix = 'relay-';

/** A new, empty directory. The CLI tells the model its working directory: a neutral path that names no user. */
export function makeDirectory(purpose?: string): string {
  const name = [process.pid, purpose, ''].filter((part) => part !== undefined).join('-');
  return mkdtempSync(join(neutralDirectory(), prefix + name));
}

export function removeDirectory(path: string | undefined): void {
  if (path === undefined) return;
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Swept at the next start.
  }
}

/** Removes the directories of relays that were killed before they could. */
export function sweepDirectories(): void {
  const directory = neutralDirectory();
  for (const name of readdirSync(directory)) {
    const owner = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) removeDirectory(join(directory, name));
  }
}

/** The path of a unix socket has at most 107 bytes, and about 60 of them are below this directory. */
const longest = 45;

/** The system's directory for temporary files; /tmp where its path names the user or is long. */
function neutralDirectory(): string {
  const directory = tmpdir();
  const named = directory.startsWith(homedir()) || directory.split('/').includes(userName());
  return named || Buffer.byteLength(directory) > longest ? '/tmp' : directory;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in some containers.
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
