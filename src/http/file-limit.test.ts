import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { connectionsFor, fileLimit } from './file-limit.ts';

const usual = { concurrency: 2, waiting: 1, fetches: 8 };

for (const [files, demand, connections] of [
  [1024, usual, 836],
  [256, usual, 68],
  // Each process has 20 files, each fetch 6.
  [1024, { concurrency: 3, waiting: 3, fetches: 9 }, 770],
  // No limit is taken for 64 processes, and for as many fetches as connections.
  [4096, { concurrency: 0, waiting: 0, fetches: 0 }, 390],
  [4096, { concurrency: 0, waiting: 0, fetches: 1_000_000 }, 390],
  [100, usual, 16],
  [20_000, usual, 10_000],
  [Number.POSITIVE_INFINITY, usual, 10_000],
] as const) {
  test(`${files} files and ${JSON.stringify(demand)} leave ${connections} connections`, () => {
    assert.equal(connectionsFor(files, demand), connections);
  });
}

test('fileLimit returns the limit that the system sets', () => {
  const source = `import { fileLimit } from '${import.meta.resolve('./file-limit.ts')}'; console.log(fileLimit());`;
  const limited = [
    '-c',
    'ulimit -n 300; exec "$@"',
    'sh',
    process.execPath,
    '--input-type=module',
    '-e',
    source,
  ];
  assert.equal(execFileSync('/bin/sh', limited, { encoding: 'utf8' }).trim(), '300');
  assert.ok(fileLimit() > 100);
});
