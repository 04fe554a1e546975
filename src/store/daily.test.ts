import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { openDailyCounts, type DailyCounts } from './daily.ts';
import { storeFailure } from './errors.ts';
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

/** Counts without a limit. */
function add(counts: DailyCounts, on: string, ...scopes: string[]): void {
  assert.ok(counts.take(on, free(scopes)));
}

function free(scopes: readonly string[]): { scope: string; limit: null }[] {
  return scopes.map((scope) => ({ scope, limit: null }));
}

function countOf(counts: DailyCounts, on: string, scope: string): number {
  const [first, second] = counts.read(on, [scope, 'key:nobody']);
  assert.equal(second, 0);
  return first;
}

test('daily counts survive a restart and never fall below 0', () => {
  const counts = openDailyCounts(store);
  add(counts, day, 'global', 'key:a');
  add(counts, day, 'global', 'key:b');
  counts.refund(day, ['key:a']);
  counts.refund(day, ['key:a']);
  counts.refund(day, ['key:never']);
  store.close();
  store = openStore(dir);
  const again = openDailyCounts(store);
  assert.deepEqual(
    ['global', 'key:a', 'key:b', 'key:never'].map((scope) => countOf(again, day, scope)),
    [2, 0, 1, 0],
  );
  assert.equal(countOf(again, '2030-05-07', 'global'), 0);
});

test('take counts in no scope if one cannot be written', () => {
  const counts = openDailyCounts(store);
  assert.throws(() => counts.take(day, free(['global', 'x'.repeat(65)])), /constraint/);
  assert.equal(countOf(counts, day, 'global'), 0);
});

test('take counts in no scope if one is at its limit', () => {
  const counts = openDailyCounts(store);
  const take = (key: number | null, all: number | null): boolean =>
    counts.take(day, [
      { scope: 'key:a', limit: key },
      { scope: 'global', limit: all },
    ]);
  assert.deepEqual([take(2, 5), take(2, 5), take(2, 5)], [true, true, false]);
  assert.deepEqual([take(null, 3), take(null, 3)], [true, false]);
  // No room at all: what waits for a slot can use up a limit before anything is counted.
  assert.equal(counts.take('2030-05-08', [{ scope: 'key:a', limit: 0 }]), false);
  assert.deepEqual(
    ['key:a', 'global'].map((scope) => countOf(counts, day, scope)),
    [3, 3],
  );
});

const days = (from: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) =>
    new Date(Date.parse(from) + i * 86_400_000).toISOString().slice(0, 10),
  );

test('the counts of the last 400 days stay', () => {
  const counts = openDailyCounts(store);
  for (const each of days('2030-01-01', 420)) add(counts, each, 'global');
  const left = store.db.prepare('SELECT DISTINCT day FROM daily_counts ORDER BY day').all();
  assert.deepEqual([left.length, left[0]?.['day']], [401, days('2030-01-01', 20)[19]]);
});

for (const [what, wrong] of [
  ['ahead, through 30 days', days('2041-01-01', 30)],
  ['ahead, through more days than are kept', days('2041-01-01', 450)],
  ['back, through 30 days', days('2001-01-01', 30)],
  ['ahead and back in turns', days('2041-01-01', 20).flatMap((ahead, i) => [ahead, `2001-02-${i + 10}`])],
] as const) {
  test(`today keeps its count after restarts with a clock that jumped ${what}`, () => {
    let counts = openDailyCounts(store);
    // Whatever the clock goes through before today first counts.
    for (const each of wrong) add(counts, each, 'global');
    for (let n = 1; n <= 3; n += 1) {
      counts = openDailyCounts(store);
      add(counts, day, 'global');
      assert.equal(countOf(counts, day, 'global'), n, 'a start of the relay gives no fresh day');
    }
  });
}

test('today keeps its count while the clock jumps in a running relay', () => {
  const counts = openDailyCounts(store);
  for (const [i, ahead] of days('2041-01-01', 60).entries()) {
    add(counts, day, 'global');
    add(counts, ahead, 'global');
    assert.equal(countOf(counts, day, 'global'), i + 1);
  }
});

const failure = (reason: RegExp) => (error: unknown) => reason.test(storeFailure(error) ?? '');

test('take on a locked database throws and counts nothing', () => {
  const counts = openDailyCounts(store);
  add(counts, day, 'global');
  const other = new DatabaseSync(join(dir, 'relay.db'));
  other.exec('BEGIN EXCLUSIVE');
  assert.throws(() => counts.take(day, free(['global'])), failure(/locked/));
  assert.equal(countOf(counts, day, 'global'), 1);
  other.exec('ROLLBACK');
  other.close();
  add(counts, day, 'global');
  assert.equal(countOf(counts, day, 'global'), 2);
});

test('take on a full disk throws and counts none of its scopes', () => {
  const counts = openDailyCounts(store);
  const pages = Number(store.db.prepare('PRAGMA page_count').get()?.['page_count']);
  store.db.exec(`PRAGMA max_page_count = ${pages}`);
  const scopes = Array.from({ length: 1000 }, (_, i) => `key:${String(i).padStart(40, '0')}`);
  assert.throws(() => counts.take(day, free(['global', ...scopes])), failure(/disk is full/));
  assert.equal(countOf(counts, day, 'global'), 0);
  store.db.exec('PRAGMA max_page_count = 100000');
  add(counts, day, 'global', ...scopes);
  assert.equal(countOf(counts, day, 'global'), 1);
});

test('daily counts are read and written by the primary key', () => {
  const plan = store.db
    .prepare('EXPLAIN QUERY PLAN SELECT count FROM daily_counts WHERE day = ? AND scope = ?')
    .all('', '')
    .map((row) => row['detail']);
  assert.deepEqual(plan, ['SEARCH daily_counts USING PRIMARY KEY (day=? AND scope=?)']);
});

test('kill -9 loses no acknowledged count and adds at most one', async () => {
  const program = `
    import { writeSync } from 'node:fs';
    import { openDailyCounts } from ${JSON.stringify(new URL('daily.ts', import.meta.url).href)};
import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)};
    const counts = openDailyCounts(openStore(process.argv[1]));
    for (let n = 1; ; n += 1) {
      counts.take('${day}', [{ scope: 'global', limit: null }, { scope: 'key:a', limit: null }]);
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

test('two processes on one database admit exactly the limit together', async () => {
  const limit = 600;
  // Each key alone may have 400; together they find room for 600. Both start at the same moment and take until they are refused.
  const program = `
    import { openDailyCounts } from ${JSON.stringify(new URL('daily.ts', import.meta.url).href)};
import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)};
    const counts = openDailyCounts(openStore(process.argv[1], { waitMs: 5000 }));
    process.stdout.write('ready\\n');
    process.stdin.once('data', () => {
      let admitted = 0;
      const wanted = [{ scope: 'key:a', limit: 400 }, { scope: 'global', limit: ${limit} }];
      wanted[0].scope = process.argv[2];
      while (counts.take('${day}', wanted)) admitted += 1;
      process.stdout.write(admitted + '\\n');
      process.exit();
    });`;
  const children = ['key:a', 'key:b'].map((scope) =>
    spawn(process.execPath, ['--input-type=module', '-e', program, dir, scope], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  );
  const output = children.map((child) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
    return () => text;
  });
  await Promise.all(children.map((child) => once(child.stdout, 'data')));
  for (const child of children) child.stdin.write('go');
  await Promise.all(children.map((child) => once(child, 'close')));
  const admitted = output.map((text) => Number(text().split('\n')[1]));
  assert.equal(admitted[0]! + admitted[1]!, limit, String(admitted));
  const counts = openDailyCounts(store);
  assert.deepEqual(
    ['global', 'key:a', 'key:b'].map((scope) => countOf(counts, day, scope)),
    [limit, ...admitted],
  );
});
