/** The unit files of systemd/ with what is this machine's filled in. Pure. */
import { CommandError } from '../command-error.ts';

/**
 * `@name@` -> its value; a line whose value is undefined is left out, and `@@` is an `@`. With `namespaces: false`, so is what stands
 * between the marks of that name. Throws when the template asks for a value that is not given.
 */
export function fillTemplate(
  template: string,
  values: Readonly<Record<string, string | undefined>>,
  { namespaces = true } = {},
): string {
  const marked = /^# \[namespaces\][^]*?^# \[\/namespaces\]\n/m;
  const lines = (namespaces ? template : template.replace(marked, '')).split('\n').flatMap((line) => {
    let leftOut = false;
    const filled = line.replaceAll(/@([a-z_]*)@/g, (_whole, name: string) => {
      if (name === '') return '@';
      if (!(name in values)) throw new Error(`The template has @${name}@, and there is no such value.`);
      leftOut ||= values[name] === undefined;
      return values[name] ?? '';
    });
    return leftOut ? [] : [filled];
  });
  return lines.join('\n');
}

/** One word of a unit file's list, whatever is in it (systemd.syntax(7): quoting; systemd.unit(5): specifiers). */
export function unitWord(value: string): string {
  if (/[\u0000-\u001f\u007f]/.test(value)) {
    throw new CommandError(`A unit file cannot hold ${JSON.stringify(value)}.`);
  }
  return `"${value.replaceAll('%', '%%').replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
}

/** One word of a command line, where `$` means a variable, too. */
export function commandWord(value: string): string {
  return unitWord(value).replaceAll('$', '$$$$');
}
