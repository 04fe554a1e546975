/** Sets one variable in config.env; every other line stays as it is. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual, parseEnv } from 'node:util';
import { CommandError } from './command-error.ts';

/** The text with `name=value` in the place of the line that sets it, or at its end. Pure. Throws CommandError. */
export function withVariable(text: string, name: string, value: string): string {
  const assignment = new RegExp(`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=`);
  const kept: string[] = [];
  let placed = false;
  for (const line of text === '' ? [] : text.replace(/\n$/, '').split('\n')) {
    // A second line with the same name would win over the first.
    if (!assignment.test(line)) kept.push(line);
    else if (!placed) {
      kept.push(`${name}=${value}`);
      placed = true;
    }
  }
  if (!placed) kept.push(`${name}=${value}`);
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
    replace(target, withVariable(existsSync(target) ? readFileSync(target, 'utf8') : '', name, value));
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

function replace(file: string, text: string): void {
  const next = join(dirname(file), `.config.env.${randomBytes(6).toString('hex')}`);
  const descriptor = openSync(next, 'wx', 0o600);
  try {
    try {
      writeSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
