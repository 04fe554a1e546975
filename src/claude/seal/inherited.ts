/**
 * Descriptors that the relay was started with, such as 200 of a script that holds a lock. Every program that the relay starts would
 * get them, and one of a directory is a way past the seal. Node closes only those that follow stderr without a gap.
 */
import { closeSync, readdirSync, readFileSync } from 'node:fs';

const closedOnExec = 0o2_000_000;

/** Closes them, apart from stdin, stdout and stderr. Call it before the first program starts. Without /proc it does nothing. */
export function closeInherited(): void {
  for (const name of namesIn('/proc/self/fd')) {
    const fd = Number(name);
    if (fd > 2 && isPassedOn(fd)) closeSync(fd);
  }
}

/** Whether programs get it. They do not get what Node opens itself. */
function isPassedOn(fd: number): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    return flags !== undefined && (Number.parseInt(flags, 8) & closedOnExec) === 0;
  } catch {
    // It listed the directory, and is closed.
    return false;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
