import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rowsOf, writeDatabase } from '../../test/support/databases.ts';
import { needs } from '../../test/support/needs.ts';
import { Random, rounds, seed } from '../../test/support/random.ts';
import { databaseFiles } from './copies.ts';
import { migrations } from './migrations.ts';
import { openStore } from './sqlite.ts';

const today = migrations.length;
/** Those of later versions. The first counts rows, so that a test can compare the copy with what was upgraded. */
const next = [
  ...migrations,
  `CREATE TABLE upgraded (counts INTEGER) STRICT; INSERT INTO upgraded SELECT count(*) FROM daily_counts`,
];
const afterNext = [...next, 'CREATE TABLE after_next (a TEXT) STRICT'];
const endless = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
const dayMs = 86_400_000;

let dir: string;
let path: string;
let copy: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-copies-'));
  path = join(dir, 'relay.db');
  copy = join(dir, `relay.db.schema-${today}`);
});
afterEach(() => rmSync(dir, { recursive: true }));

function contents(file: string) {
  const db = new DatabaseSync(file);
  assert.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
  const version = db.prepare('PRAGMA user_version').get()?.['user_version'];
  const rows = rowsOf(db);
  db.close();
  return { version, rows };
}

/** Opens the database in another process, which writes a line before. */
function opener(dataDir: string, steps: readonly string[]): ChildProcess {
  const program = `
    import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)};
    process.stdout.write('begins\\n');
    openStore(${JSON.stringify(dataDir)}, { steps: ${JSON.stringify(steps)} }).close();`;
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio });
}

async function begun({ stdout }: ChildProcess): Promise<void> {
  await once(stdout ?? assert.fail(), 'data');
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode;
}

test('an upgrade keeps a copy with all rows and the write-ahead log, for its owner alone with any umask', () => {
  writeDatabase(path, today);
  const relay = openStore(dir);
  relay.db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', 'in-the-log', 1)");
  assert.ok(statSync(`${path}-wal`).size > 0, 'the control: the row is in the log');
  const before = rowsOf(relay.db);
  const umask = process.umask(0);
  try {
    openStore(dir, { steps: next }).close();
  } finally {
    process.umask(umask);
  }
  relay.close();
  assert.deepEqual(contents(copy), { version: today, rows: before });
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  assert.equal(contents(path).version, today + 1);
  assert.deepEqual(readdirSync(dir).toSorted(), ['relay.db', `relay.db.schema-${today}`]);
});

test('a new database and one of the same schema make no copy', () => {
  openStore(dir, { steps: migrations }).close();
  openStore(dir, { steps: migrations }).close();
  assert.deepEqual(readdirSync(dir), ['relay.db']);
});

test('an upgrade removes copies of older schemas, and keeps a newer database that its owner moved', () => {
  writeDatabase(path, 3);
  openStore(dir).close();
  writeFileSync(join(dir, `relay.db.schema-${today + 9}`), '');
  openStore(dir, { steps: next }).close();
  const left = ['relay.db', `relay.db.schema-${today}`, `relay.db.schema-${today + 9}`];
  assert.deepEqual(readdirSync(dir).toSorted(), left);
});

test('an upgrade over several schemas keeps a copy of the first one only', () => {
  writeDatabase(path, today);
  openStore(dir, { steps: afterNext }).close();
  assert.deepEqual(readdirSync(dir).toSorted(), ['relay.db', `relay.db.schema-${today}`]);
});

test('an upgrade replaces a copy of the same schema and its log, and what a killed one left', () => {
  writeDatabase(path, today);
  for (const end of ['', '-wal', '-journal', '.new', '.new-journal']) writeFileSync(copy + end, 'half');
  const before = contents(path);
  openStore(dir, { steps: next }).close();
  assert.deepEqual(readdirSync(dir).toSorted(), ['relay.db', `relay.db.schema-${today}`]);
  assert.deepEqual(contents(copy), before);
});

test('an upgrade that fails changes nothing, and the next one works', () => {
  writeDatabase(path, today);
  const before = contents(path);
  assert.throws(() => openStore(dir, { steps: [...next, 'no SQL'] }), { name: 'StoreError' });
  assert.deepEqual(contents(path), before);
  openStore(dir, { steps: next }).close();
  assert.deepEqual(contents(copy), before);
});

test('eight processes upgrade once, and the copy is what they upgraded while an older relay writes', async () => {
  writeDatabase(path, today);
  const older = openStore(dir, { waitMs: 5000 });
  const insert = older.db.prepare("INSERT INTO daily_counts VALUES ('2030-01-01', ?, 1)");
  let written = 0;
  const upgraded = new AbortController();
  const write = async (): Promise<void> => {
    for (; !upgraded.signal.aborted; written += 1) {
      older.write(() => insert.run(`row-${written}`));
      await sleep(1);
    }
  };
  const upgrade = async (): Promise<void> => {
    const codes = Array.from({ length: 8 }, () => exitOf(opener(dir, next)));
    assert.deepEqual(
      await Promise.all(codes),
      Array.from({ length: 8 }, () => 0),
    );
    upgraded.abort();
  };
  await Promise.all([upgrade(), write()]);
  older.close();
  const { rows } = contents(path);
  const copied = contents(copy);
  assert.equal(copied.version, today);
  assert.deepEqual(rows['upgraded'], [{ counts: copied.rows['daily_counts']?.length }]);
  assert.equal(rows['daily_counts']?.length, 1 + written);
});

test('a kill after the copy leaves the old database, and the next upgrade makes a new copy', async () => {
  writeDatabase(path, today);
  const before = contents(path);
  const child = opener(dir, [...migrations, endless]);
  while (!existsSync(copy)) await sleep(5);
  child.kill('SIGKILL');
  await exitOf(child);
  assert.deepEqual(contents(path), before);
  assert.deepEqual(contents(copy), before);
  const old = openStore(dir);
  old.db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', 'later', 1)");
  old.close();
  const later = contents(path);
  openStore(dir, { steps: next }).close();
  assert.deepEqual(contents(copy), later);
});

test('a kill at any moment leaves one whole database, and no half copy under the name of a copy', async () => {
  const random = new Random(seed);
  writeDatabase(path, today);
  const db = new DatabaseSync(path);
  // Few rows and 6 MB: the copy takes long enough to be hit.
  for (let i = 0; i < 60; i += 1) {
    db.exec(`INSERT INTO keys (id, label, created_at) VALUES ('k${i}', 'k${i}', 1);
      INSERT INTO key_prompts VALUES ('k${i}', printf('%.*c', 100000, '${i % 10}'))`);
  }
  db.close();
  const same = (file: string): boolean => JSON.stringify(contents(file)) === before;
  const before = JSON.stringify(contents(path));
  const original = join(dir, 'original');
  copyFileSync(path, original);
  const whole = opener(dir, next);
  await begun(whole);
  const from = performance.now();
  await exitOf(whole);
  const tookMs = performance.now() - from;
  for (let round = 0; round < rounds(40); round += 1) {
    for (const name of databaseFiles(dir)) rmSync(join(dir, name));
    copyFileSync(original, path);
    const child = opener(dir, next);
    await begun(child);
    const afterMs = random.next() * tookMs;
    await sleep(afterMs);
    child.kill('SIGKILL');
    await exitOf(child);
    const where = `SEED=${seed}, round ${round}, after ${afterMs} of ${tookMs} ms`;
    assert.ok(same(path) || (contents(path).version === today + 1 && same(copy)), where);
    assert.ok(!existsSync(copy) || same(copy), where);
    openStore(dir, { steps: next }).close();
    assert.ok(same(copy) && contents(path).version === today + 1, where);
    assert.ok(!existsSync(`${copy}.new`), where);
  }
});

test(
  'an upgrade without room for a copy is refused, changes nothing, and works when there is room',
  { skip: needs('root', 'unshare', 'mount') },
  () => {
    const program = `
      import { writeDatabase } from ${JSON.stringify(import.meta.resolve('../../test/support/databases.ts'))};
      import { openStore } from ${JSON.stringify(import.meta.resolve('./sqlite.ts'))};
      import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
      writeDatabase('relay.db', ${today});
      writeFileSync('fill', Buffer.alloc(statfsSync('.').bavail * statfsSync('.').bsize - 65536));
      const steps = ${JSON.stringify(next)};
      const said = [];
      try { openStore('.', { steps }) } catch (error) { said.push(error.name, error.message, readdirSync('.').sort()) }
      openStore('.').close();
      rmSync('fill');
      openStore('.', { steps }).close();
      console.log(JSON.stringify([...said, readdirSync('.').sort()]));`;
    // In a mount namespace, so that nothing stays mounted.
    const script = 'mount -t tmpfs -o size=1m,mode=700 none "$0" && cd "$0" && exec "$@"';
    const node = [process.execPath, '--input-type=module', '-e', program];
    const output = execFileSync('unshare', ['--mount', 'sh', '-c', script, dir, ...node], {
      encoding: 'utf8',
    });
    const [name, message, during, after] = JSON.parse(output) as [string, string, string[], string[]];
    assert.equal(name, 'StoreError');
    assert.match(
      message,
      new RegExp(
        `needs an upgrade from schema ${today} to ${today + 1}, .*: the disk is full\\. Nothing was changed\\. The upgrade needs 1 MiB there: `,
      ),
    );
    assert.deepEqual(during, ['fill', 'relay.db']);
    assert.deepEqual(after, ['relay.db', `relay.db.schema-${today}`]);
  },
);

test('a directory with the name of a copy blocks no upgrade and no change, and stays', () => {
  writeDatabase(path, 3);
  const foreign = ['relay.db.schema-2', 'relay.db.schema-5.new'].map((name) => join(dir, name));
  for (const name of foreign) mkdirSync(name);
  const store = openStore(dir);
  store.changeCopies((db) => db.exec('DELETE FROM probe'));
  store.removeExpiredCopies(Date.now() + 60 * dayMs);
  store.close();
  assert.deepEqual(databaseFiles(dir), ['relay.db']);
  assert.ok(foreign.every((name) => existsSync(name)));
});

test('opening removes copies and unfinished ones after 30 days, and nothing else', () => {
  writeDatabase(path, today);
  const copies = [`relay.db.schema-${today}`, 'relay.db.schema-3.new', `relay.db.schema-${today}-wal`];
  const others = ['relay.db.schema-x', 'relay.db.backup', 'my-relay.db.schema-3'];
  const leftAfter = (days: number): string[] => {
    const at = (Date.now() - days * dayMs) / 1000;
    for (const name of [...copies, ...others]) {
      writeFileSync(join(dir, name), '');
      utimesSync(join(dir, name), at, at);
    }
    openStore(dir).close();
    return readdirSync(dir).toSorted();
  };
  assert.deepEqual(leftAfter(29.9), [...copies, ...others, 'relay.db'].toSorted());
  assert.deepEqual(leftAfter(30.1), [...others, 'relay.db'].toSorted());
});
