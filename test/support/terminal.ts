/** Runs a program on a separate terminal (with `script`): reads its output, and types. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { findProgram } from '../../src/find-program.ts';
import { sleep } from './relay.ts';

/** Found here, because the program on the terminal may have another PATH. */
const script = findProgram('script', process.env['PATH']) ?? 'script';

export type TestTerminal = {
  /** Everything that was shown so far, escape sequences included. */
  output: () => string;
  type: (text: string) => void;
  /** Waits until the output since the last wait matches the pattern; resolves to the output up to the end of the match. */
  until: (pattern: RegExp, ms?: number) => Promise<string>;
  /** The program's exit status. */
  exited: Promise<number | null>;
  /** Ends the program, as closing its window does. */
  close: () => Promise<void>;
};

/** `command` is read by a shell. The program has these variables and no others. */
export function openTerminal(
  command: string,
  { env, cwd }: { env: Record<string, string>; cwd?: string },
): TestTerminal {
  const child = spawn(script, ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
    env: { TERM: 'xterm-256color', ...env, SHELL: '/bin/bash' },
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  let text = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  child.stdin.on('error', () => {});
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return {
    output: () => text,
    type: (typed) => void child.stdin.write(typed),
    until: async (pattern, ms = 60_000) => {
      const deadline = Date.now() + ms;
      for (;;) {
        const found = pattern.exec(text.slice(seen));
        if (found !== null) {
          const from = seen;
          seen += found.index + found[0].length;
          return text.slice(from, seen);
        }
        const ended = child.exitCode !== null || child.signalCode !== null;
        if (ended) await exited;
        if ((ended && !pattern.test(text.slice(seen))) || Date.now() > deadline) {
          throw new Error(`${String(pattern)} did not appear. The terminal shows:\n${text.slice(seen)}`);
        }
        await sleep(20);
      }
    },
    exited,
    close: async () => {
      // That closes the terminal, and the kernel signals the program.
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}
