/** A command cannot do what was asked: one sentence for the person at the terminal, exit status 1, no stack trace. */
export class CommandError extends Error {
  override name = 'CommandError';
}
