/** The warm-up: step by step, and with the real CLIs, which must not make a request. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clis } from '../../test/support/real-cli.ts';
import { startFailingModel } from '../../test/support/failing-model.ts';
import { lockedArgs, standInEnv } from './lock.ts';
import { startProcess } from './process.ts';
import { parseLine, type CliEvent } from './protocol.ts';
import { canWarmUp, startWarmUp } from './warm-up.ts';

function answer(requestId: string, subtype: string, text = ''): CliEvent {
  return { kind: 'control_response', requestId, ok: subtype === 'success', response: { text } };
}

function played() {
  const written: string[] = [];
  let failures = 0;
  const warmUp = startWarmUp({ write: (text) => written.push(text) }, () => (failures += 1));
  return { warmUp, written, failures: () => failures };
}

test('a warm-up sends its steps in order and is not claimable while the proxy is on', () => {
  const { warmUp, written, failures } = played();
  assert.equal(warmUp.isClaimable(), true);
  const claimable: boolean[] = [];
  for (const [step, text] of ['', '', 'connect ECONNREFUSED 127.0.0.1:1', ''].entries()) {
    warmUp.onEvent({ kind: 'other' });
    assert.equal(written.length, step + 1);
    warmUp.onEvent(answer(`warm-up-${step}`, 'success', text));
    claimable.push(warmUp.isClaimable());
  }
  assert.deepEqual(claimable, [false, false, false, true]);
  assert.match(written[1] ?? '', /"HTTPS_PROXY":"http:\/\/127\.0\.0\.1:1"/);
  assert.match(written[3] ?? '', /"HTTPS_PROXY":""/);
  assert.equal(failures(), 0);
});

const wrong: [string, string, string][] = [
  ['an answered question, which reached a model', 'success', 'Hello!'],
  ['a build without the question', 'error', ''],
];
for (const [name, subtype, text] of wrong) {
  test(`a warm-up fails on ${name}`, () => {
    const { warmUp, failures } = played();
    for (const id of ['warm-up-0', 'warm-up-1']) warmUp.onEvent(answer(id, 'success'));
    warmUp.onEvent(answer('warm-up-2', subtype, text));
    warmUp.onEvent(answer('warm-up-2', subtype, text));
    assert.equal(failures(), 1);
    assert.equal(warmUp.isClaimable(), false);
  });
}

test('a host with a proxy or another kind of upstream has no warm-up', () => {
  assert.equal(canWarmUp({ HOME: '/home/a', https_proxy: '' }), true);
  for (const name of [
    'HTTPS_PROXY',
    'http_proxy',
    'NO_PROXY',
    'CLAUDE_CODE_USE_BEDROCK',
    'CLAUDE_CODE_USE_VERTEX',
  ]) {
    assert.equal(canWarmUp({ [name]: '1' }), false, name);
  }
});

for (const cli of clis) {
  test(`${cli.version} warms up and asks no model`, async () => {
    const home = mkdtempSync(join(tmpdir(), 'warm-up-'));
    const model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'asked' }) });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const process = startProcess({
      command: cli.path,
      args: lockedArgs('opus'),
      env: (tmpDir) => standInEnv({ HOME: home, PATH: '/usr/bin:/bin' }, tmpDir, model.url),
      listener: {
        onLine: (text) => {
          warmUp.onEvent(parseLine(text) ?? { kind: 'other' });
          if (warmUp.isDone()) resolve();
        },
        onGarbage: () => reject(new Error('garbage')),
        onExit: () => reject(new Error(`ended: ${process.stderrTail()}`)),
      },
    });
    const warmUp = startWarmUp(process, () => reject(new Error('failed')));
    try {
      await promise;
      assert.equal(warmUp.isClaimable(), true);
      assert.deepEqual(model.requests, []);
    } finally {
      process.terminate();
      await process.gone;
      await model.close();
      rmSync(home, { recursive: true, force: true });
    }
  });
}
