/** Where a command writes: answers to stdout, words about them to stderr. Tests pass their own. */
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
