/** Where a command writes: answers to stdout, messages to stderr. Tests pass their own. */
import type { ReadStream } from 'node:tty';

export type Terminal = {
  out(text: string): void;
  err(text: string): void;
  /** True once nobody reads stdout any more, such as after `| head`. */
  gone(): boolean;
};

export function processTerminal(): Terminal {
  let gone = false;
  // Without a listener a closed pipe would end the command with a stack trace.
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    const known = gone;
    gone = true;
    // A pipe whose reader has gone is normal. A full disk is a failure: the output, perhaps a secret that is shown once, is lost.
    if (known || code === 'EPIPE') return;
    process.exitCode = 1;
    process.stderr.write(`claude-relay: the output could not be written (${code}).\n`);
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    gone: () => gone,
  };
}

/** A pasted text has ended after this many milliseconds without input. */
const settleMs = 200;
const longest = 10_000;

/**
 * What was typed or pasted until Enter, or undefined after Ctrl-C or Ctrl-D. A pasted text may be of several lines, as a
 * terminal copies a long one: it ends when nothing more comes. `ask` prints the question.
 */
export async function hiddenInput(input: ReadStream, ask: () => void): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let text = '';
  let timer: NodeJS.Timeout | undefined;
  const onData = (chunk: string): void => {
    clearTimeout(timer);
    for (const key of chunk) {
      if (key === '\x03' || key === '\x04') return resolve(undefined);
      if (key === '\x7f' || key === '\b') text = text.slice(0, -1);
      else if (text.length < longest) text += key;
    }
    if (/[\r\n]/.test(text)) timer = setTimeout(() => resolve(text), settleMs);
  };
  input.setEncoding('utf8').setRawMode(true);
  input.on('data', onData);
  // Not before: what is typed at once would be shown.
  ask();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    input.off('data', onData);
    input.setRawMode(false);
    input.pause();
  }
}

export function printable(text: string): string {
  return text.replaceAll(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '');
}
