/** A command failed for a reason that its user can fix: `main.ts` prints the message without a stack trace and exits with status 1. */
export class CommandError extends Error {
  override name = 'CommandError';
}
