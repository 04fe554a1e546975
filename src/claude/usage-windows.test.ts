/** The plan's windows: with a program that answers as the CLI does for a subscription, and with the real CLIs, which have none here. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clis } from '../../test/support/real-cli.ts';
import { createUsageReader } from './usage-windows.ts';
import { startValveProxy, type ValveProxy } from './valve/proxy.ts';

describe('usage windows', () => {
  let scratch: string;
  let valves: ValveProxy;
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'plan-'));
    valves = await startValveProxy({ ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' });
  });
  after(async () => {
    await valves.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** A program that notes each start and answers `get_usage` with this. */
  function answering(response: object): string {
    const path = join(scratch, `cli-${Math.random().toString(36).slice(2)}`);
    const line = JSON.stringify({
      type: 'control_response',
      response: { subtype: 'success', request_id: 'usage', response },
    });
    writeFileSync(path, `#!/bin/sh\necho start >> "$0.starts"\nread -r _\necho '${line}'\nread -r _\n`);
    chmodSync(path, 0o755);
    return path;
  }

  const hostEnv = { HOME: '/nonexistent', PATH: process.env['PATH'] };
  const readiness = {
    provedIdentity: (): string => 'proved',
    lockBroken: (): void => assert.fail('the lock was broken'),
  };

  test('a subscription’s windows are read once a minute', async () => {
    const claudeBin = answering({
      subscription_type: 'max',
      rate_limits_available: true,
      rate_limits: {
        five_hour: { utilization: 42, resets_at: '2030-01-01T05:00:00Z' },
        seven_day: { utilization: 7.5, resets_at: '2030-01-05T00:00:00Z' },
        seven_day_opus: null,
      },
    });
    let now = 0;
    const plan = createUsageReader({
      claudeBin,
      hostEnv,
      valves,
      readiness,
      now: () => now,
    });
    const expected = {
      five_hour: { utilization: 42, resets_at: '2030-01-01T05:00:00Z' },
      seven_day: { utilization: 7.5, resets_at: '2030-01-05T00:00:00Z' },
    };
    assert.deepEqual(await Promise.all([plan.windows(), plan.windows()]), [expected, expected]);
    now = 59_000;
    await plan.windows();
    assert.equal(readFileSync(`${claudeBin}.starts`, 'utf8'), 'start\n');
    now = 61_000;
    await plan.windows();
    assert.equal(readFileSync(`${claudeBin}.starts`, 'utf8'), 'start\nstart\n');
    await plan.close();
  });

  test('a restart that is not a date is null', async () => {
    const windows = {
      five_hour: { utilization: 42, resets_at: 'in 3 hours' },
      seven_day: { utilization: 7 },
    };
    const claudeBin = answering({ rate_limits_available: true, rate_limits: windows });
    const plan = createUsageReader({ claudeBin, hostEnv, valves, readiness });
    assert.deepEqual(await plan.windows(), {
      five_hour: { utilization: 42, resets_at: null },
      seven_day: { utilization: 7, resets_at: null },
    });
    await plan.close();
  });

  test('no process is started while the lock is not proved', async () => {
    const claudeBin = answering({ rate_limits_available: false, rate_limits: null });
    const plan = createUsageReader({
      claudeBin,
      hostEnv,
      valves,
      readiness: { ...readiness, provedIdentity: () => undefined },
    });
    assert.equal(await plan.windows(), null);
    assert.throws(() => readFileSync(`${claudeBin}.starts`));
  });

  test('a CLI that does not answer is ended after the timeout', async () => {
    const claudeBin = join(scratch, 'silent');
    writeFileSync(claudeBin, '#!/bin/sh\nsleep 60\n');
    chmodSync(claudeBin, 0o755);
    const plan = createUsageReader({
      claudeBin,
      hostEnv,
      valves,
      readiness,
      timeoutMs: 100,
    });
    assert.equal(await plan.windows(), null);
    await plan.close();
  });

  for (const cli of clis) {
    test(`${cli.version} with an API key has no usage windows`, async () => {
      const plan = createUsageReader({
        claudeBin: cli.path,
        hostEnv: {
          ...hostEnv,
          HOME: scratch,
          ANTHROPIC_API_KEY: 'sk-ant-stub',
          ANTHROPIC_BASE_URL: 'http://127.0.0.1:9',
        },
        valves,
        readiness,
      });
      assert.equal(await plan.windows(), null);
      await plan.close();
    });
  }
});
