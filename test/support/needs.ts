/** The requirements of tests on a machine, and how many of the tests run. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../../src/find-program.ts';

/** `npm run test:all`. */
export const runsAll = process.env['TESTS'] === 'all';
/** `.ci/run` or `npm run test:all`. */
export const runsInCi = runsAll || process.env['TESTS'] === 'ci';

/** All cases with `npm run test:all`; otherwise every fourth, where further cases test the same code. */
export function sample<T>(cases: readonly T[]): readonly T[] {
  return runsAll ? cases : cases.filter((_, index) => index % 4 === 0);
}

/**
 * Why a test cannot run here, for its `skip`; false when it can. Each thing is `root`, an absolute path, or a program on the PATH. The
 * end of a run lists the reasons, and `.ci/run` installs the programs.
 */
export function needs(...things: readonly string[]): string | false {
  const missing = things.filter((thing) => !has(thing));
  return missing.length === 0 ? false : `needs ${missing.join(', ')}`;
}

/** An ordinary user, as whom root runs a program of this checkout. */
export const ordinaryUser = 1001;

/** Why that cannot be done here, for a test's `skip`; false when it can. */
export function notAsOrdinaryUser(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  try {
    const read = ['-c', 'test -r "$0" && test -x "$1"', fileURLToPath(import.meta.url), process.execPath];
    execFileSync('/bin/sh', read, { uid: ordinaryUser, stdio: 'ignore' });
    return false;
  } catch {
    return 'needs a checkout that others can read';
  }
}

function has(thing: string): boolean {
  if (thing === 'root') return process.getuid?.() === 0;
  if (thing.startsWith('/')) return existsSync(thing);
  return findProgram(thing, process.env['PATH']) !== undefined;
}
