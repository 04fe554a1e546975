/** A temporary directory for a command. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from '../command-error.ts';

/** Throws CommandError when the relay could not create one for each process of the CLI. */
export function requireScratch(): void {
  rmdirSync(makeScratch('relay-start-'));
}

/** Throws CommandError. The caller removes it. */
export function makeScratch(prefix: string): string {
  try {
    return mkdtempSync(join(tmpdir(), prefix));
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new CommandError(
      `${tmpdir()}, the directory for temporary files, cannot be written (${reason}). Set TMPDIR to a directory that this user can write to.`,
    );
  }
}
