import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { migrations } from '../store/migrations.ts';
import { openStore } from '../store/sqlite.ts';
import type { Store } from '../store/sqlite.ts';
import { failuresCounted, openLedgerReader } from './reader.ts';
import { openLedger } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { openPruner } from './prune.ts';
import type { RequestRecord } from './record.ts';
import { openUsage } from './usage.ts';

const now = Date.UTC(2030, 5, 15, 12);
const dayMs = 86_400_000;

let dir: string;
let store: Store;
let ledger: Ledger;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-ledger-'));
  store = openStore(dir, { waitMs: 10 });
  ledger = openLedger(store, { days: 90, now: () => now, maxWaiting: 1000 });
});
afterEach(() => {
  ledger.close();
  store.close();
  rmSync(dir, { recursive: true });
});

function request(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    at: now,
    request_id: 'req_1',
    key_id: 'keyA',
    key_label: undefined,
    route: 'complete',
    host: undefined,
    model: 'opus',
    fallback_from: undefined,
    status: 200,
    error: undefined,
    limit_hit: undefined,
    stop_reason: undefined,
    start: undefined,
    tokens_in: 10,
    tokens_out: 20,
    cache_read: 3,
    cache_write: 4,
    cost_usd: 0.5,
    queue_ms: 0,
    spawn_ms: 0,
    upstream_ms: 0,
    first_text_ms: undefined,
    total_ms: 100,
    bytes_in: 1,
    bytes_out: 2,
    client_gone: false,
    ...changes,
  };
}

const rows = () => Number(store.db.prepare('SELECT count(*) AS n FROM requests').get()?.['n']);

test('record writes rows later, by a timer', async () => {
  for (let i = 0; i < 600; i += 1) ledger.record(request({ request_id: `req_${i}` }));
  assert.equal(rows(), 0);
  for (let tries = 0; rows() < 600 && tries < 500; tries += 1) await delay(10);
  assert.equal(rows(), 600);
  const last = openLedgerReader(store).last(2);
  assert.deepEqual(
    last.map((row) => row.request_id),
    ['req_598', 'req_599'],
  );
});

test('close writes the waiting rows', () => {
  ledger.record(request());
  ledger.close();
  assert.equal(rows(), 1);
});

test('rows wait while the database is locked, and problem reports it', () => {
  ledger.record(request());
  const other = new DatabaseSync(join(dir, 'relay.db'));
  other.exec('BEGIN EXCLUSIVE');
  assert.equal(ledger.flush(), false);
  assert.equal(ledger.problem(), 'the ledger cannot be written: the database is locked by another program');
  ledger.record(request());
  other.exec('ROLLBACK');
  other.close();
  assert.equal(ledger.flush(), true);
  assert.equal(ledger.problem(), undefined);
  assert.equal(rows(), 2);
});

test('a bounded number of rows waits while the disk is full, and none is written twice', () => {
  const pages = Number(store.db.prepare('PRAGMA page_count').get()?.['page_count']);
  store.db.exec(`PRAGMA max_page_count = ${pages}`);
  for (let i = 0; i < 1200; i += 1) ledger.record(request({ request_id: `req_${i}` }));
  assert.equal(ledger.flush(), false);
  assert.match(ledger.problem() ?? '', /the disk is full/);
  assert.ok(rows() < 1000);
  store.db.exec('PRAGMA max_page_count = 1000000');
  assert.equal(ledger.flush(), true);
  assert.equal(ledger.problem(), undefined);
  const ids = store.db.prepare('SELECT count(DISTINCT request_id) AS n FROM requests').get()?.['n'];
  assert.deepEqual([rows(), ids], [1000, 1000]);
  assert.equal(openUsage(store, () => now).report({ days: 1 }).today.total.requests, 1000);
});

test('usage adds up requests by day and model, for one key and for all', () => {
  ledger.record(request());
  ledger.record(request({ model: 'haiku', tokens_in: 1, cost_usd: 0.25 }));
  ledger.record(request({ key_id: 'keyB' }));
  ledger.record(request({ at: now - 2 * dayMs, status: 429, error: 'rate_limited', limit_hit: 'key_rpm' }));
  ledger.record(request({ at: now - 40 * dayMs }));
  ledger.record(request({ key_id: undefined, status: 401, error: 'unauthorized' }));
  ledger.flush();
  const usage = openUsage(store, () => now);
  const one = usage.report({ keyId: 'keyA', days: 3 });
  assert.deepEqual(one.today, {
    total: {
      requests: 2,
      errors: 0,
      input_tokens: 11,
      output_tokens: 40,
      cache_read_input_tokens: 6,
      cache_creation_input_tokens: 8,
      cost_usd: 0.75,
      answers: 0,
      hot_answers: 0,
      fallback_answers: 0,
      fallback_usd: 0,
    },
    models: [
      {
        model: 'haiku',
        requests: 1,
        errors: 0,
        input_tokens: 1,
        output_tokens: 20,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 4,
        cost_usd: 0.25,
        answers: 0,
        hot_answers: 0,
        fallback_answers: 0,
        fallback_usd: 0,
      },
      {
        model: 'opus',
        requests: 1,
        errors: 0,
        input_tokens: 10,
        output_tokens: 20,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 4,
        cost_usd: 0.5,
        answers: 0,
        hot_answers: 0,
        fallback_answers: 0,
        fallback_usd: 0,
      },
    ],
  });
  assert.deepEqual(
    one.times.map(({ time, total }) => [time, total.requests, total.errors]),
    [
      ['2030-06-13', 1, 1],
      ['2030-06-14', 0, 0],
      ['2030-06-15', 2, 0],
    ],
  );
  assert.equal(one.period.total.requests, 3);
  assert.equal(usage.report({ days: 3 }).period.total.requests, 4);
  assert.equal(usage.report({ days: 60 }).period.total.requests, 5);
  assert.deepEqual(
    usage
      .rows({ days: 3 })
      .map(({ time, keyId, model, requests }) => `${time} ${keyId} ${model} ${requests}`)
      .sort(),
    ['2030-06-13 keyA opus 1', '2030-06-15 keyA haiku 1', '2030-06-15 keyA opus 1', '2030-06-15 keyB opus 1'],
  );
  assert.equal(usage.rows({ keyId: 'keyB', days: 3 }).length, 1);
  assert.equal(usage.report({ keyId: 'nobody', days: 1 }).today.total.requests, 0);
});

test('usage counts the answers whose start is known, and those of a hot process', () => {
  for (const start of ['hot', 'claim', 'spawn', 'hot', undefined] as const) ledger.record(request({ start }));
  ledger.record(request({ start: 'hot', status: 502, error: 'upstream_error' }));
  // A stream that failed after its status, and a client that left.
  ledger.record(request({ start: 'hot', error: 'upstream_error' }));
  ledger.record(request({ start: 'hot', status: 0, client_gone: true }));
  ledger.flush();
  for (const keyId of ['keyA', '*']) {
    const { total } = openUsage(store, () => now).report({ keyId, days: 1 }).today;
    assert.deepEqual([total.requests, total.answers, total.hot_answers], [8, 4, 2]);
  }
});

const million = `
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
  INSERT INTO requests (at, request_id, key_id, route, model, status, tokens_in, tokens_out, cache_read, cache_write,
    cost_usd, total_ms, bytes_in, bytes_out, client_gone)
  SELECT ${now - 90 * dayMs} + (i - 350) * 7000, 'req_' || i, 'key' || (i / 10000), 'complete', 'opus', 200, 1, 1, 1, 1, 0.1, 1, 1, 1, 0 FROM n`;

test('queries use an index with 1,000,000 rows, and the pruner removes old rows in small steps', () => {
  // Only to fill it fast: no log to write everything to first.
  store.db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000');
  store.db.exec(million);
  const plan = (sql: string) =>
    store.db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((row) => String(row['detail']))
      .join('; ');
  for (const sql of [
    'SELECT * FROM requests WHERE key_id = 1 AND id > 5 ORDER BY id LIMIT 1000',
    'SELECT * FROM requests WHERE key_id = 1 ORDER BY id DESC LIMIT 20',
    'SELECT * FROM requests WHERE id > 5 ORDER BY id LIMIT 1000',
    'DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE at < 5 ORDER BY at LIMIT 500)',
    "SELECT * FROM daily_usage WHERE key_id = 'a' AND day BETWEEN 'a' AND 'b' ORDER BY day",
    "SELECT * FROM daily_usage WHERE day BETWEEN 'a' AND 'b' AND key_id <> '*'",
  ]) {
    const detail = plan(sql);
    assert.match(detail, /SEARCH/, sql);
    assert.doesNotMatch(detail, /SCAN (requests|daily_usage)|TEMP B-TREE/, `${sql}: ${detail}`);
  }
  const reader = openLedgerReader(store);
  assert.equal(reader.last(1)[0]?.request_id, 'req_1000000');
  assert.deepEqual(
    reader.last(2, 'key7').map((row) => row.request_id),
    ['req_79998', 'req_79999'],
  );
  assert.equal(reader.keyIds().length, 101);
  // The rows of this key are far from the newest one.
  const ofKey = reader.page({ keyId: 'key7' }, 2);
  assert.deepEqual(
    ofKey.rows.map((row) => row.request_id),
    ['req_79999', 'req_79998'],
  );
  const older = reader.page({ keyId: 'key7' }, 10_000, ofKey.searchedTo);
  assert.deepEqual([older.rows.length, older.searchedTo], [9998, undefined]);
  assert.deepEqual(reader.page({ keyId: 'key7', route: 'fetch' }, 2), { rows: [], searchedTo: 70_000 });

  const pruner = openPruner(store, { days: 90, now: () => now });
  pruner.close();
  const left = [];
  while (pruner.step()) left.push(rows());
  assert.deepEqual(left, [999_900, 999_800, 999_700]);
  // What is exactly as old as the limit stays.
  assert.equal(rows(), 999_651);
  assert.equal(store.db.prepare('SELECT min(at) AS at FROM requests').get()?.['at'], now - 90 * dayMs);
});

test('the failures by kind are those of the newest 100,000', () => {
  ledger.record(request({ at: now - 9, status: 504, error: 'timeout' }));
  ledger.flush();
  const columns = Object.keys(openLedgerReader(store).last(1)[0] ?? {}).filter((name) => name !== 'id');
  const selected = columns.map((name) => ({ at: `${now} + i`, error: "'internal'" })[name] ?? name).join();
  store.db.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${failuresCounted - 1})
    INSERT INTO requests (${columns.join()}) SELECT ${selected} FROM n, (SELECT * FROM requests)`);
  const reader = openLedgerReader(store);
  const counts = () => reader.failures(now - 9).map(({ error, count }) => [error, count]);
  assert.deepEqual(counts(), [
    ['internal', failuresCounted - 1],
    ['timeout', 1],
  ]);
  ledger.record(request({ at: now, status: 502, error: 'upstream_error' }));
  ledger.flush();
  assert.deepEqual(counts(), [
    ['internal', failuresCounted - 1],
    ['upstream_error', 1],
  ]);
});

test('the pruner removes the daily sums of old days', () => {
  for (const days of [0, 89, 91, 300]) ledger.record(request({ at: now - days * dayMs }));
  ledger.flush();
  const pruner = openPruner(store, { days: 90, now: () => now });
  pruner.close();
  assert.equal(pruner.step(), false);
  assert.equal(openUsage(store, () => now).report({ days: 365 }).period.total.requests, 2);
  assert.equal(rows(), 2);
});

test('the pruner removes old lent secrets and keeps changes of keys', () => {
  store.db.exec(`INSERT INTO keys (id, label, created_at) VALUES ('k', 'ask', 1)`);
  const insert = store.db.prepare(
    `INSERT INTO key_events (at, key_id, action, command) VALUES (?, 'k', ?, 'ask')`,
  );
  insert.run(now - 91 * dayMs, 'created');
  insert.run(now - 91 * dayMs, 'lent');
  insert.run(now, 'lent');
  const pruner = openPruner(store, { days: 90, now: () => now });
  pruner.close();
  assert.equal(pruner.step(), false);
  const left = store.db.prepare('SELECT at, action FROM key_events ORDER BY id').all();
  assert.deepEqual(
    left.map(({ at, action }) => [at, action]),
    [
      [now - 91 * dayMs, 'created'],
      [now, 'lent'],
    ],
  );
});

test('the pruner removes an old copy of the database within an hour', (t) => {
  const copy = join(dir, 'relay.db.schema-1');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pruner = openPruner(store, { days: 90, now: () => now, monotonic: () => 0 });
  for (const days of [29, 31]) {
    writeFileSync(copy, '');
    utimesSync(copy, now / 1000 - days * 86_400, now / 1000 - days * 86_400);
    t.mock.timers.tick(3_600_000);
    assert.equal(existsSync(copy), days === 29);
  }
  pruner.close();
});

test('the ledger never reuses an id, so a follower misses no row', () => {
  ledger.record(request());
  ledger.flush();
  const reader = openLedgerReader(store);
  const seen = reader.last(1)[0]?.id ?? 0;
  store.db.exec('DELETE FROM requests');
  ledger.record(request({ request_id: 'req_next' }));
  ledger.flush();
  assert.deepEqual(
    reader.after(seen).map((row) => row.request_id),
    ['req_next'],
  );
  assert.deepEqual(
    reader.after(seen, 'keyA').map((row) => row.request_id),
    ['req_next'],
  );
  assert.deepEqual(reader.after(seen, 'keyB'), []);
});

test('the pruner removes nothing until a clock that jumped has been steady for an hour', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  ledger.record(request({ at: now }));
  ledger.record(request({ at: now - 100 * dayMs }));
  ledger.flush();
  let wall = now;
  let elapsed = 0;
  const pruner = openPruner(store, { days: 90, now: () => wall, monotonic: () => elapsed });
  const pass = (hours: number): void => {
    for (let i = 0; i < hours; i += 1) {
      wall += 3_600_000;
      elapsed += 3_600_000;
      t.mock.timers.tick(3_600_000);
    }
  };
  // A machine that boots with a wrong clock, and learns the time within the hour.
  wall += 365 * dayMs;
  pass(1);
  assert.equal(rows(), 2, 'a jump ahead removes nothing');
  wall -= 365 * dayMs;
  pass(1);
  assert.equal(rows(), 2, 'nor does the jump back');
  pass(1);
  assert.equal(rows(), 1, 'then what is too old goes');
  wall += 365 * dayMs;
  pass(2);
  assert.equal(rows(), 0, 'a clock that stays there is right');
  pruner.close();
});

test('an upgrade sums the hours of the last two days as the ledger does', () => {
  const hourMs = 3_600_000;
  const at = Date.now();
  ledger.record(request({ at: at - 3 * dayMs, key_id: 'old' }));
  ledger.record(request({ at, key_id: undefined, status: 401, error: 'unauthorized' }));
  for (let i = 0; i < 60; i += 1) {
    ledger.record(
      request({
        at: at - (i % 30) * hourMs,
        key_id: `key${i % 3}`,
        model: i % 4 === 0 ? undefined : 'opus',
        start: ([undefined, 'hot', 'spawn'] as const)[i % 3],
        ...(i % 5 === 0 && { status: 504, error: 'timeout' }),
        ...(i % 7 === 0 && { status: 0 }),
      }),
    );
  }
  ledger.flush();
  const sums = (db: DatabaseSync): unknown =>
    db
      .prepare("SELECT * FROM hourly_usage WHERE key_id <> 'old' AND hour > ? ORDER BY 1, 2, 3")
      .all(new Date(at - 2 * dayMs).toISOString().slice(0, 13));

  const upgraded = join(dir, 'upgraded');
  mkdirSync(upgraded, { mode: 0o700 });
  const old = new DatabaseSync(join(upgraded, 'relay.db'));
  const version = migrations.findIndex((step) => step.includes('CREATE TABLE hourly_usage'));
  old.exec(`${migrations.slice(0, version).join(';')}; PRAGMA user_version = ${version}`);
  const columns = old
    .prepare('SELECT name FROM pragma_table_info(?)')
    .all('requests')
    .map(({ name }) => name)
    .join();
  old.exec(`ATTACH '${join(dir, 'relay.db')}' AS source`);
  old.exec(`INSERT INTO requests (${columns}) SELECT ${columns} FROM source.requests`);
  old.close();
  const after = openStore(upgraded);
  assert.deepEqual(sums(after.db), sums(store.db));
  assert.equal(openUsage(after, () => at).report({ hours: 24 }).period.total.requests, 48);
  assert.equal(after.db.prepare("SELECT 1 FROM hourly_usage WHERE key_id = 'old'").get(), undefined);
  after.close();
});
