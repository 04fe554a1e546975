/** The two real CLIs of the devDependencies, and the fixtures that imitate a CLI. */
import { fileURLToPath } from 'node:url';
import { runsAll, sample } from './needs.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** For tests of everything that differs between versions: the lock, requests to the model, tools. */
export const everyCli = [
  { version: '2.1.332', path: path('../../node_modules/@anthropic-ai/claude-code/bin/claude.exe') },
  { version: '2.1.197', path: path('../../node_modules/claude-code-2-1-197/bin/claude.exe') },
] as const;

/** The newest CLI; with `npm run test:all` every CLI. */
export const clis: readonly { version: string; path: string }[] = runsAll ? everyCli : [everyCli[0]];

/** All cases on the newest CLI and with `npm run test:all`; every fourth on an older one. */
export function casesOn<T>(cli: { path: string }, cases: readonly T[]): readonly T[] {
  return cli.path === newest ? cases : sample(cases);
}

export const newest: string = everyCli[0].path;

/** A script of `test/fixtures/cli/`, by its name without `.sh`. */
export function fixtureCli(name: string): string {
  return path(`../fixtures/cli/${name}.sh`);
}
