import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { processTable } from '../../../test/support/processes.ts';
import { eventually } from '../../../test/support/relay.ts';
import { openNamespace } from './namespace.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'namespace-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

test('a search for a namespace that is given up leaves no process, even if its maker started one', async () => {
  const pids = join(scratch, 'pids');
  // Like bwrap's, its process waits for it.
  const maker = `#!/bin/sh\nsleep 600 & echo $! > ${pids}.new; mv ${pids}.new ${pids}; wait\n`;
  writeFileSync(join(scratch, 'unshare'), maker, { mode: 0o755 });
  const stop = new AbortController();
  const search = openNamespace({ PATH: `${scratch}:${process.env['PATH'] ?? ''}` }, stop.signal);
  await eventually('the maker starts a process', () => existsSync(pids));
  stop.abort();
  await assert.rejects(search, /^Error: unshare: stopped before it answered; bwrap: stopped/);
  const started = Number(readFileSync(pids, 'utf8'));
  await eventually('that process is gone', () =>
    processTable().every(({ pid, state }) => pid !== started || state === 'Z'),
  );
});

test('a listener exits when the relay was gone before it began', async () => {
  const go = join(scratch, 'go');
  const late = `until [ -e ${go} ]; do sleep 0.01; done; exec "$@"`;
  const listener = join(import.meta.dirname, 'listen.ts');
  const child = spawn('sh', ['-c', late, 'late', process.execPath, listener], {
    stdio: ['pipe', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  child.stdin?.destroy();
  child.disconnect();
  writeFileSync(go, '');
  assert.deepEqual(await exited, [0, null]);
});
