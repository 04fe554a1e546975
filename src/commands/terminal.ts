/** Where a command writes: answers to stdout, words about them to stderr. Tests pass their own. */
import { styleText } from 'node:util';

export type Terminal = {
  out(text: string): void;
  err(text: string): void;
  colours: boolean;
  /** True once nobody reads stdout any more, such as after `| head`. */
  gone(): boolean;
};

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export function processTerminal(): Terminal {
  let gone = false;
  // Without a listener a closed pipe would end the command with a stack trace.
  process.stdout.on('error', () => {
    gone = true;
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    colours: usesColours(process.stdout),
    gone: () => gone,
  };
}

/** Colours on a terminal only; Node's `hasColors` obeys NO_COLOR and TERM=dumb. */
export function usesColours(stream: { isTTY?: boolean; hasColors?: () => boolean }): boolean {
  return stream.isTTY === true && stream.hasColors?.() === true;
}

export function paint(terminal: Terminal, colour: Colour, text: string): string {
  return terminal.colours ? styleText(colour, text, { validateStream: false }) : text;
}
