import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { versionOf } from './install.ts';
import { programs } from './list.ts';
import { readResults, table, tableFile } from './table.ts';

test('docs/clients.md holds the last run of every program', () => {
  const results = readResults();
  assert.deepEqual(
    Object.entries(results).map(([name, { version }]) => [name, version]),
    programs.map((program) => [program.name, versionOf(program)]),
    'run npm run clients with the programs that differ',
  );
  assert.equal(readFileSync(tableFile, 'utf8'), table(programs, results), 'run npm run clients');
});

test('every program could do everything in its last run', () => {
  for (const [name, { checks }] of Object.entries(readResults()))
    for (const [check, { ok }] of Object.entries(checks)) assert.ok(ok, `${name}, ${check}`);
});
