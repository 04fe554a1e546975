/** Databases of other schemas, with made-up rows in every table and a value in every column. */
import { DatabaseSync } from 'node:sqlite';
import { mintToken } from '../../src/keys/token.ts';
import { migrations } from '../../src/store/migrations.ts';

type Row = Record<string, string | number | Uint8Array | null>;

const { token, id, digest } = mintToken((bytes) => Buffer.alloc(bytes, 7));
/** The secret of the key `app`. */
export const madeUpToken = token;

const at = Date.UTC(2026, 0, 31, 12);
const sums = {
  model: 'opus',
  requests: 3,
  errors: 1,
  tokens_in: 10,
  tokens_out: 20,
  cache_read: 30,
  cache_write: 40,
  cost_usd: 0.25,
  answers: 2,
  hot_answers: 1,
  fallback_answers: 1,
  fallback_usd: 0.125,
};

const madeUp: Readonly<Record<string, readonly Row[]>> = {
  keys: [
    {
      id,
      label: 'app',
      created_at: at,
      last_used_at: at + 1,
      expires_at: Date.UTC(2126, 0, 1),
      revoked_at: null,
      daily_limit: 100,
      rpm: 10,
      concurrency: 2,
      allowed_routes: 'complete,fetch',
      allowed_models: 'opus,haiku',
      ollama_host: '127.0.0.1',
      ollama_port: 11434,
      disabled_at: null,
      usd_daily: 1.5,
      tokens_daily: 5000,
      model: 'opus',
      effort: 'low',
      max_tokens: 800,
      locked: 1,
      system_bytes: 24,
      fallback: 'haiku',
    },
    { id: 'revoked', label: 'old', created_at: at - 2, revoked_at: at - 1, disabled_at: at - 1 },
  ],
  key_secrets: [
    { key_id: id, digest, valid_until: null },
    { key_id: id, digest: Buffer.alloc(32, 1), valid_until: at },
  ],
  key_events: [
    { id: 1, at, key_id: id, action: 'created', command: 'key create' },
    { id: 2, at, key_id: 'revoked', action: 'revoked', command: 'key revoke' },
  ],
  daily_counts: [{ day: '2026-01-31', scope: `complete:key:${id}`, count: 7 }],
  probe: [{ id: 1, at }],
  requests: [
    {
      id: 41,
      at,
      request_id: 'req_1',
      key_id: id,
      route: 'complete',
      model: 'opus',
      status: 502,
      error: 'upstream_error',
      limit_hit: 'key_daily',
      stop_reason: 'end_turn',
      tokens_in: 1,
      tokens_out: 2,
      cache_read: 3,
      cache_write: 4,
      cost_usd: 0.5,
      queue_ms: 5,
      spawn_ms: 6,
      upstream_ms: 7,
      total_ms: 8,
      bytes_in: 9,
      bytes_out: 10,
      client_gone: 1,
      start: 'hot',
      first_text_ms: 11,
      fallback_from: 'plan',
    },
  ],
  daily_usage: [{ key_id: id, day: '2026-01-31', ...sums }],
  hourly_usage: [{ key_id: '*', hour: '2026-01-31T12', ...sums }],
  owner_codes: [{ digest: Buffer.alloc(32, 2), expires_at: at }],
  key_prompts: [{ key_id: id, system: 'You are a made-up model.' }],
  webhook_secrets: [{ key_id: id, secret: Buffer.alloc(32, 3), valid_until: at }],
  webhooks: [
    {
      job_id: 'job_1',
      key_id: id,
      created_at: at,
      url: 'https://receiver.example/hook?token=made-up',
      status: 'done',
      ended_at: at + 2,
      attempts: 1,
    },
  ],
};

/** Writes a database of a schema with the made-up rows, as far as it has their tables and columns. */
export function writeDatabase(path: string, schema: number, steps = migrations): void {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL');
  for (const step of steps.slice(0, schema)) db.exec(step);
  db.exec(`PRAGMA user_version = ${schema}`);
  const tables = Object.keys(rowsOf(db));
  for (const table of tables) {
    const columns = columnsOf(db, table);
    for (const row of madeUp[table] ?? []) {
      const names = columns.filter((name) => name in row);
      const insert = `INSERT INTO ${table} (${names.join()}) VALUES (${names.map(() => '?').join()})`;
      db.prepare(insert).run(...names.map((name) => row[name] ?? null));
    }
  }
  db.close();
}

/** All rows of each table, or the given columns of the given tables. */
export function rowsOf(
  db: DatabaseSync,
  like?: Readonly<Record<string, readonly Row[]>>,
): Record<string, Row[]> {
  const tables = db
    .prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    )
    .all()
    .map(({ name }) => String(name))
    .filter((name) => like === undefined || name in like);
  return Object.fromEntries(
    tables.map((table) => {
      const columns = like === undefined ? columnsOf(db, table) : Object.keys(like[table]?.[0] ?? {});
      const order = columns.map((_, index) => index + 1);
      const rows = db.prepare(`SELECT ${columns.join()} FROM ${table} ORDER BY ${order.join()}`).all();
      // Plain objects: the database's rows have no prototype.
      return [table, rows.map((row) => Object.assign({}, row) as Row)];
    }),
  );
}

/** The database as SQL, for a test's fixture. */
export function sqlOf(path: string): string {
  const db = new DatabaseSync(path, { readOnly: true });
  const all = (sql: string): unknown[] =>
    db
      .prepare(sql)
      .all()
      .map((row) => Object.values(row)[0]);
  const tables = all("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
  const indexes = all("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL");
  const rows = Object.keys(rowsOf(db)).flatMap((table) => {
    const values = columnsOf(db, table)
      .map((name) => `quote(${name})`)
      .join(` || ', ' || `);
    return all(`SELECT 'INSERT INTO ${table} VALUES (' || ${values} || ')' FROM ${table} ORDER BY 1`);
  });
  const version = `PRAGMA user_version = ${String(all('PRAGMA user_version')[0])}`;
  db.close();
  return [...tables, ...rows, ...indexes, version].map((sql) => `${String(sql)};\n`).join('');
}

function columnsOf(db: DatabaseSync, table: string): string[] {
  return db
    .prepare('SELECT name FROM pragma_table_info(?)')
    .all(table)
    .map(({ name }) => String(name));
}
