import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { migrations } from './migrations.ts';
import { openStore } from './sqlite.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-store-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const mode = (path: string) => statSync(path).mode & 0o777;

test('openStore creates a directory and files for their owner alone with any umask', () => {
  const before = process.umask(0);
  try {
    const dataDir = join(dir, 'a', 'b');
    const store = openStore(dataDir);
    store.transaction(() => store.db.exec('CREATE TABLE t (a)'));
    assert.equal(mode(dataDir), 0o700);
    for (const end of ['', '-wal', '-shm']) assert.equal(mode(join(dataDir, `relay.db${end}`)), 0o600, end);
    store.close();
  } finally {
    process.umask(before);
  }
});

test('openStore tightens file modes and refuses a directory that others can write to', () => {
  openStore(dir).close();
  chmodSync(join(dir, 'relay.db'), 0o644);
  openStore(dir).close();
  assert.equal(mode(join(dir, 'relay.db')), 0o600);
  chmodSync(dir, 0o770);
  assert.throws(() => openStore(dir), { name: 'StoreError', message: /can be written by other users/ });
});

test('openStore enables WAL, synchronous NORMAL and foreign keys', () => {
  const store = openStore(dir, { waitMs: 123 });
  const pragma = (name: string) => Object.values(store.db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.equal(pragma('journal_mode'), 'wal');
  assert.equal(pragma('synchronous'), 1);
  assert.equal(pragma('foreign_keys'), 1);
  assert.equal(pragma('busy_timeout'), 123);
  assert.equal(pragma('user_version'), migrations.length);
  store.close();
});

test('openStore keeps the rows of an existing database', () => {
  const first = openStore(dir);
  first.db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', 'global', 7)");
  first.close();
  const second = openStore(dir);
  assert.equal(second.db.prepare('SELECT count FROM daily_counts').get()?.['count'], 7);
  second.close();
});

test('openStore turns rotations by ask in a version 1 database into lent secrets', () => {
  const db = new DatabaseSync(join(dir, 'relay.db'));
  db.exec(`${migrations[0]}; PRAGMA user_version = 1`);
  db.exec(`INSERT INTO keys (id, label, created_at) VALUES ('k', 'ask', 1)`);
  const events = [
    ['created', 'ask'],
    ['rotated', 'ask'],
    ['rotated', 'key rotate'],
    ['revoked', 'key revoke'],
  ] as const;
  const insert = db.prepare(`INSERT INTO key_events (at, key_id, action, command) VALUES (1, 'k', ?, ?)`);
  for (const event of events) insert.run(...event);
  db.close();
  const store = openStore(dir);
  const actions = store.db.prepare('SELECT action FROM key_events ORDER BY id').all();
  assert.deepEqual(
    actions.map(({ action }) => action),
    ['created', 'lent', 'rotated', 'revoked'],
  );
  assert.deepEqual(store.db.prepare('PRAGMA foreign_key_check').all(), []);
  store.close();
});

test('openStore keeps the requests and the sums of a version 2 database, without a start', () => {
  const db = new DatabaseSync(join(dir, 'relay.db'));
  db.exec(`${migrations[0]}; ${migrations[1]}; PRAGMA user_version = 2`);
  const insert = `INSERT INTO requests (at, request_id, route, status, tokens_in, tokens_out, cache_read, cache_write,
    cost_usd, total_ms, bytes_in, bytes_out, client_gone) VALUES (1, 'req_1', 'complete', 200, 1, 2, 3, 4, 0.5, 6, 7, 8, 0)`;
  db.exec(insert);
  const before = db.prepare('SELECT * FROM requests').get();
  db.exec("INSERT INTO daily_usage VALUES ('*', '2030-01-01', 'opus', 1, 0, 1, 2, 3, 4, 0.5)");
  const sums = db.prepare('SELECT * FROM daily_usage').get();
  const store = openStore(dir);
  assert.deepEqual(
    { ...store.db.prepare('SELECT * FROM requests').get() },
    { ...before, start: null, first_text_ms: null, fallback_from: null },
  );
  const sumsAfter = { ...store.db.prepare('SELECT * FROM daily_usage').get() };
  assert.deepEqual(sumsAfter, { ...sums, answers: 0, hot_answers: 0, fallback_answers: 0, fallback_usd: 0 });
  // As an older relay that still runs does.
  db.exec(insert);
  db.close();
  assert.equal(store.db.prepare('SELECT count(*) AS n FROM requests WHERE start IS NULL').get()?.['n'], 2);
  store.db.exec("UPDATE requests SET start = 'hot'");
  assert.throws(() => store.db.exec("UPDATE requests SET start = 'other'"), /CHECK constraint failed/);
  store.close();
});

test('openStore refuses a damaged database and a data directory that is a file', () => {
  writeFileSync(
    join(dir, 'relay.db'),
    'not a database, but text that is long enough to be taken for a header'.repeat(99),
  );
  assert.throws(() => openStore(dir), { name: 'StoreError', message: /relay\.db cannot be used: .*\.$/ });
  writeFileSync(
    join(dir, 'relay.db'),
    Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(4000, 0xff)]),
  );
  assert.throws(() => openStore(dir), { name: 'StoreError', message: /relay\.db cannot be used: .*\.$/ });
  writeFileSync(join(dir, 'file'), '');
  assert.throws(() => openStore(join(dir, 'file')), { name: 'StoreError', message: /cannot be used/ });
});

test('a transaction that throws is undone, and the next one works', () => {
  const store = openStore(dir);
  const count = () => store.db.prepare('SELECT count(*) AS n FROM daily_counts').get()?.['n'];
  const insert = () => store.db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', 'global', 1)");
  assert.throws(
    () =>
      store.transaction(() => {
        insert();
        throw new Error('no');
      }),
    /^Error: no$/,
  );
  assert.equal(count(), 0);
  store.transaction(insert);
  assert.equal(count(), 1);
  store.close();
});

test('eight processes can create the same database at the same time', async () => {
  const dataDir = join(dir, 'fresh');
  const program = `
    import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)};
    const store = openStore(process.argv[1]);
    store.db.exec("INSERT INTO daily_counts VALUES ('2030-01-01', '" + process.pid + "', 1)");
    store.close();`;
  const codes = await Promise.all(
    Array.from(
      { length: 8 },
      () =>
        new Promise((resolve) => {
          const child = spawn(process.execPath, ['--input-type=module', '-e', program, dataDir], {
            stdio: ['ignore', 'inherit', 'inherit'],
          });
          child.once('exit', resolve);
        }),
    ),
  );
  assert.deepEqual(
    codes,
    Array.from({ length: 8 }, () => 0),
  );
  const store = openStore(dataDir);
  assert.equal(store.db.prepare('SELECT count(*) AS n FROM daily_counts').get()?.['n'], 8);
  store.close();
});

test('problem reports a locked and a full database, and the recovery', (t) => {
  t.mock.method(performance, 'now', () => (clock += 1000));
  let clock = 0;
  const store = openStore(dir, { waitMs: 10 });
  assert.equal(store.problem(), undefined);
  const other = new DatabaseSync(join(dir, 'relay.db'));
  other.exec('BEGIN EXCLUSIVE');
  assert.equal(store.problem(), 'the database is locked by another program');
  other.exec('ROLLBACK');
  other.close();
  assert.equal(store.problem(), undefined);
  assert.equal(existsSync(join(dir, 'relay.db-wal')), true);
  store.close();
  assert.equal(existsSync(join(dir, 'relay.db-wal')), false);
});

test('only the first write waits for a lock that lasts', () => {
  const store = openStore(dir, { waitMs: 300 });
  const other = new DatabaseSync(join(dir, 'relay.db'));
  const waitMs = (): unknown => Object.values(store.db.prepare('PRAGMA busy_timeout').get() ?? {})[0];
  const insert = (): void => {
    try {
      store.write(() =>
        store.db.exec('INSERT INTO probe VALUES (1, 1) ON CONFLICT DO UPDATE SET at = at + 1'),
      );
    } catch (error) {
      assert.match(String(error), /locked/);
    }
  };
  for (let round = 0; round < 2; round += 1) {
    other.exec('BEGIN IMMEDIATE');
    assert.equal(waitMs(), 300);
    insert();
    assert.equal(waitMs(), 0, 'after one that waited, the next does not');
    insert();
    other.exec('ROLLBACK');
    insert();
  }
  other.close();
  assert.equal(store.db.prepare('SELECT at FROM probe').get()?.['at'], 2);
  store.close();
});

test('a write throws if the database file was removed or replaced', (t) => {
  let clock = 0;
  t.mock.method(performance, 'now', () => (clock += 1000));
  const store = openStore(dir);
  const write = (): unknown => store.write(() => store.db.exec('INSERT INTO probe VALUES (1, 1)'));
  rmSync(join(dir, 'relay.db'));
  const reason = 'the database file was removed or replaced: restart the relay';
  assert.throws(write, { name: 'StoreError', message: reason });
  assert.throws(() => store.transaction(() => assert.fail('it began')), { message: reason });
  openStore(dir).close();
  assert.throws(write, { message: reason });
  assert.equal(store.problem(), reason);
  store.close();
});

test('openStore keeps the keys and the history of a version 4 database, in which no key has a port', () => {
  const db = new DatabaseSync(join(dir, 'relay.db'));
  db.exec(`${migrations.slice(0, 4).join(';')}; PRAGMA user_version = 4`);
  db.exec(`INSERT INTO keys (id, label, created_at) VALUES ('k', 'app', 1)`);
  db.exec(`INSERT INTO key_events (at, key_id, action, command) VALUES (1, 'k', 'created', 'key create')`);
  const [key, event] = ['keys', 'key_events'].map((table) => db.prepare(`SELECT * FROM ${table}`).get());
  db.close();
  const store = openStore(dir);
  assert.deepEqual(
    { ...store.db.prepare('SELECT * FROM keys').get() },
    {
      ...key,
      ollama_host: null,
      ollama_port: null,
      disabled_at: null,
      usd_daily: null,
      tokens_daily: null,
      model: null,
      effort: null,
      max_tokens: null,
      locked: null,
      system_bytes: null,
      fallback: null,
    },
  );
  assert.deepEqual({ ...store.db.prepare('SELECT * FROM key_events').get() }, { ...event });
  assert.deepEqual(store.db.prepare('PRAGMA foreign_key_check').all(), []);
  store.close();
});
