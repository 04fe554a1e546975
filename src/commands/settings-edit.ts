/** Sets one variable in config.env; every other line stays as it is. */
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual, parseEnv } from 'node:util';
import { CommandError } from '../command-error.ts';
import { readOwnFile, writeOwnFile } from '../service/own-file.ts';

/** The text with `name=value` in the place of the line that sets it, or at its end. Pure. Throws CommandError. */
export function withVariable(text: string, name: string, value: string): string {
  const assignment = new RegExp(`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=`);
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const first = lines.findIndex((line) => assignment.test(line));
  // A second line with the same name would win over the first.
  const kept = lines.filter((line, index) => index === first || !assignment.test(line));
  kept.splice(first === -1 ? kept.length : first, 1, `${name}=${value}`);
  const edited = `${kept.join('\n')}\n`;
  if (!isDeepStrictEqual({ ...parseEnv(edited) }, { ...parseEnv(text), [name]: value })) {
    throw new CommandError(
      `The settings hold ${name} in a way that cannot be changed safely. Remove it there, and try again.`,
    );
  }
  return edited;
}

/** Replaces the file in one step, readable by its owner alone; a symbolic link stays one. Throws CommandError. */
export function setVariable(file: string, name: string, value: string): void {
  try {
    const target = targetOf(file);
    writeOwnFile(target, withVariable(readOwnFile(target) ?? '', name, value), 0o600);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${file} could not be written: ${(error as Error).message}`);
  }
}

/** Where a symbolic link leads to, also when nothing is there yet. */
function targetOf(file: string): string {
  if (existsSync(file)) return realpathSync(file);
  const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? resolve(dirname(file), readlinkSync(file)) : file;
}
