/** The relay serves nobody with a CLI under which the lock does not hold, and reports the failed check. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runsAll } from './support/needs.ts';
import { eventually, newest, root, startTestRelay, type TestRelay } from './support/relay.ts';

const fixture = (name: string): string => join(root, 'test/fixtures/cli', `${name}.sh`);

type Ready = { ok: boolean; checks: { name: string; ok: boolean; detail?: string }[] };

async function readiness(relay: TestRelay): Promise<{ status: number; lock: string; body: Ready }> {
  const response = await fetch(`${relay.url}/ready`);
  const body = (await response.json()) as Ready;
  const lock = body.checks.find((check) => check.name === 'lock_proved');
  return { status: response.status, lock: lock?.detail ?? '', body };
}

async function assertNotServing(relay: TestRelay): Promise<void> {
  const { status, body, headers } = await relay.complete({ prompt: 'hello' });
  assert.equal(status, 503, JSON.stringify(body));
  assert.equal(body['error'], 'not_ready');
  assert.ok(Number(headers.get('retry-after')) > 0);
  assert.equal((await fetch(`${relay.url}/health`)).status, 200);
}

describe('a CLI that breaks the lock', { concurrency: 2 }, () => {
  // The rest of them: src/claude/proof/proof.test.ts. The others here also fail below, in a CLI that changes.
  const cases = [
    ['reads-at-files', 'at-file-not-read'],
    ...(runsAll
      ? ([
          ['drops-tools', 'offers-no-tool'],
          ['never-starts', 'starts'],
        ] as const)
      : []),
  ] as const;
  for (const [cli, check] of cases) {
    test(`the CLI ${cli} fails the check ${check} and is not used`, async () => {
      const relay = await startTestRelay({ claudeBin: fixture(cli), until: 'listening' });
      try {
        // Also while the proof runs.
        await assertNotServing(relay);
        await eventually('the proof has failed', async () => (await readiness(relay)).lock.includes(check));
        const { status, lock } = await readiness(relay);
        assert.equal(status, 503);
        assert.match(lock, /^the lock is not proved: /);
        await assertNotServing(relay);
        assert.equal(relay.model.requests.length, 0, 'nothing reached the model');
        const logged = relay
          .output()
          .stdout.split('\n')
          .find((line) => line.includes('"level":50'));
        assert.ok(logged?.includes(`"name":"${check}"`), logged);
      } finally {
        await relay.stop();
      }
    });
  }
});

describe('claude-relay doctor', () => {
  function doctor(cli: string): { status: number | null; stdout: string; stderr: string } {
    const scratch = mkdtempSync(join(tmpdir(), 'doctor-test-'));
    try {
      return spawnSync(join(root, 'bin/claude-relay'), ['--config', join(scratch, 'none'), 'doctor'], {
        encoding: 'utf8',
        env: {
          HOME: scratch,
          PATH: process.env['PATH'],
          TMPDIR: scratch,
          DATA_DIR: join(scratch, 'data'),
          CLAUDE_BIN: cli,
          PORT: '0',
          ANTHROPIC_API_KEY: 'sk-ant-stub',
        },
      });
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }

  test('doctor exits with status 1 and prints the failed check', () => {
    const { status, stdout, stderr } = doctor(fixture('lists-a-tool'));
    assert.equal(status, 1, stderr);
    assert.match(stdout, /^FAIL lock\/init-lists-nothing: tools: Bash$/m);
    assert.match(stdout, /^FAIL lock-proved/m);
    assert.match(stdout, /^ok {3}lock\/offers-no-tool$/m);
  });

  test('doctor exits with status 0 if the lock holds', () => {
    const { status, stdout, stderr } = doctor(newest);
    assert.equal(status, 0, stdout + stderr);
    assert.doesNotMatch(stdout, /FAIL/);
    assert.match(stdout, /^ok {3}lock\/tool-use-refused:Bash$/m);
  });
});

describe('a CLI that changes', () => {
  let directory: string;
  let cli: string;
  let relay: TestRelay;
  before(async () => {
    // The fixtures find the real CLI relative to themselves.
    directory = mkdtempSync(join(tmpdir(), 'fails-closed-'));
    cpSync(join(root, 'test/fixtures'), join(directory, 'test/fixtures'), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    cli = join(directory, 'test/fixtures/cli/claude.sh');
    install('never-starts');
    relay = await startTestRelay({
      claudeBin: cli,
      until: 'listening',
      settings: { WARM_SPARES: '0' },
      // Another key than the proof's, for a fixture that tells the two apart.
      env: { ANTHROPIC_API_KEY: 'sk-ant-other-stub' },
    });
  });
  after(async () => {
    await relay.stop();
    rmSync(directory, { recursive: true });
  });

  /** Replaces the CLI as a package manager does: a new file under the old name. */
  function install(name: string): void {
    copyFileSync(fixture(name), `${cli}.new`);
    renameSync(`${cli}.new`, cli);
  }

  const isReady = async (): Promise<boolean> => (await readiness(relay)).status === 200;

  test('a repaired CLI is proved and used without a restart', async () => {
    await eventually('the proof has failed', async () => (await readiness(relay)).lock.includes('starts'));
    writeFileSync(`${cli}.new`, `#!/bin/sh\nexec "${newest}" "$@"\n`, { mode: 0o755 });
    renameSync(`${cli}.new`, cli);
    await eventually('ready', isReady);
    assert.equal((await relay.complete({ prompt: 'hello' })).status, 200);
  });

  test('a CLI that changed for the worse is refused at once', async () => {
    const asked = relay.model.requests.length;
    install('drops-tools');
    await assertNotServing(relay);
    await eventually('the proof has failed', async () =>
      (await readiness(relay)).lock.includes('offers-no-tool'),
    );
    await assertNotServing(relay);
    assert.equal(relay.model.requests.length, asked);
  });

  test('a CLI that lists a tool in a turn is refused until the proof passes again', async () => {
    install('lists-a-tool-on-real-turns');
    await eventually('ready', isReady);
    relay.model.setReply(() => ({ kind: 'text', text: 'a secret answer' }));
    // Once after the repair, and once for this CLI.
    await eventually('the proof is logged', () => countProved(relay) === 2);
    const { status, body } = await relay.complete({ prompt: 'hello' });
    assert.equal(status, 502, JSON.stringify(body));
    assert.equal(body['error'], 'upstream_error');
    assert.doesNotMatch(JSON.stringify(body), /Bash|a secret answer/);
    const { status: readyStatus, lock } = await readiness(relay);
    assert.equal(readyStatus, 503);
    assert.match(lock, /a turn listed something that is not allowed \(tools: Bash\)/);
    await assertNotServing(relay);
    await eventually('the proof has passed again', isReady);
    await eventually('it ran for that', () => countProved(relay) === 3);
    await eventually('no process is left', () => relay.children().length === 0);
  });

  test('a CLI that is gone is refused', async () => {
    rmSync(cli);
    await assertNotServing(relay);
    assert.equal((await readiness(relay)).status, 503);
  });
});

test('a shim that switches to another version is refused until that version is proved', async () => {
  const relay = await startTestRelay({ claudeBin: fixture('switches-version') });
  try {
    assert.equal((await relay.complete({ prompt: 'hello' })).status, 200);
    writeFileSync(join(relay.home, 'version'), '2.1.197\n');
    const refused = await relay.complete({ prompt: 'hello' });
    assert.equal(refused.status, 503, JSON.stringify(refused.body));
    assert.equal(refused.body['error'], 'not_ready');
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    await eventually('the other version is proved', () => countProved(relay) === 2);
    assert.equal((await relay.complete({ prompt: 'hello' })).status, 200);
    assert.match(relay.output().stdout, /"cli":"2\.1\.197"/);
  } finally {
    await relay.stop();
  }
});

function countProved(relay: TestRelay): number {
  return relay.output().stdout.split('"msg":"the lock is proved"').length - 1;
}
