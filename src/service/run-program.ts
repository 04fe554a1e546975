/** Runs a program of the system and waits for it: service managers, tunnels. */
import { execFile } from 'node:child_process';
import { loginVariables } from '../config.ts';

export type Ran = {
  /** Undefined when there is no such program, or it did not end in time. */
  status: number | undefined;
  stdout: string;
  stderr: string;
  missing: boolean;
};

/** Resolves however the program ended. */
export type RunProgram = (
  command: string,
  args: readonly string[],
  options?: { timeoutMs?: number },
) => Promise<Ran>;

/** `env` is the programs' whole environment, but for a login, which is none of their business. */
export function runProgramWith(env: Readonly<Record<string, string>>): RunProgram {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !loginVariables.has(name)));
  return (command, args, { timeoutMs = 60_000 } = {}) =>
    new Promise((resolve) => {
      const options = {
        env: own,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 4 * 1024 * 1024,
      } as const;
      const child = execFile(command, args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        const status = typeof code === 'number' ? code : undefined;
        resolve({ status, stdout, stderr, missing: (code as unknown) === 'ENOENT' });
      });
      // Nothing may wait for an answer that nobody gives.
      child.stdin?.end();
    });
}

/** What a program said, for a person. */
export function saidBy({ stdout, stderr }: Ran): string {
  return `${stderr.trim()}\n${stdout.trim()}`.trim();
}

export function firstLine(ran: Ran): string {
  return saidBy(ran).split('\n')[0] ?? '';
}
