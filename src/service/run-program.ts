/** Runs a system program, such as a service manager or a tunnel, and waits until it exits. */
import { execFile } from 'node:child_process';
import { loginVariables } from '../config.ts';

export type Ran = {
  /** Undefined when the program is missing or did not exit in time. */
  status: number | undefined;
  stdout: string;
  stderr: string;
  missing: boolean;
};

/** Always resolves, also when the program fails. */
export type RunProgram = (
  command: string,
  args: readonly string[],
  options?: { timeoutMs?: number },
) => Promise<Ran>;

/** `env` is the programs' whole environment, without the variables that hold a login. `signal` ends them, and lets no more start. */
export function runProgramWith(env: Readonly<Record<string, string>>, signal?: AbortSignal): RunProgram {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !loginVariables.has(name)));
  return (command, args, { timeoutMs = 60_000 } = {}) =>
    new Promise((resolve) => {
      // Node would start the program, and only then end it.
      if (signal?.aborted) return resolve({ status: undefined, stdout: '', stderr: '', missing: false });
      const options = {
        env: own,
        signal,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 4 * 1024 * 1024,
      } as const;
      const child = execFile(command, args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        const status = typeof code === 'number' ? code : undefined;
        resolve({ status, stdout, stderr, missing: (code as unknown) === 'ENOENT' });
      });
      // A program that reads stdin must not wait for input.
      child.stdin?.end();
    });
}

/** A program's output, for a message. */
export function saidBy({ stdout, stderr }: Ran): string {
  return `${stderr.trim()}\n${stdout.trim()}`.trim();
}

export function firstLine(ran: Ran): string {
  return saidBy(ran).split('\n')[0] ?? '';
}
