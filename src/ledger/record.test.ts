import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { turnStarts } from '../conversation.ts';
import { errorTable, limitNames } from '../errors.ts';
import { openStore } from '../store/sqlite.ts';
import { auditLine } from './audit.ts';
import { openLedger } from './ledger.ts';
import { ledgerRoutes, stopReasons, storable } from './record.ts';
import type { RequestRecord } from './record.ts';

const full: Required<RequestRecord> = {
  at: Date.UTC(2030, 0, 2, 3, 4, 5, 6),
  request_id: 'req_abc-123',
  key_id: '61TIgNNF62B',
  key_label: 'my-app',
  route: 'complete',
  model: 'claude-opus-4-1[1m]',
  fallback_from: 'opus',
  status: 429,
  error: 'rate_limited',
  limit_hit: 'key_rpm',
  stop_reason: 'end_turn',
  tokens_in: 1,
  tokens_out: 2,
  cache_read: 3,
  cache_write: 4,
  cost_usd: 0.25,
  start: 'hot',
  queue_ms: 5,
  spawn_ms: 6.4,
  upstream_ms: 7.5,
  first_text_ms: 7.6,
  total_ms: 8,
  bytes_in: 9,
  bytes_out: 10,
  client_gone: true,
  host: 'example.com',
};

/** Text in every field that a mistake elsewhere could put it in, and numbers of every wrong kind. */
function hostile(text: string, number: number): RequestRecord {
  return Object.fromEntries(
    Object.entries(full).map(([name, value]) => [
      name,
      typeof value === 'string' ? text : typeof value === 'number' ? number : value,
    ]),
  ) as RequestRecord;
}

const marker = 'MARKER the secret prompt';
const hostileTexts = [
  marker,
  '',
  `${marker}\n`.repeat(999),
  'https://example.org/MARKER?q',
  "MARKER'); DROP",
  '\0MARKER',
  '🙂MARKER',
];
const hostileNumbers = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 1e300, 0.5, -0];

test('storable rounds each field into its column', () => {
  assert.deepEqual(storable(full), {
    at: full.at,
    request_id: 'req_abc-123',
    key_id: '61TIgNNF62B',
    route: 'complete',
    model: 'claude-opus-4-1[1m]',
    fallback_from: 'opus',
    status: 429,
    error: 'rate_limited',
    limit_hit: 'key_rpm',
    stop_reason: 'end_turn',
    tokens_in: 1,
    tokens_out: 2,
    cache_read: 3,
    cache_write: 4,
    cost_usd: 0.25,
    start: 'hot',
    queue_ms: 5,
    spawn_ms: 6,
    upstream_ms: 8,
    first_text_ms: 8,
    total_ms: 8,
    bytes_in: 9,
    bytes_out: 10,
    client_gone: 1,
  });
});

test('storable keeps no text that is not a value of its field', () => {
  for (const text of hostileTexts) {
    for (const number of hostileNumbers) {
      const record = hostile(text, number);
      assert.doesNotMatch(JSON.stringify([storable(record), auditLine(record)]), /MARKER/);
    }
  }
});

test('the database accepts every row from storable, also of hostile records', () => {
  const dir = mkdtempSync(join(tmpdir(), 'relay-record-'));
  const store = openStore(dir);
  const ledger = openLedger(store, { days: 10_000_000 });
  let recorded = 0;
  const record = (row: RequestRecord) => {
    ledger.record(row);
    recorded += 1;
  };
  record(full);
  for (const text of hostileTexts) for (const number of hostileNumbers) record(hostile(text, number));
  for (const route of ledgerRoutes) record({ ...full, route });
  for (const stop_reason of stopReasons) record({ ...full, stop_reason });
  for (const start of turnStarts) record({ ...full, start });
  for (const limit_hit of limitNames) record({ ...full, limit_hit });
  for (const error of Object.keys(errorTable) as (keyof typeof errorTable)[]) record({ ...full, error });
  assert.equal(ledger.flush(), true);
  assert.equal(ledger.problem(), undefined);
  assert.equal(store.db.prepare('SELECT count(*) AS n FROM requests').get()?.['n'], recorded);
  ledger.close();
  store.close();
  rmSync(dir, { recursive: true });
});

const prose = 'a secret prompt, in words!';
const url = 'https://example.org/?page';
const contents = [prose, url, 'x'.repeat(5000)];
/** Two columns take content: the system prompt of a key, and the URL that a caller gives a webhook. */
const exceptions: Record<string, string[]> = {
  'key_prompts.system': ['', 'x'.repeat(100_001), 'é'.repeat(50_001)],
  'webhooks.url': [prose, url.padEnd(2049, 'x')],
};

test('every table is strict and bounds the alphabet and length of its text, and two columns take content', () => {
  const dir = mkdtempSync(join(tmpdir(), 'relay-schema-'));
  const store = openStore(dir);
  const tables = store.db
    .prepare("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
    .all();
  assert.ok(tables.length >= 7);
  store.db.exec('PRAGMA foreign_keys = OFF');
  for (const { name, strict } of tables) {
    assert.equal(strict, 1, `${String(name)} is not strict`);
    const columns = store.db
      .prepare('SELECT name, type, "notnull" AS filled FROM pragma_table_info(?)')
      .all(String(name));
    const good = (column: Record<string, unknown>) =>
      goodValue(String(column['name']), String(column['type']));
    const sql = `INSERT INTO ${String(name)} (${columns.map((column) => column['name']).join()}) VALUES (${columns.map(() => '?').join()})`;
    const insert = store.db.prepare(sql);
    insert.run(...columns.map(good));
    store.db.exec(`DELETE FROM ${String(name)}`);
    for (const column of columns) {
      const place = `${String(name)}.${String(column['name'])}`;
      for (const bad of exceptions[place] ?? contents) {
        assert.throws(
          () => insert.run(...columns.map((other) => (other === column ? bad : good(other)))),
          /CHECK constraint failed|cannot store TEXT value|datatype mismatch/,
          `${place} takes ${bad.slice(0, 30)}`,
        );
      }
    }
  }
  store.close();
  rmSync(dir, { recursive: true });
});

function goodValue(name: string, type: string): string | number | Uint8Array {
  if (type === 'BLOB') return Buffer.alloc(32);
  if (type !== 'TEXT') return 1;
  if (name === 'day') return '2030-01-01';
  if (name === 'hour') return '2030-01-01T12';
  if (name === 'action') return 'created';
  if (name === 'start') return 'hot';
  if (name === 'status') return 'done';
  if (name === 'ollama_host') return '::1';
  if (name === 'url') return url.padEnd(2048, 'x');
  if (name === 'system') return prose;
  return 'a';
}

test("auditLine returns the ledger's fields without the empty ones", () => {
  assert.deepEqual(auditLine(full), {
    at: '2030-01-02T03:04:05.006Z',
    request_id: 'req_abc-123',
    key_id: '61TIgNNF62B',
    key_label: 'my-app',
    host: 'example.com',
    route: 'complete',
    model: 'claude-opus-4-1[1m]',
    fallback_from: 'opus',
    status: 429,
    error: 'rate_limited',
    limit_hit: 'key_rpm',
    stop_reason: 'end_turn',
    tokens_in: 1,
    tokens_out: 2,
    cache_read: 3,
    cache_write: 4,
    cost_usd: 0.25,
    start: 'hot',
    queue_ms: 5,
    spawn_ms: 6,
    upstream_ms: 8,
    first_text_ms: 8,
    total_ms: 8,
    bytes_in: 9,
    bytes_out: 10,
    client_gone: true,
  });
  const least = auditLine({
    ...full,
    key_id: undefined,
    key_label: undefined,
    model: undefined,
    error: undefined,
    start: undefined,
    client_gone: false,
  });
  for (const name of ['key_id', 'key_label', 'model', 'error', 'start', 'client_gone'])
    assert.equal(name in least, false, name);
});
