/** A directory for a command while it runs. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from '../command-error.ts';

/** Throws CommandError where none can be made: every process of the CLI gets one. */
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
      `Nothing can be written to ${tmpdir()}, the directory for temporary files (${reason}). Set TMPDIR to one that this user can write to.`,
    );
  }
}
