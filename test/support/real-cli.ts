/** The two real CLIs of the devDependencies, and the fixtures that play a CLI. */
import { fileURLToPath } from 'node:url';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export const realClis = [
  { version: '2.1.332', path: path('../../node_modules/@anthropic-ai/claude-code/bin/claude.exe') },
  { version: '2.1.197', path: path('../../node_modules/claude-code-2-1-197/bin/claude.exe') },
] as const;

/** A script of `test/fixtures/cli/`, by its name without `.sh`. */
export function fixtureCli(name: string): string {
  return path(`../fixtures/cli/${name}.sh`);
}
