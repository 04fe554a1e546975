/** `claude-relay doctor` as a program: with a real CLI, with a broken one, next to a running relay, on a terminal and in a pipe. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { startInProcess } from './support/in-process.ts';
import { clis, root } from './support/relay.ts';

type Line = {
  name: string;
  state: 'ok' | 'warning' | 'failure';
  ok: boolean;
  detail: string;
  fix: string | null;
};
type Report = { status: number; text: string; ok: boolean; lines: Line[]; line: (name: string) => Line };

let scratch: string;
let bin: string;
let home: string;
let dataDir: string;
let file: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'doctor-test-'));
  [bin, home, dataDir] = ['bin', 'home', 'data'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(bin);
  mkdirSync(home);
  file = join(scratch, 'a folder', 'config.env');
  mkdirSync(join(scratch, 'a folder'));
  // No service manager and no tunnel of this machine.
  for (const name of ['node', 'npm', 'sh', 'env', 'dirname', 'readlink', 'cat', 'sed', 'sleep']) {
    const path =
      name === 'node'
        ? process.execPath
        : execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    symlinkSync(path, join(bin, name));
  }
  program(
    'claude',
    `case "$1" in auth) echo '{"loggedIn":true,"authMethod":"claude.ai"}';; *) exit 3;; esac`,
  );
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** Puts a program on the doctor's PATH. */
function program(name: string, script: string): void {
  rmSync(join(bin, name), { force: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function environment(env: Record<string, string>): Record<string, string> {
  return { HOME: home, PATH: bin, TMPDIR: scratch, DATA_DIR: dataDir, PORT: '0', ...env };
}

async function run(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    execFile(
      join(root, 'bin/claude-relay'),
      ['--config', file, 'doctor', ...args],
      { encoding: 'utf8', env: environment(env), timeout: 120_000 },
      (error, stdout, stderr) =>
        resolve({ status: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
}

async function doctor(env: Record<string, string> = {}): Promise<Report> {
  const { status, text } = await run(['--json'], env);
  const { ok, checks: lines } = JSON.parse(text) as { ok: boolean; checks: Line[] };
  const failed = lines.some((line) => line.state === 'failure');
  assert.deepEqual([status, ok], [failed ? 1 : 0, !failed], text);
  for (const line of lines) {
    assert.equal(line.fix === null, line.state === 'ok', `${line.name}: every line that is not ok has a fix`);
    assert.equal(line.ok, line.state !== 'failure');
  }
  return {
    status,
    text,
    ok,
    lines,
    line: (name) => lines.find((line) => line.name === name) ?? assert.fail(`no line ${name} in ${text}`),
  };
}

function assertLine(line: Line, state: Line['state'], detail: RegExp, fix?: RegExp): void {
  assert.equal(line.state, state, JSON.stringify(line));
  assert.match(line.detail, detail);
  if (fix !== undefined) assert.match(line.fix ?? '', fix);
}

describe('with a working Claude Code', () => {
  for (const cli of clis) {
    test(`the doctor exits with status 0 and proves the lock on ${cli.version} line by line`, async () => {
      const report = await doctor({ CLAUDE_BIN: cli.path, ANTHROPIC_API_KEY: 'sk-ant-stub' });
      assert.equal(report.status, 0, report.text);
      assert.equal(report.line('claude-version').detail, cli.version);
      assertLine(report.line('login'), 'ok', /^an API key$/);
      assert.ok(report.lines.filter(({ name }) => name.startsWith('lock/')).length > 30);
      // The PATH of these tests has no program that seals.
      const seals = report.lines.filter(({ name }) => name === 'seal');
      assertLine(
        seals[0] ?? assert.fail(),
        'warning',
        /^not sealed; .*`unshare`/,
        /^apt install .*util-linux$/,
      );
      assertLine(seals[1] ?? assert.fail(), 'warning', /^not sealed; .*`bwrap`/, /^apt install bubblewrap$/);
      assertLine(report.line('lock-proved'), 'ok', /^\d+ checks in [\d.]+ s$/);
      assertLine(
        report.line('claude-adds'),
        'ok',
        /^8\d\d bytes to each request, of which 136 characters are text in the system prompt; nothing to the messages$/,
      );
      assert.ok(!existsSync(dataDir), 'the doctor creates nothing');
    });

    test(`the doctor reports the kind of a subscription on ${cli.version}, and not its owner`, async () => {
      mkdirSync(join(home, '.claude'));
      const claudeAiOauth = {
        accessToken: 'sk-ant-oat01-marker-access',
        refreshToken: 'sk-ant-ort01-marker-refresh',
        expiresAt: Date.now() + 3_600_000,
        refreshTokenExpiresAt: Date.now() + 30 * 86_400_000,
        scopes: ['user:inference', 'user:profile'],
        subscriptionType: 'team',
      };
      writeFileSync(join(home, '.claude/.credentials.json'), JSON.stringify({ claudeAiOauth }));
      const oauthAccount = { emailAddress: 'marker@example.com', organizationName: 'marker organisation' };
      writeFileSync(join(home, '.claude.json'), JSON.stringify({ oauthAccount }));
      const report = await doctor({ CLAUDE_BIN: cli.path });
      assertLine(report.line('login'), 'ok', /^a subscription, by Claude Code's login \(team\)/);
      assertLine(
        report.line('organisation'),
        'warning',
        /\(team\): they apply to each turn/,
        /bin\/claude-relay login$/,
      );
      assert.doesNotMatch(report.text, /marker/);
    });
  }
});

describe('with a broken Claude Code', () => {
  test('the doctor reports the failed proof and checks everything else', async () => {
    mkdirSync(join(home, '.claude'));
    writeFileSync(join(home, '.claude/remote-settings.json'), '{}');
    const report = await doctor();
    assertLine(report.line('claude'), 'warning', /is a script/, /CLAUDE_BIN/);
    assertLine(report.line('organisation'), 'warning', /^an organisation's settings have been fetched/);
    assertLine(report.line('lock/starts'), 'failure', /exit 3/, /^npm install -g .*@[\d.]+ /);
    assertLine(report.line('lock-proved'), 'failure', /1 failed$/);
    assertLine(report.line('disk'), 'ok', /free in/);
  });

  test('the doctor reports a missing Claude Code and how to install it', async () => {
    rmSync(join(bin, 'claude'));
    const install = /^npm install -g @anthropic-ai\/claude-code$/;
    assertLine((await doctor()).line('claude'), 'failure', /not installed/, install);
  });

  test('the doctor reports invalid settings and nothing that depends on them', async () => {
    writeFileSync(file, 'REQ_TIMEOUT=soon\n', { mode: 0o600 });
    const report = await doctor();
    assertLine(report.line('settings'), 'failure', /REQ_TIMEOUT must be a whole number/);
    assert.equal(report.lines.length, 1, report.text);
  });
});

test('the doctor reports a running relay and its keys', async () => {
  const relay = await startInProcess();
  try {
    const { port: PORT } = new URL(relay.url);
    const same = await doctor({ PORT, DATA_DIR: relay.dataDir });
    assertLine(same.line('relay'), 'ok', /accepts requests/);
    assertLine(same.line('keys'), 'ok', /^1 valid$/);
  } finally {
    await relay.stop();
  }
});

test('the doctor names the failed check of a relay that is not ready', async () => {
  const failed = {
    proved: false,
    hotProblem: undefined,
    cliVersion: undefined,
    provedAt: '2026-01-01T00:00:00.000Z',
    durationMs: 0,
    checks: [{ name: 'starts', ok: false, detail: 'exit 3' }],
    addedBytes: 0,
    addedTexts: [],
  };
  const relay = await startInProcess({ overrides: { prove: () => Promise.resolve(failed) } });
  try {
    const { port: PORT } = new URL(relay.url);
    const report = await doctor({ PORT, DATA_DIR: relay.dataDir });
    assertLine(report.line('relay/lock_proved'), 'failure', /starts/, /lock\//);
  } finally {
    await relay.stop();
  }
});

test('the doctor gives no login of config.env to the service manager', async () => {
  program('systemctl', `env > ${join(scratch, 'environment')}; exit 1`);
  await doctor({ CLAUDE_CODE_OAUTH_TOKEN: 'marker', ANTHROPIC_API_KEY: 'marker' });
  assert.doesNotMatch(readFileSync(join(scratch, 'environment'), 'utf8'), /marker/);
});

test('text output shows a fix once when several lines in a row share it, and ends with a summary', async () => {
  const { status, text } = await run([], { PER_KEY_RPM: '0' });
  assert.equal(status, 1);
  assert.match(text, /^warn limits: off: PER_KEY_RPM\n {5}-> set each above 0/m);
  assert.match(
    text,
    /^FAIL claude-version: .*\n {5}-> npm install.*\nFAIL lock\/starts: .*\nFAIL lock-proved: .*\n(?! {5}->)/m,
  );
  assert.match(text, /\n\nok: \d+, warnings: \d+, failures: \d+\n$/);
});
