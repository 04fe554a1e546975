/** The checks of the seal: one that is promised and does not hold fails. test/seal.test.ts has those that hold. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkSeal } from './checks.ts';
import { unsealed } from './seal.ts';

const home = mkdtempSync(join(tmpdir(), 'seal-checks-'));
after(() => rmSync(home, { recursive: true }));
const hostEnv = { PATH: process.env['PATH'], HOME: home };

test('a seal that is promised and does not hold fails every check', async () => {
  const checks = await checkSeal({ ...unsealed, network: 'namespace', files: 'bwrap' }, hostEnv);
  assert.deepEqual(
    checks.map(({ name, ok }) => [name, ok]),
    [
      ['sealed-network', false],
      ['sealed-files', false],
      ['sealed-sockets', false],
      ['sealed-processes', false],
    ],
  );
  assert.match(checks[0]?.detail ?? '', /reached a port outside of it/);
});

test('a seal in which nothing runs fails', async () => {
  const words = () => () => ['/bin/false'];
  const checks = await checkSeal({ ...unsealed, words, files: 'landlock' }, hostEnv);
  assert.deepEqual(
    checks.map(({ ok, detail }) => [ok, detail]),
    [
      [false, 'nothing ran in it'],
      [false, 'nothing ran in it'],
    ],
  );
});

test('without a seal there is nothing to check', async () => {
  assert.deepEqual(await checkSeal(unsealed, hostEnv), []);
});

test('a program that resets its connections does not end the relay', async () => {
  const reset = `
    const { connect } = require('node:net');
    const { port, socket } = JSON.parse(process.argv.at(-1));
    for (const place of Array(20).fill([{ port, host: '127.0.0.1' }, { path: socket }]).flat()) {
      const client = connect(place, () => place.port ? client.resetAndDestroy() : client.destroy());
    }`;
  const words = () => () => [process.execPath, '-e', reset, '--'];
  const checks = await checkSeal({ ...unsealed, words, files: 'bwrap' }, hostEnv);
  assert.deepEqual([...new Set(checks.map(({ detail }) => detail))], ['nothing ran in it']);
});
