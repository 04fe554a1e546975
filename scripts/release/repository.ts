/** The checkout that a release is made of. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const out = join(root, 'build/release');

export const read = (file: string): string => readFileSync(join(root, file), 'utf8');
export const write = (file: string, text: string): void => writeFileSync(join(root, file), text);

export function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

export function manifest(): { version: string; devDependencies: Record<string, string> } {
  return JSON.parse(read('package.json')) as ReturnType<typeof manifest>;
}

export const isClean = (): boolean => git('status', '--porcelain') === '';
