/** A temporary directory for a command. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from '../command-error.ts';

/** Throws CommandError when the relay could not create one for each process of the CLI. */
export function requireScratch(): void {
  using _scratch = makeScratch('relay-start-');
}

/** Is removed at the end of the scope that uses it. Throws CommandError. */
export function makeScratch(prefix: string): { path: string } & Disposable {
  try {
    const path = mkdtempSync(join(tmpdir(), prefix));
    return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new CommandError(
      `${tmpdir()}, the directory for temporary files, cannot be written (${reason}). Set TMPDIR to a directory that this user can write to.`,
    );
  }
}
