/** The whole path of a program, for a service that has another PATH. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { ServiceError } from './service-error.ts';

/** Throws ServiceError when there is none. */
export function findProgram(name: string, path = ''): string {
  for (const directory of path.split(delimiter).filter((each) => isAbsolute(each))) {
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // The next one.
    }
  }
  throw new ServiceError(`There is no \`${name}\` on PATH.`);
}
