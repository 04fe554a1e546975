/** Reads a line from the terminal without showing it. */
import type { ReadStream } from 'node:tty';

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
