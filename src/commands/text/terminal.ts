/** Where a command writes: answers to stdout, words about them to stderr. Tests pass their own. */
import type { ReadStream } from 'node:tty';
import { stripVTControlCharacters, styleText } from 'node:util';

export type Terminal = {
  out(text: string): void;
  err(text: string): void;
  colours: boolean;
  /** True once nobody reads stdout any more, such as after `| head`. */
  gone(): boolean;
  /** Shows a line that the next one replaces, '' for none; only where stderr is a terminal. */
  transient?(text: string): void;
};

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export function processTerminal(): Terminal {
  let gone = false;
  // Without a listener a closed pipe would end the command with a stack trace.
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    const known = gone;
    gone = true;
    // Nobody reads: that is how a pipe ends. A full disk is a failure: what was asked for, perhaps a secret that is shown once, is nowhere.
    if (known || code === 'EPIPE') return;
    process.exitCode = 1;
    process.stderr.write(`claude-relay: the output could not be written (${code}).\n`);
  });
  return {
    out: (text) => void process.stdout.write(text),
    // One of the two may be a file.
    err: (text) =>
      void process.stderr.write(usesColours(process.stderr) ? text : stripVTControlCharacters(text)),
    colours: usesColours(process.stdout),
    gone: () => gone,
    ...(process.stderr.isTTY ? { transient: transientOn(process.stderr) } : {}),
  };
}

/** By overwriting with spaces: that works on a terminal of any kind. */
function transientOn(stream: NodeJS.WriteStream): (text: string) => void {
  let shown = 0;
  return (text) => {
    stream.write(`\r${text}${' '.repeat(Math.max(shown - text.length, 0))}${text === '' ? '\r' : ''}`);
    shown = text.length;
  };
}

/** Colours on a terminal only; Node's `hasColors` obeys NO_COLOR and TERM=dumb. */
export function usesColours(stream: { isTTY?: boolean; hasColors?: () => boolean }): boolean {
  return stream.isTTY === true && stream.hasColors?.() === true;
}

export function paint(terminal: Terminal, colour: Colour, text: string): string {
  return terminal.colours ? styleText(colour, text, { validateStream: false }) : text;
}

/** More than a person needs between two keys of a paste, less than anyone notices. */
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
