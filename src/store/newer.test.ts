import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
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
import { rowsOf, writeDatabase } from '../../test/support/databases.ts';
import { databaseFiles } from './copies.ts';
import { migrations } from './migrations.ts';
import { openStore } from './sqlite.ts';

const today = migrations.length;
const next = [...migrations, 'CREATE TABLE next (a TEXT) STRICT'];

let scratch: string;
let dir: string;
let path: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'relay-newer-'));
  dir = join(scratch, "the owner's data");
  mkdirSync(dir, { mode: 0o700 });
  path = join(dir, 'relay.db');
});
afterEach(() => rmSync(scratch, { recursive: true }));

function refusal(): string {
  try {
    openStore(dir).close();
  } catch (error) {
    assert.equal((error as Error).name, 'StoreError');
    return (error as Error).message;
  }
  return assert.fail('it was opened');
}

function rowsIn(file: string) {
  const db = new DatabaseSync(file);
  const rows = rowsOf(db);
  db.close();
  return rows;
}

test('a newer database is refused unchanged, with both schemas, where no copy is left', () => {
  writeDatabase(path, today + 1, next);
  const before = rowsIn(path);
  assert.equal(
    refusal(),
    `The database in ${dir} has schema ${today + 1}, of a newer claude-relay. This version reads schemas up to ${today}. Update claude-relay (git pull && ./install.sh), or choose another DATA_DIR. There is no copy from before the upgrade that this version reads.`,
  );
  assert.deepEqual(rowsIn(path), before);
  openStore(dir, { steps: next }).close();
});

test('the refusal names the newest copy that this version reads, and none of a newer schema', () => {
  writeDatabase(path, 3);
  openStore(dir, { steps: next }).close();
  writeDatabase(join(dir, `relay.db.schema-${today + 1}`), today + 1, next);
  assert.match(refusal(), /The copy has schema 3 and the rows of \d{4}-\d\d-\d\d \d\d:\d\d UTC/);
  execFileSync('sh', ['-c', refusal().split('\n').at(-1) ?? '']);
  openStore(dir).close();
  assert.equal(rowsIn(path)['key_secrets']?.length, 2);
});

test('the commands of the refusal go back to the copy, and keep the newer database with its log', async () => {
  writeDatabase(path, today);
  const before = rowsIn(path);
  const program = `
    import { openStore } from ${JSON.stringify(import.meta.resolve('./sqlite.ts'))};
    const store = openStore(${JSON.stringify(dir)}, { steps: ${JSON.stringify(next)} });
    store.db.exec("INSERT INTO next VALUES ('of the newer relay')");
    console.log('written');
    setInterval(() => {}, 1e6);`;
  const relay = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(relay.stdout, 'data');
  const message = refusal();
  assert.match(
    message,
    /up to \d+\. Update claude-relay \(.*\), or go back .* are lost, but revoked, disabled and expired keys stay so\. Stop the relay, then run:\ncd /,
  );
  // Without a clean stop: its last rows are in the log only.
  relay.kill('SIGKILL');
  await once(relay, 'exit');
  assert.ok(statSync(`${path}-wal`).size > 0, 'the control');
  execFileSync('sh', ['-euc', message.split('\n').at(-1) ?? ''], { stdio: 'pipe' });
  assert.ok(!existsSync(`${path}-wal`));

  openStore(dir).close();
  assert.deepEqual(rowsIn(path), before);
  const aside = join(dir, `relay.db.schema-${today + 1}`);
  assert.deepEqual(rowsIn(aside)['next'], [{ a: 'of the newer relay' }]);

  openStore(dir, { steps: next }).close();
  const left = ['relay.db', `relay.db.schema-${today}`, `relay.db.schema-${today + 1}`];
  assert.deepEqual(readdirSync(dir).toSorted(), left);
});

const goBack = (): string => refusal().split('\n').at(-1) ?? '';

test('a second run of the commands of the refusal changes nothing', () => {
  writeDatabase(path, today);
  openStore(dir, { steps: next }).close();
  const [newer, commands] = [rowsIn(path), goBack()];
  execFileSync('sh', ['-c', commands]);
  const [back, files] = [rowsIn(path), readdirSync(dir)];
  assert.equal(spawnSync('sh', ['-c', commands]).status, 1);
  assert.deepEqual(readdirSync(dir), files);
  assert.deepEqual(rowsIn(path), back);
  assert.deepEqual(rowsIn(join(dir, `relay.db.schema-${today + 1}`)), newer);
});

test('the commands of the refusal can be repeated after an interruption at any point', () => {
  for (let moves = 0; moves < 4; moves += 1) {
    writeDatabase(path, today);
    openStore(dir, { steps: next }).close();
    const [newer, commands] = [rowsIn(path), goBack()];
    for (const end of ['-wal', '-shm']) writeFileSync(path + end, '');
    // A function goes before the program of that name.
    const limited = `left=${moves}; mv() { left=$((left - 1)); test $left -ge 0 || exit 1; command mv "$@"; }; `;
    spawnSync('sh', ['-c', commands.replace("sh -ec '", `sh -ec '${limited}`)]);
    execFileSync('sh', ['-c', commands]);
    openStore(dir).close();
    assert.deepEqual(rowsIn(join(dir, `relay.db.schema-${today + 1}`)), newer, String(moves));
    for (const name of databaseFiles(dir)) rmSync(join(dir, name));
  }
});

test('a newer database that is moved gets no log of an earlier one, and stays for 30 days', () => {
  writeDatabase(path, today);
  openStore(dir, { steps: next }).close();
  const aside = join(dir, `relay.db.schema-${today + 1}`);
  for (const end of ['-wal', '-shm', '-journal']) writeFileSync(aside + end, 'of an earlier one');
  const longAgo = Date.now() / 1000 - 40 * 86_400;
  for (const name of readdirSync(dir)) utimesSync(join(dir, name), longAgo, longAgo);
  execFileSync('sh', ['-c', goBack()]);
  openStore(dir).close();
  assert.deepEqual(readdirSync(dir).toSorted(), ['relay.db', `relay.db.schema-${today + 1}`]);
});

test('the copy is moved with what a killed change of it left', () => {
  writeDatabase(path, today);
  openStore(dir, { steps: next }).close();
  const before = rowsIn(join(dir, `relay.db.schema-${today}`));
  const commands = goBack();
  const program = `
    const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(${JSON.stringify(join(dir, `relay.db.schema-${today}`))});
    db.exec('PRAGMA cache_size = 1; BEGIN IMMEDIATE; DELETE FROM key_secrets');
    for (let i = 0; i < 2000; i += 1) db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', 'row-" + i + "', 1)");
    process.kill(process.pid, 'SIGKILL');`;
  spawnSync(process.execPath, ['-e', program]);
  assert.ok(existsSync(join(dir, `relay.db.schema-${today}-journal`)), 'the control');
  execFileSync('sh', ['-c', commands]);
  assert.deepEqual(rowsIn(path), before);
});
