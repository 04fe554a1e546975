import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { RelayError } from '../errors.ts';
import { openDailyCounts, type DailyCounts } from './daily.ts';
import { openStore } from './sqlite.ts';
import type { Store } from './sqlite.ts';

let dir: string;
let store: Store;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-daily-'));
  store = openStore(dir, { waitMs: 10 });
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const day = '2030-05-06';

function countOf(counts: DailyCounts, on: string, scope: string): number {
  const [first, second] = counts.read(on, [scope, 'key:nobody']);
  assert.equal(second, 0);
  return first;
}

test('counts by day and scope, never below 0, and keeps them over a restart', () => {
  const counts = openDailyCounts(store);
  counts.add(day, ['global', 'key:a'], 1);
  counts.add(day, ['global', 'key:b'], 1);
  counts.add(day, ['key:a'], -1);
  counts.add(day, ['key:a'], -1);
  counts.add(day, ['key:never'], -1);
  store.close();
  store = openStore(dir);
  const again = openDailyCounts(store);
  assert.deepEqual(
    ['global', 'key:a', 'key:b', 'key:never'].map((scope) => countOf(again, day, scope)),
    [2, 0, 1, 0],
  );
  assert.equal(countOf(again, '2030-05-07', 'global'), 0);
});

test('all scopes or none: one that cannot be written undoes the others', () => {
  const counts = openDailyCounts(store);
  assert.throws(() => counts.add(day, ['global', 'x'.repeat(65)], 1), /constraint/);
  assert.equal(countOf(counts, day, 'global'), 0);
});

test('old days are removed; a clock that jumps ahead and back finds its count', () => {
  const counts = openDailyCounts(store);
  for (let i = 10; i < 30; i += 1) counts.add(`2030-05-${i}`, ['global', 'key:a'], 1);
  counts.add('2031-01-01', ['global'], 1);
  counts.add('2030-05-29', ['global'], 1);
  assert.equal(countOf(counts, '2030-05-29', 'global'), 2);
  const days = store.db.prepare('SELECT DISTINCT day FROM daily_counts').all();
  assert.ok(days.length <= 9, `${days.length} days`);
});

const notReady = (reason: RegExp) => (error: unknown) =>
  error instanceof RelayError && error.code === 'not_ready' && reason.test(error.message);

test('a locked database: add throws not_ready and counts nothing; reading goes on', () => {
  const counts = openDailyCounts(store);
  counts.add(day, ['global'], 1);
  const other = new DatabaseSync(join(dir, 'relay.db'));
  other.exec('BEGIN EXCLUSIVE');
  assert.throws(() => counts.add(day, ['global'], 1), notReady(/locked/));
  assert.equal(countOf(counts, day, 'global'), 1);
  other.exec('ROLLBACK');
  other.close();
  counts.add(day, ['global'], 1);
  assert.equal(countOf(counts, day, 'global'), 2);
});

test('a full disk: add throws not_ready and counts none of its scopes', () => {
  const counts = openDailyCounts(store);
  const pages = Number(store.db.prepare('PRAGMA page_count').get()?.['page_count']);
  store.db.exec(`PRAGMA max_page_count = ${pages}`);
  const scopes = Array.from({ length: 1000 }, (_, i) => `key:${String(i).padStart(40, '0')}`);
  assert.throws(() => counts.add(day, ['global', ...scopes], 1), notReady(/disk is full/));
  assert.equal(countOf(counts, day, 'global'), 0);
  store.db.exec('PRAGMA max_page_count = 100000');
  counts.add(day, ['global', ...scopes], 1);
  assert.equal(countOf(counts, day, 'global'), 1);
});

test('reads and writes go by the primary key', () => {
  const plan = store.db
    .prepare('EXPLAIN QUERY PLAN SELECT count FROM daily_counts WHERE day = ? AND scope = ?')
    .all('', '')
    .map((row) => row['detail']);
  assert.deepEqual(plan, ['SEARCH daily_counts USING PRIMARY KEY (day=? AND scope=?)']);
});

test('kill -9 between and during adds: the count is what was acknowledged, or one more', async () => {
  const program = `
    import { writeSync } from 'node:fs';
    import { openDailyCounts } from ${JSON.stringify(new URL('daily.ts', import.meta.url).href)};
    import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)};
    const counts = openDailyCounts(openStore(process.argv[1]));
    for (let n = 1; ; n += 1) {
      counts.add('${day}', ['global', 'key:a'], 1);
      writeSync(1, n + '\\n');
    }`;
  const counts = openDailyCounts(store);
  let before = 0;
  for (let round = 0; round < 3; round += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (printed.length > 3000 + 500 * round) child.kill('SIGKILL');
    });
    const [code, signal] = await once(child, 'close');
    assert.deepEqual([code, signal], [null, 'SIGKILL']);
    const acknowledged = before + Number(printed.slice(0, printed.lastIndexOf('\n')).split('\n').at(-1));
    const counted = countOf(counts, day, 'global');
    assert.ok(counted === acknowledged || counted === acknowledged + 1, `${counted} for ${acknowledged}`);
    assert.ok(counted > before + 100);
    assert.equal(countOf(counts, day, 'key:a'), counted);
    before = counted;
  }
});
