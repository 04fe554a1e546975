/** The warm-up: step by step, and with the real CLIs, whose question must not leave the machine. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import { startFailingModel } from '../../test/support/failing-model.ts';
import { clis } from '../../test/support/real-cli.ts';
import { standInHost } from './lock.ts';
import { startLocked } from './locked-process.ts';
import { parseLine, type CliEvent } from './protocol.ts';
import { startValveProxy } from './valve/proxy.ts';
import { Valve } from './valve/valve.ts';
import { startWarmUp } from './warm-up.ts';

function answer(requestId: string, subtype = 'success'): CliEvent {
  return { kind: 'control_response', requestId, ok: subtype === 'success', response: {} };
}

function played({ rehearses = true } = {}) {
  const written: string[] = [];
  let failures = 0;
  const valve = new Valve();
  const warmUp = startWarmUp(
    { write: (text) => void written.push(text), valve },
    { rehearses, onFailed: () => void (failures += 1) },
  );
  const asked = (): string[] =>
    written.map((line) => (JSON.parse(line) as { request: { subtype: string } }).request.subtype);
  /** Whether the process can ask now. Undefined: it would wait. */
  const passes = async (): Promise<boolean | undefined> => {
    const child = new Socket();
    let admitted: boolean | undefined;
    void valve.admits(child, 1000).then((passed) => (admitted = passed));
    for (let round = 0; round < 5; round += 1) await nextRound();
    const decided = admitted;
    child.destroy();
    return decided;
  };
  return { warmUp, written, asked, valve, passes, failures: () => failures };
}

test('a warm-up asks once when the process is up, and nobody can claim the process meanwhile', async () => {
  const { warmUp, asked, passes, failures } = played();
  assert.deepEqual([asked(), warmUp.isClaimable()], [['apply_flag_settings'], true]);
  assert.equal(await passes(), true, 'what it asks at its start');
  warmUp.onEvent({ kind: 'other' });
  warmUp.onEvent(answer('rehearsal'));
  assert.deepEqual([asked().length, warmUp.isDone()], [1, false]);
  warmUp.onEvent(answer('up'));
  assert.deepEqual(asked(), ['apply_flag_settings', 'side_question']);
  assert.equal(warmUp.isClaimable(), false);
  assert.equal(await passes(), false, 'its question ends at the valve');
  warmUp.onEvent(answer('up'));
  warmUp.onEvent(answer('rehearsal'));
  assert.deepEqual([warmUp.isClaimable(), warmUp.isDone(), failures()], [true, true, 0]);
  assert.equal(await passes(), undefined, 'it waits behind its valve');
  assert.equal(asked().length, 2);
});

describe('a warm-up that fails', () => {
  const wrong: [string, string, number][] = [
    ['a question that did not end at the valve', 'success', 0],
    ['a build without the question', 'error', 0],
    ['a question that ended at the valve and is reported as an error', 'error', 1],
  ];
  for (const [name, subtype, refused] of wrong) {
    test(`a warm-up fails once on ${name}`, async () => {
      const { warmUp, valve, passes, failures } = played();
      warmUp.onEvent(answer('up'));
      valve.refused += refused;
      warmUp.onEvent(answer('rehearsal', subtype));
      warmUp.onEvent(answer('rehearsal', subtype));
      assert.equal(failures(), 1);
      assert.deepEqual([warmUp.isClaimable(), warmUp.isDone()], [false, false]);
      assert.equal(await passes(), undefined);
    });
  }
});

test('a process that does not rehearse only waits, behind its valve', async () => {
  const { warmUp, asked, passes, failures } = played({ rehearses: false });
  warmUp.onEvent(answer('up'));
  assert.deepEqual([asked(), warmUp.isDone(), warmUp.isClaimable()], [['apply_flag_settings'], true, true]);
  assert.equal(await passes(), undefined);
  assert.equal(failures(), 0);
});

describe('a process that still asks at its start', () => {
  /** A connection that is being made; the function ends that. */
  function busy(valve: Valve): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    void valve.dialling(() => promise);
    assert.equal(valve.isQuiet, false);
    return resolve;
  }

  test('a warm-up waits until the process is quiet', async () => {
    const { warmUp, asked, valve } = played();
    const end = busy(valve);
    warmUp.onEvent(answer('up'));
    await sleep(150);
    assert.deepEqual([asked().length, warmUp.isClaimable(), warmUp.isDone()], [1, true, false]);
    end();
    for (let waited = 0; waited < 3000 && asked().length < 2; waited += 50) await sleep(50);
    assert.deepEqual(asked(), ['apply_flag_settings', 'side_question']);
  });

  test('a warm-up that waited ten seconds leaves the process as it is', async ({ mock }) => {
    const { warmUp, asked, valve, passes } = played();
    const end = busy(valve);
    let now = performance.now();
    mock.method(performance, 'now', () => now);
    mock.timers.enable({ apis: ['setTimeout'] });
    warmUp.onEvent(answer('up'));
    now += 9_900;
    mock.timers.tick(50);
    assert.equal(warmUp.isDone(), false);
    now += 200;
    mock.timers.tick(50);
    mock.timers.reset();
    assert.deepEqual([asked().length, warmUp.isDone(), warmUp.isClaimable()], [1, true, true]);
    assert.equal(await passes(), undefined);
    end();
  });

  test('a request that takes the process ends the warm-up', async () => {
    const { warmUp, asked, valve } = played();
    const end = busy(valve);
    warmUp.onEvent(answer('up'));
    warmUp.stop();
    end();
    await sleep(800);
    warmUp.onEvent(answer('up'));
    assert.deepEqual([asked().length, warmUp.isDone()], [1, false]);
  });
});

for (const cli of clis) {
  test(`${cli.version} warms up and asks no model`, async () => {
    const home = mkdtempSync(join(tmpdir(), 'warm-up-'));
    const model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'asked' }) });
    const hostEnv = standInHost({ HOME: home, PATH: '/usr/bin:/bin' }, model.url);
    const valves = await startValveProxy(hostEnv);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const process = startLocked({
      claudeBin: cli.path,
      hostEnv,
      valves,
      model: 'opus',
      listener: {
        onLine: (text) => {
          warmUp.onEvent(parseLine(text) ?? { kind: 'other' });
          if (warmUp.isDone()) resolve();
        },
        onGarbage: () => reject(new Error('garbage')),
        onExit: () => reject(new Error(`ended: ${process.stderrTail()}`)),
      },
    });
    const warmUp = startWarmUp(process, { rehearses: true, onFailed: () => reject(new Error('failed')) });
    try {
      await promise;
      assert.equal(warmUp.isClaimable(), true);
      assert.deepEqual(model.requests, []);
      assert.ok(process.valve.refused > 0);
      assert.equal(process.valve.heldBytes, 0);
    } finally {
      process.terminate();
      await process.gone;
      await valves.close();
      await model.close();
      rmSync(home, { recursive: true, force: true });
    }
  });
}
