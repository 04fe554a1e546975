/** Runs a program in a separate process group, so that nothing that it started outlives it. */
import { spawn } from 'node:child_process';

/** A program that needs longer hangs. */
const hopelessMs = 300_000;

/** Resolves to everything that the program printed, and to how it ended if that was no success. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => printed.push(text));
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nothing of the group is left.
      }
    };
    const timer = setTimeout(end, hopelessMs);
    child.once('error', (error) => printed.push(error.message));
    child.once('exit', end);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code !== 0) printed.push(`\n${command} exited with ${signal ?? code}`);
      resolve(printed.join(''));
    });
  });
}
