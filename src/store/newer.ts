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
  const aside = copyName(schema);
  // Each with its logs, which SQLite would apply to another database of that name. They can hold the latest rows of a relay that was
  // killed. The database is the last: a run that was interrupted can be repeated. After a whole run there is no copy, and nothing moves.
  const script = [
    `move() { for end in -wal -shm -journal ""; do test ! -e $1$end || mv $1$end $2$end; done; }`,
    `test ! -e relay.db || rm -f ${aside}-wal ${aside}-shm ${aside}-journal`,
    `move relay.db ${aside}`,
    // The 30 days begin now.
    `touch ${aside}`,
    `move ${name} relay.db`,
  ].join('; ');
  return `The copy has schema ${copy.schema} and the rows of ${time} UTC: new keys, changes of keys and usage since then are lost, but revoked, disabled and expired keys stay so. Stop the relay, then run:
cd ${word(resolve(dataDir))} && test -e ${name} && sh -ec '${script}'`;
}
