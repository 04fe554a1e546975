/** Runs a program of the system and waits for it: service managers, tunnels. */
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { loginVariables } from '../config.ts';

export type Ran = {
  /** Undefined when there is no such program, or it did not end in time. */
  status: number | undefined;
  stdout: string;
  stderr: string;
  missing: boolean;
};

export type Run = (
  command: string,
  args: readonly string[],
  options?: { timeoutMs?: number },
) => Promise<Ran>;

/** Resolves however the program ended. `env` is its whole environment, but for a login, which is none of its business. */
export function runner(env: Readonly<Record<string, string>>): Run {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !loginVariables.has(name)));
  return (command, args, { timeoutMs = 60_000 } = {}) =>
    new Promise((resolve) => {
      const child = execFile(
        command,
        args,
        { env: own, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 4 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : (error as { code?: number | string }).code;
          resolve({
            status: typeof code === 'number' ? code : undefined,
            stdout,
            stderr,
            missing: code === 'ENOENT',
          });
        },
      );
      // Nothing may wait for an answer that nobody gives.
      child.stdin?.end();
    });
}

/** What a program said, for a person. */
export function saidBy({ stdout, stderr }: Ran): string {
  return [stderr, stdout]
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .join('\n');
}

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

export class ServiceError extends Error {
  override name = 'ServiceError';
}
