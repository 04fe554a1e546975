/** A line that moves while something takes its time: after half a second, on a terminal only. */
import type { Terminal } from './terminal.ts';

const frames = ['-', '\\', '|', '/'] as const;
const beginMs = 500;
const frameMs = 120;

export async function withProgress<T>(terminal: Terminal, text: string, work: Promise<T>): Promise<T> {
  if (terminal.transient === undefined) return work;
  const startedAt = performance.now();
  let frame = 0;
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs < beginMs) return;
    const shown = frames[frame++ % frames.length] ?? '';
    terminal.transient?.(`${shown} ${text} ${Math.floor(elapsedMs / 1000)} s`);
  }, frameMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (frame > 0) terminal.transient?.('');
  }
}
