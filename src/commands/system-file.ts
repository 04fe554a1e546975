/** The system prompt of a key, from a file. */
import { readFileSync } from 'node:fs';
import { CommandError } from '../command-error.ts';

/** The text of a file of UTF-8, byte for byte but for a byte order mark; `-` is stdin. Throws `CommandError`, which does not quote the text. */
export function readSystemFile(path: string): string {
  const name = path === '-' ? 'stdin' : path;
  let bytes: Buffer;
  try {
    bytes = readFileSync(path === '-' ? 0 : path);
  } catch (error) {
    throw new CommandError(`${name} cannot be read: ${(error as NodeJS.ErrnoException).code}.`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CommandError(`${name} is not text in UTF-8.`);
  }
}
