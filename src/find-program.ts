/** Finds programs on this machine as a shell does. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** The first program with this name on PATH, not counting the commands that npm adds for a project: they are not the owner's. */
export function findProgram(name: string, path = ''): string | undefined {
  return path
    .split(delimiter)
    .filter((directory) => isAbsolute(directory) && !directory.endsWith(join('node_modules', '.bin')))
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
