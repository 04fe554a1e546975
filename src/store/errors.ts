/** The database could not be opened, read or written. The message is one sentence for the owner; it holds no content. */
export class StoreError extends Error {
  override name = 'StoreError';
}

/** Primary result codes of SQLite (sqlite.org/rescode.html) that have a cause outside the program, in words. */
const causes: Readonly<Record<number, string>> = {
  5: 'the database is locked by another program',
  6: 'the database is locked by another program',
  8: 'the database is read-only',
  10: 'the disk failed to read or write the database',
  11: 'the database is corrupt',
  13: 'the disk is full',
  14: 'the database cannot be opened',
  26: 'the database is not one of claude-relay (or is corrupt)',
};

export function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode
    : undefined;
}

/** Why the database refused, such as `the disk is full`; undefined for whatever is a defect of the program. */
export function storeFailure(error: unknown): string | undefined {
  if (error instanceof StoreError) return error.message;
  const code = sqliteCode(error);
  return code === undefined ? undefined : causes[code & 0xff];
}
