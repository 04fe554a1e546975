/** The documents, and the code that a reader would copy. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './relay.ts';

export const documents: Readonly<Record<string, string>> = Object.fromEntries(
  globSync(['*.md', 'docs/**/*.md', 'clients/**/*.md'], { cwd: root, exclude: ['**/node_modules/**'] })
    .filter((name) => name !== 'CHANGELOG.md')
    .toSorted()
    .map((name) => [name, readFileSync(join(root, name), 'utf8')]),
);

/** The code blocks of a language; '' for blocks without a language. */
export function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```([\w-]*)\n(.*?)^```$/gms)]
    .filter(([, found]) => found === language)
    .map(([, , block = '']) => block);
}

/** The commands of a shell block, each with its continuation lines and without its comment. */
export function commands(block: string): string[] {
  return block
    .split(/(?<!\\)\n/)
    .map((line) => line.replace(/\s+# .*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** The code spans of the text outside code blocks. */
export function inlineCode(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}
