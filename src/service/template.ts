/** The unit files of systemd/ with what is this machine's filled in. Pure. */

/** A value that a unit file cannot hold. */
export class TemplateError extends Error {
  override name = 'TemplateError';
}

export type Values = Readonly<Record<string, string | undefined>>;

/**
 * `@name@` -> its value; a line whose value is undefined is left out, and `@@` is an `@`. With `namespaces: false`, so is what stands
 * between the marks of that name. Throws TemplateError when the template asks for a value that is not given, or has no place for one that is.
 */
export function fillTemplate(template: string, values: Values, { namespaces = true } = {}): string {
  const used = new Set<string>();
  const valueOf = (name: string): string | undefined => {
    if (!(name in values)) throw new TemplateError(`The template has @${name}@, and there is no such value.`);
    used.add(name);
    return values[name];
  };
  const lines: string[] = [];
  let skipping = false;
  for (const line of template.split('\n')) {
    if (line.startsWith('# [namespaces]')) skipping = !namespaces;
    const names = [...line.matchAll(/@([a-z_]*)@/g)]
      .map((match) => match[1] ?? '')
      .filter((name) => name !== '');
    const left = names.map(valueOf).includes(undefined);
    if (!skipping && !left) {
      lines.push(
        line.replaceAll(/@([a-z_]*)@/g, (_whole, name: string) => (name === '' ? '@' : (values[name] ?? ''))),
      );
    }
    if (line === '# [/namespaces]') skipping = false;
  }
  const unused = Object.keys(values).filter((name) => !used.has(name));
  if (unused.length > 0) throw new TemplateError(`The template has no place for ${unused.join(', ')}.`);
  return lines.join('\n');
}

/** One word of a unit file's list, whatever is in it (systemd.syntax(7): quoting; systemd.unit(5): specifiers). */
export function unitWord(value: string): string {
  if (/[\u0000-\u001f\u007f]/.test(value)) {
    throw new TemplateError(`A unit file cannot hold ${JSON.stringify(value)}.`);
  }
  return `"${value.replaceAll('%', '%%').replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
}

/** One word of a command line, where `$` means a variable, too. */
export function commandWord(value: string): string {
  return unitWord(value).replaceAll('$', '$$$$');
}
