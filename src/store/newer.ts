/** The refusal of a database that a newer claude-relay has upgraded, with the way back. */
import { resolve } from 'node:path';
import { updateCommand } from '../installation.ts';
import { word } from '../shell-word.ts';
import { iso } from '../time.ts';
import { copyName, listCopies, type Copy } from './copies.ts';
import { StoreError } from './errors.ts';

export function newerDatabase(dataDir: string, schema: number, known: number): StoreError {
  // A copy of an older schema is upgraded when it is opened.
  const [copy] = listCopies(dataDir)
    .filter((each) => each.schema <= known)
    .toSorted((a, b) => b.at - a.at);
  const what = `The database in ${dataDir} has schema ${schema}, of a newer claude-relay. This version reads schemas up to ${known}. Update claude-relay (${updateCommand})`;
  return new StoreError(
    copy === undefined
      ? `${what}, or choose another DATA_DIR. There is no copy from before the upgrade that this version reads.`
      : `${what}, or go back to the copy from before the upgrade. ${wayBack(dataDir, schema, copy)}`,
  );
}

function wayBack(dataDir: string, schema: number, { name, at, ...copy }: Copy): string {
  const time = iso(at).slice(0, 16).replace('T', ' ');
  // With the write-ahead log, which SQLite would apply to the copy. It can hold the latest rows of a relay that was killed.
  const aside = `for end in "" -wal -shm; do test ! -e relay.db$end || mv relay.db$end ${copyName(schema)}$end; done`;
  return `The copy has schema ${copy.schema} and the rows of ${time} UTC: new keys, changes of keys and usage since then are lost, but revoked keys stay revoked. Stop the relay, then run:
cd ${word(resolve(dataDir))} && sh -c '${aside}' && mv ${name} relay.db`;
}
