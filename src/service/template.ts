/** Fills in the files of systemd/. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../command-error.ts';
import { root } from '../installation.ts';

/**
 * The text of a file of systemd/. Replaces `@name@` with its value and `@@` with `@`. Leaves out a line whose value is undefined and, with `namespaces: false`, the
 * lines between the `[namespaces]` marks. Throws when the template has a name without a value.
 */
export function fillTemplate(
  file: string,
  values: Readonly<Record<string, string | undefined>>,
  { namespaces = true } = {},
): string {
  const template = readFileSync(join(root, 'systemd', file), 'utf8');
  const marked = /^# \[namespaces\][^]*?^# \[\/namespaces\]\n/m;
  const lines = (namespaces ? template : template.replace(marked, '')).split('\n').flatMap((line) => {
    let leftOut = false;
    const filled = line.replaceAll(/@([a-z_]*)@/g, (_whole, name: string) => {
      if (name === '') return '@';
      if (!(name in values)) throw new Error(`The template has @${name}@, which has no value.`);
      leftOut ||= values[name] === undefined;
      return values[name] ?? '';
    });
    return leftOut ? [] : [filled];
  });
  return lines.join('\n');
}

/** Quotes one word of a unit file's list (systemd.syntax(7): quoting; systemd.unit(5): specifiers). */
export function unitWord(value: string): string {
  if (/[\u0000-\u001f\u007f]/.test(value)) {
    throw new CommandError(`A unit file cannot hold ${JSON.stringify(value)}.`);
  }
  return `"${value.replaceAll('%', '%%').replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
}

/** Quotes one word of a command line, where `$` also has a meaning. */
export function commandWord(value: string): string {
  return unitWord(value).replaceAll('$', '$$$$');
}

/** The value that `commandWord` quoted. */
export function readCommandWord(word: string): string {
  return word
    .slice(1, -1)
    .replaceAll(/\$\$|%%|\\([\\"])/g, (quoted, character?: string) => character ?? quoted.slice(1));
}
