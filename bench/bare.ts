/** The CLI without the relay: the same lock, started the plain way, and read line by line. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lockedArgs, lockedEnv } from '../src/claude/lock.ts';
import { initializeLine, parseLine } from '../src/claude/protocol.ts';

export type Bench = {
  claudeBin: string;
  /** The variables that lead a CLI to the stand-in. */
  upstream: Record<string, string>;
  /** Removed at the end. */
  scratch: string;
  model: string;
  prompt: string;
  system: string;
};

/** Milliseconds from the start of the request. */
export type Timing = { first: number; whole: number };

export function bareEnv(bench: Bench): Record<string, string> {
  return lockedEnv(
    {
      HOME: join(bench.scratch, 'home'),
      PATH: process.env['PATH'],
      ANTHROPIC_API_KEY: 'sk-ant-stub',
      ...bench.upstream,
    },
    join(bench.scratch, 'tmp'),
  );
}

/** What a caller writes to the CLI: the system prompt, and the prompt as the CLI's own message. */
export function turnLines({ system, prompt }: Bench): string {
  const message = { role: 'user', content: [{ type: 'text', text: prompt }] };
  return `${initializeLine('init', [system])}${JSON.stringify({ type: 'user', message })}\n`;
}

/** A process that waits for its turn; `cwd` goes when it goes. */
export function park(bench: Bench): ChildProcess {
  const cwd = mkdtempSync(join(bench.scratch, 'bare-'));
  const child = spawn(bench.claudeBin, lockedArgs(bench.model), {
    cwd,
    env: bareEnv(bench),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.once('exit', () => rmSync(cwd, { recursive: true, force: true }));
  return child;
}

/** One turn on `child`, timed from `startedAt` (`performance.now()`); resolves when the process has ended. */
export async function drive(child: ChildProcess, bench: Bench, startedAt: number): Promise<Timing> {
  const exited = once(child, 'exit');
  const timing: Timing = { first: Number.NaN, whole: Number.NaN };
  let held = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const at = performance.now() - startedAt;
    const lines = (held + chunk).split('\n');
    held = lines.pop() ?? '';
    for (const line of lines) {
      const event = parseLine(line);
      if (
        event?.kind === 'stream' &&
        event.event.type === 'content_block_delta' &&
        Number.isNaN(timing.first)
      )
        timing.first = at;
      if (event?.kind === 'result' && !event.result.is_error) timing.whole = at;
    }
  });
  child.stdin?.end(turnLines(bench));
  await exited;
  if (Number.isNaN(timing.whole)) throw new Error('the CLI gave no answer');
  return timing;
}
