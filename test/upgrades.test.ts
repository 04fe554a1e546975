/**
 * Upgrades of databases with rows in every table: of each schema, and of each released version as that version wrote it. A release is
 * `test/fixtures/databases/<version>.sql`. `WRITE=1` writes that of the version in package.json, until CHANGELOG.md names it as released.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { openKeys } from '../src/keys/store.ts';
import { openDailyCounts } from '../src/store/daily.ts';
import { madeUpToken, rowsOf, sqlOf, writeDatabase } from './support/databases.ts';
import { migrations } from '../src/store/migrations.ts';
import { openStore } from '../src/store/sqlite.ts';

const root = join(import.meta.dirname, '..');
const fixtures = join(root, 'test/fixtures/databases');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const released = [...read('CHANGELOG.md').matchAll(/^## \[(\d+\.\d+\.\d+[^\]]*)\]/gm)].map(
  ([, version = '']) => version,
);
const { version: current } = JSON.parse(read('package.json')) as { version: string };

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-upgrades-'));
  path = join(dir, 'relay.db');
});
afterEach(() => rmSync(dir, { recursive: true }));

function withDatabase<T>(work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

const schemaOf = (db: DatabaseSync): unknown =>
  db.prepare('SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1, 2').all();
const versionOf = (db: DatabaseSync): number =>
  Number(db.prepare('PRAGMA user_version').get()?.['user_version']);

/** Opens what is at `path`, and compares each value that it had. */
function upgradeKeepsRows(): void {
  const before = withDatabase((db) => rowsOf(db));
  const store = openStore(dir);
  assert.deepEqual(rowsOf(store.db, before), before);
  assert.deepEqual(store.db.prepare('PRAGMA foreign_key_check').all(), []);
  assert.equal(Object.values(store.db.prepare('PRAGMA integrity_check').get() ?? {})[0], 'ok');
  const keys = openKeys(store);
  assert.equal(keys.verify(madeUpToken)?.label, 'app');
  keys.close();
  store.close();
  const upgraded = withDatabase(schemaOf);
  rmSync(path);
  openStore(dir).close();
  assert.deepEqual(upgraded, withDatabase(schemaOf), 'the schema of a new database');
}

test('the made-up rows have a value in every column of every table', () => {
  writeDatabase(path, migrations.length);
  for (const [table, rows] of Object.entries(withDatabase((db) => rowsOf(db)))) {
    assert.ok(rows.length > 0, `test/support/databases.ts has no row of ${table}`);
    for (const column of Object.keys(rows[0] ?? {})) {
      assert.ok(
        rows.some((row) => row[column] !== null),
        `test/support/databases.ts has no ${table}.${column}`,
      );
    }
  }
});

describe('an upgrade keeps every row and every key', () => {
  for (const schema of migrations.keys()) {
    if (schema === 0) continue;
    test(`of schema ${schema}`, () => {
      writeDatabase(path, schema);
      upgradeKeepsRows();
    });
  }

  for (const file of readdirSync(fixtures)) {
    test(`of release ${file}`, () => {
      withDatabase((db) => db.exec(readFileSync(join(fixtures, file), 'utf8')));
      upgradeKeepsRows();
    });
  }
});

test('every version that CHANGELOG.md names has its database', () => {
  const files = readdirSync(fixtures);
  assert.deepEqual(
    released.filter((version) => !files.includes(`${version}.sql`)),
    [],
    'release it from a checkout in which WRITE=1 node --test test/upgrades.test.ts has written it',
  );
});

test('the version that is not released yet has the database of today', () => {
  if (released.includes(current)) return;
  writeDatabase(path, migrations.length);
  const file = join(fixtures, `${current}.sql`);
  if (process.env['WRITE'] === '1') writeFileSync(file, sqlOf(path));
  assert.equal(readFileSync(file, 'utf8'), sqlOf(path), 'run WRITE=1 node --test test/upgrades.test.ts');
});

test('no entry of the migrations that a release has was changed', () => {
  for (const file of readdirSync(fixtures)) {
    withDatabase((db) => db.exec(readFileSync(join(fixtures, file), 'utf8')));
    const [schema, version] = withDatabase((db) => [schemaOf(db), versionOf(db)]);
    rmSync(path);
    writeDatabase(path, version);
    assert.deepEqual(withDatabase(schemaOf), schema, file);
    rmSync(path);
  }
});

test('a data directory that was upgraded and taken back has its keys, limits and use', () => {
  const day = '2030-01-31';
  const old = openStore(dir);
  const { key, token } = openKeys(old).create('app', { dailyLimit: 5, system: 'Be brief.' }, 'test');
  openDailyCounts(old).add(day, [{ scope: key.id, count: 3 }]);
  old.close();

  const upgraded = openStore(dir, { steps: [...migrations, 'ALTER TABLE keys ADD COLUMN colour TEXT'] });
  const later = openKeys(upgraded).create('later', {}, 'test').token;
  assert.equal(openKeys(upgraded).verify(token)?.dailyLimit, 5);
  openDailyCounts(upgraded).add(day, [{ scope: key.id, count: 1 }]);
  upgraded.close();

  let refusal = '';
  try {
    openStore(dir);
  } catch (error) {
    refusal = (error as Error).message;
  }
  execFileSync('sh', ['-c', refusal.split('\n').at(-1) ?? '']);
  const store = openStore(dir);
  const keys = openKeys(store);
  assert.equal(keys.verify(token)?.dailyLimit, 5);
  assert.equal(keys.systemOf(key.id), 'Be brief.');
  assert.equal(keys.verify(later), undefined);
  assert.deepEqual(openDailyCounts(store).read(day, [key.id, '']), [3, 0]);
  keys.close();
  store.close();
});
