/** Sets one variable in config.env and keeps every other line. */
import { chmodSync, existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual, parseEnv } from 'node:util';
import { CommandError } from '../command-error.ts';
import { readOwnFile, writeOwnFile } from '../service/own-file.ts';

/** Replaces the line that sets the variable, or adds one at the end. Pure. Throws CommandError. */
export function withVariable(text: string, name: string, value: string): string {
  const assignment = new RegExp(`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=`);
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const first = lines.findIndex((line) => assignment.test(line));
  // A second line with the same name would override the first.
  const kept = lines.filter((line, index) => index === first || !assignment.test(line));
  kept.splice(first === -1 ? kept.length : first, 1, `${name}=${value}`);
  const edited = `${kept.join('\n')}\n`;
  if (!isDeepStrictEqual({ ...parseEnv(edited) }, { ...parseEnv(text), [name]: value })) {
    throw new CommandError(
      `The file sets ${name} in a way that cannot be changed safely. Remove it from the file, and try again.`,
    );
  }
  return edited;
}

/** Replaces the file in one step, readable only by its owner. A symbolic link stays a link. Throws CommandError. */
export function setVariable(file: string, name: string, value: string): void {
  try {
    const target = targetOf(file);
    writeOwnFile(target, withVariable(readOwnFile(target) ?? '', name, value), 0o600);
    chmodSync(target, 0o600);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${file} could not be written: ${(error as Error).message}`);
  }
}

/** The target of a symbolic link, also when the target does not exist yet. */
function targetOf(file: string): string {
  if (existsSync(file)) return realpathSync(file);
  const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? resolve(dirname(file), readlinkSync(file)) : file;
}
