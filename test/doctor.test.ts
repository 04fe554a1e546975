/** `claude-relay doctor` from outside: each line, on machines that lack one thing each; on a terminal and not. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { judgeSpace } from '../src/commands/doctor/disk.ts';
import { loginLine } from '../src/commands/doctor/claude.ts';
import { openStore } from '../src/store/sqlite.ts';
import { clis, newest, root, startTestRelay } from './support/relay.ts';
import { openTerminal } from './support/terminal.ts';

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
  // Nothing of this machine's own: no service manager, no tunnel.
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
    assert.equal(
      line.fix === null,
      line.state === 'ok',
      `${line.name}: every line that is not ok has a remedy`,
    );
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

describe('a machine where all is well', () => {
  for (const cli of clis) {
    test(`Claude Code ${cli.version}: ends with 0, and proves the lock line by line`, async () => {
      const report = await doctor({ CLAUDE_BIN: cli.path, ANTHROPIC_API_KEY: 'sk-ant-stub' });
      assert.equal(report.status, 0, report.text);
      assert.equal(report.line('claude-version').detail, cli.version);
      assertLine(report.line('login'), 'ok', /^an API key$/);
      assert.ok(report.lines.filter(({ name }) => name.startsWith('lock/')).length > 30);
      assertLine(report.line('lock-proved'), 'ok', /^\d+ checks in [\d.]+ s$/);
      assertLine(
        report.line('claude-adds'),
        'ok',
        /^8\d\d bytes to each request; 136 characters of them are text in the system prompt, about 34 tokens; nothing to the messages$/,
      );
      assert.ok(!existsSync(dataDir), 'it makes nothing');
    });

    test(`${cli.version}, logged in by a subscription: the kind of login, and never whose`, async () => {
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
      assertLine(report.line('login'), 'ok', /^the subscription of Claude Code's own login \(team\)/);
      assertLine(
        report.line('organisation'),
        'warning',
        /\(team\): its settings apply to each turn/,
        /bin\/claude-relay login$/,
      );
      assert.doesNotMatch(report.text, /marker/);
    });
  }
});

describe('the login', () => {
  const now = Date.UTC(2030, 0, 1);
  const soon = new Date(now + 86_400_000).toISOString();
  const cases: [
    name: string,
    login: Parameters<typeof loginLine>[0],
    env: Record<string, string>,
    state: string,
    detail: RegExp,
  ][] = [
    [
      'setup-token',
      { loggedIn: true, method: 'oauth_token' },
      { CLAUDE_CODE_OAUTH_TOKEN: 'marker' },
      'ok',
      /^a subscription, by a token of claude setup-token/,
    ],
    [
      'bearer token',
      { loggedIn: true, method: 'oauth_token' },
      { ANTHROPIC_AUTH_TOKEN: 'marker' },
      'ok',
      /^a bearer token/,
    ],
    ['Bedrock', { loggedIn: true, method: 'bedrock' }, {}, 'ok', /^Amazon Bedrock/],
    ['Vertex', { loggedIn: true, method: 'vertex' }, {}, 'ok', /^Google Vertex AI/],
    ['none', { loggedIn: false, method: 'none' }, {}, 'failure', /not logged in/],
    ['cannot tell', { loggedIn: undefined, method: 'unknown' }, {}, 'warning', /cannot tell/],
    [
      'ends soon',
      { loggedIn: true, method: 'claude.ai', expiresAt: soon },
      {},
      'warning',
      /until 2030-01-02T/,
    ],
    [
      'is over',
      { loggedIn: true, method: 'claude.ai', expiresAt: '2029-12-31T00:00:00Z' },
      {},
      'failure',
      /has expired/,
    ],
    [
      'two',
      { loggedIn: true, method: 'api_key' },
      { CLAUDE_CODE_OAUTH_TOKEN: 'marker', ANTHROPIC_API_KEY: 'marker' },
      'warning',
      /CLAUDE_CODE_OAUTH_TOKEN and ANTHROPIC_API_KEY are all set/,
    ],
  ];
  for (const [name, login, env, state, detail] of cases) {
    test(name, () => {
      const line = loginLine(login, env, now);
      assert.equal(line.state, state);
      assert.match(line.detail, detail);
      assert.doesNotMatch(JSON.stringify(line), /marker/);
    });
  }
});

describe('Claude Code', () => {
  test('is not there', async () => {
    rmSync(join(bin, 'claude'));
    const report = await doctor();
    assertLine(
      report.line('claude'),
      'failure',
      /not installed/,
      /^npm install -g @anthropic-ai\/claude-code$/,
    );
  });

  test('is a script: a warning, as the program that it starts can change unseen', async () => {
    assertLine((await doctor()).line('claude'), 'warning', /is a script/, /CLAUDE_BIN/);
  });

  test('keeps settings of an organisation: a warning, whatever the plan', async () => {
    mkdirSync(join(home, '.claude'));
    writeFileSync(join(home, '.claude/remote-settings.json'), '{}');
    assertLine(
      (await doctor()).line('organisation'),
      'warning',
      /^settings of an organisation have been fetched/,
    );
  });

  test('does not run: the proof fails by name, and the rest is looked at all the same', async () => {
    const report = await doctor();
    assertLine(report.line('lock/starts'), 'failure', /exit 3/, /^npm install -g .*@[\d.]+ /);
    assertLine(report.line('lock-proved'), 'failure', /1 failed$/);
    assertLine(report.line('disk'), 'ok', /free at/);
  });
});

describe('settings and files', () => {
  test('wrong settings: each of them, and how to mend it', async () => {
    writeFileSync(file, 'PORTT=1\nREQ_TIMEOUT=soon\n', { mode: 0o600 });
    const report = await doctor();
    const wrong = report.lines.filter(({ name }) => name === 'settings');
    assert.equal(wrong.length, 2, report.text);
    assert.match(report.text, /PORTT in .* is not a setting/);
    assert.match(report.text, /REQ_TIMEOUT must be a whole number/);
  });

  test('limits that are off, and an address that others can reach', async () => {
    const report = await doctor({
      PER_KEY_DAILY: '0',
      GLOBAL_DAILY: '0',
      HOST: '0.0.0.0',
      ALLOW_REMOTE_BIND: '1',
    });
    assertLine(report.line('limits'), 'warning', /^off: PER_KEY_DAILY, GLOBAL_DAILY$/);
    assertLine(report.line('bind'), 'warning', /HOST is 0\.0\.0\.0/, /HOST=127\.0\.0\.1/);
  });

  test('config.env that others can read: a failure with a login in it; the remedy works as it is written', async () => {
    writeFileSync(file, 'CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-marker\n');
    chmodSync(file, 0o644);
    const open = await doctor({ ANTHROPIC_API_KEY: 'sk-ant-api03-marker' });
    const line = open.line('config-file');
    assertLine(line, 'failure', /mode 644.*CLAUDE_CODE_OAUTH_TOKEN/);
    assert.doesNotMatch(open.text, /marker/, 'no secret is shown');
    execFileSync('sh', ['-c', line.fix ?? '']);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assertLine((await doctor()).line('config-file'), 'ok', /^yours alone$/);
    writeFileSync(file, 'PER_KEY_RPM=5\n');
    chmodSync(file, 0o644);
    assertLine((await doctor()).line('config-file'), 'warning', /mode 644/);
  });

  test('a data directory that others can write: so does this one', async () => {
    openStore(dataDir).close();
    chmodSync(dataDir, 0o777);
    const line = (await doctor()).line('data-dir');
    assertLine(line, 'failure', /mode 777/);
    execFileSync('sh', ['-c', line.fix ?? '']);
    const mended = await doctor();
    assertLine(mended.line('data-dir'), 'ok', /yours alone/);
    assertLine(mended.line('database'), 'ok', /MiB, writable, sound$/);
    assertLine(mended.line('keys'), 'warning', /none in use/, /^bin\/genkey my-app$/);
  });

  test('a data directory that cannot be made', async () => {
    writeFileSync(join(scratch, 'taken'), '');
    const report = await doctor({ DATA_DIR: join(scratch, 'taken', 'data') });
    assert.ok(
      report.lines.some(({ name, state }) => name === 'data-dir' && state === 'failure'),
      report.text,
    );
  });

  test('a file that is no database', async () => {
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dataDir, 'relay.db'), 'something else'.repeat(500), { mode: 0o600 });
    assertLine((await doctor()).line('database'), 'failure', /cannot be used/);
  });

  test('space', () => {
    const mib = 1024 * 1024;
    assert.equal(judgeSpace('disk', '/x', { freeBytes: 50 * mib, freeFiles: 9 }).state, 'failure');
    assert.equal(judgeSpace('disk', '/x', { freeBytes: 500 * mib, freeFiles: 9 }).state, 'warning');
    assert.equal(judgeSpace('disk', '/x', { freeBytes: 5000 * mib, freeFiles: undefined }).state, 'ok');
    assert.match(judgeSpace('disk', '/x', { freeBytes: 5000 * mib, freeFiles: 0 }).detail, /inodes/);
  });
});

describe('the port', () => {
  const listening = async (server: Server): Promise<{ port: string; close: () => void }> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: String((server.address() as AddressInfo).port), close: () => server.close() };
  };

  test('is free, and nobody is there', async () => {
    const { port, close } = await listening(createServer());
    close();
    const report = await doctor({ PORT: port });
    assertLine(report.line('port'), 'ok', new RegExp(`^${port} is free$`));
    assertLine(report.line('relay'), 'warning', /does not run/, /^\.\/run\.sh$/);
  });

  const others = {
    'another web server': () => createHttpServer((_request, response) => response.end('{"ok":true}')),
    'a server that is none of the web': () => createServer((socket) => socket.end('220 mail\r\n')),
  };
  for (const [name, start] of Object.entries(others)) {
    test(name, async () => {
      const { port, close } = await listening(start());
      assertLine(
        (await doctor({ PORT: port })).line('port'),
        'failure',
        /another program listens/,
        /^lsof .*, or set PORT$/,
      );
      close();
    });
  }

  test('one that says nothing', async () => {
    const server = createServer((socket) => socket.on('error', () => {}));
    const { port, close } = await listening(server);
    assertLine((await doctor({ PORT: port })).line('port'), 'failure', /does not answer within/);
    close();
  });

  test('an address of no machine here', async () => {
    const report = await doctor({ PORT: '8799', HOST: '192.0.2.1', ALLOW_REMOTE_BIND: '1' });
    assertLine(report.line('port'), 'failure', /./, /HOST|PORT/);
  });
});

describe('while the relay runs', () => {
  test('it is asked, and seen to use these data or others', async () => {
    const relay = await startTestRelay();
    try {
      const { port } = new URL(relay.url);
      const same = await doctor({ PORT: port, DATA_DIR: relay.dataDir });
      assertLine(same.line('port'), 'ok', /where a claude-relay listens/);
      assertLine(same.line('relay'), 'ok', /takes requests/);
      assert.ok(!same.lines.some(({ name }) => name === 'relay-data'), same.text);
      assertLine(same.line('keys'), 'ok', /^1 in use$/);
      assertLine(same.line('connections'), 'ok', /^\d+ at most/);
      const other = await doctor({ PORT: port, QUEUE_MAX: '10000' });
      assertLine(other.line('connections'), 'warning', /let 1\d{4} requests run or wait/, /ulimit -n/);
      assertLine(other.line('relay-data'), 'warning', /keeps its data elsewhere/);
    } finally {
      await relay.stop();
    }
  });

  test('one that is not ready: which check, and its reason', async () => {
    const claudeBin = join(root, 'test/fixtures/cli/never-starts.sh');
    const relay = await startTestRelay({ claudeBin, until: 'listening' });
    try {
      const { port } = new URL(relay.url);
      const report = await doctor({ PORT: port, DATA_DIR: relay.dataDir });
      assertLine(report.line('relay/lock_proved'), 'failure', /proved/, /lock\//);
    } finally {
      await relay.stop();
    }
  });
});

describe('the service and the tunnel', () => {
  const absent = 'LoadState=not-found';
  const systemctl = (relay: string, tunnel = absent, cloudflared = absent): void =>
    program(
      'systemctl',
      `case "$*" in
        "--user show claude-relay.service "*) printf '${relay}' ;;
        "--user show claude-relay-ngrok.service "*) printf '${tunnel}' ;;
        "--user show claude-relay-cloudflared.service "*) printf '${cloudflared}' ;;
        *) echo "not asked: $*" >&2; exit 9 ;;
      esac`,
    );
  const lingers = (answer: 'yes' | 'no'): void => program('loginctl', `echo ${answer}`);
  const running =
    'LoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\nNRestarts=0\\n';

  test('no service manager', async () => {
    assertLine((await doctor()).line('service'), 'ok', /no systemd or launchd/);
  });

  test('not installed, running, and at boot', async () => {
    systemctl('LoadState=not-found\\nActiveState=inactive\\n');
    lingers('yes');
    assertLine((await doctor()).line('service'), 'ok', /^not installed/);
    systemctl(running);
    const report = await doctor();
    assertLine(report.line('service'), 'ok', /runs \(running\)/);
    assertLine(report.line('service-boot'), 'ok', /starts with the machine/);
    lingers('no');
    assertLine(
      (await doctor()).line('service-boot'),
      'warning',
      /while you are logged in/,
      /^loginctl enable-linger$/,
    );
  });

  test('failed, stopped, failing again and again, not enabled', async () => {
    lingers('yes');
    systemctl(
      'LoadState=loaded\\nActiveState=failed\\nSubState=failed\\nResult=exit-code\\nUnitFileState=enabled\\n',
    );
    assertLine(
      (await doctor()).line('service'),
      'failure',
      /has failed \(exit-code\)/,
      /^journalctl --user -u claude-relay\.service/,
    );
    systemctl('LoadState=loaded\\nActiveState=inactive\\nSubState=dead\\nUnitFileState=disabled\\n');
    const stopped = await doctor();
    assertLine(
      stopped.line('service'),
      'warning',
      /inactive/,
      /^systemctl --user start claude-relay\.service$/,
    );
    assertLine(
      stopped.line('service-boot'),
      'warning',
      /does not start by itself/,
      /systemctl --user enable/,
    );
    systemctl(
      'LoadState=loaded\\nActiveState=activating\\nSubState=auto-restart\\nResult=exit-code\\nUnitFileState=enabled\\n',
    );
    assertLine((await doctor()).line('service'), 'failure', /again and again/);
    systemctl(running.replace('NRestarts=0', 'NRestarts=9'));
    assertLine((await doctor()).line('service'), 'warning', /after 9 restarts/);
  });

  test('its environment: no login of config.env', async () => {
    program('systemctl', `env > ${join(scratch, 'environment')}; exit 1`);
    await doctor({ CLAUDE_CODE_OAUTH_TOKEN: 'marker', ANTHROPIC_API_KEY: 'marker' });
    assert.doesNotMatch(execFileSync('cat', [join(scratch, 'environment')], { encoding: 'utf8' }), /marker/);
  });

  test('a public name: the tunnel, limits that are off, and no key', async () => {
    assertLine((await doctor()).line('tunnel'), 'ok', /^none/);
    openStore(dataDir).close();
    const bare = await doctor({ NGROK_DOMAIN: 'relay.example', PER_KEY_RPM: '0' });
    assertLine(bare.line('tunnel'), 'warning', /no ngrok on PATH/, /expose ngrok/);
    assertLine(bare.line('tunnel-limits'), 'warning', /PER_KEY_RPM/);
    assertLine(bare.line('tunnel-keys'), 'warning', /no key/, /genkey/);
    program('ngrok', 'exit 0');
    assertLine(
      (await doctor({ NGROK_DOMAIN: 'relay.example' })).line('tunnel'),
      'ok',
      /no claude-relay-ngrok\.service/,
    );
    systemctl(running, running);
    lingers('yes');
    assertLine(
      (await doctor({ NGROK_DOMAIN: 'relay.example' })).line('tunnel'),
      'ok',
      /claude-relay-ngrok\.service runs/,
    );
    assertLine((await doctor()).line('tunnel'), 'warning', /NGROK_DOMAIN is not set/);
    systemctl(running, 'LoadState=loaded\\nActiveState=failed\\nSubState=failed\\nResult=exit-code\\n');
    assertLine(
      (await doctor({ NGROK_DOMAIN: 'relay.example' })).line('tunnel'),
      'failure',
      /has failed/,
      /journalctl/,
    );
  });

  test('a public name by cloudflared or Tailscale Funnel counts as much', async () => {
    openStore(dataDir).close();
    lingers('yes');
    systemctl(running, absent, running);
    const bare = await doctor({ PER_KEY_RPM: '0' });
    assertLine(bare.line('tunnel'), 'ok', /claude-relay-cloudflared\.service runs/);
    assertLine(bare.line('tunnel-limits'), 'warning', /PER_KEY_RPM/);
    assertLine(bare.line('tunnel-keys'), 'warning', /no key/);
    assertLine(
      bare.line('tunnel-callers'),
      'warning',
      /every caller looks like this machine/,
      /TRUST_PROXY=loopback/,
    );
    systemctl(running);
    const web = (port: number, funnel: boolean): string =>
      JSON.stringify({
        Web: { 'box.ts.net:443': { Handlers: { '/': { Proxy: `http://127.0.0.1:${port}` } } } },
        ...(funnel ? { AllowFunnel: { 'box.ts.net:443': true } } : {}),
      });
    const settings = { PORT: '8797', TRUST_PROXY: 'loopback' };
    // To the tailnet only, to another program, and nothing.
    for (const other of [web(8797, false), web(8798, true), 'null', '{}', '']) {
      program('tailscale', `env > ${join(scratch, 'environment')}; echo '${other}'`);
      assertLine((await doctor(settings)).line('tunnel'), 'ok', /^none/);
    }
    program('tailscale', `env > ${join(scratch, 'environment')}; echo '${web(8797, true)}'`);
    const funnel = await doctor({ ...settings, ANTHROPIC_API_KEY: 'marker' });
    assertLine(funnel.line('tunnel'), 'ok', /Funnel leads from https:\/\/box\.ts\.net to the relay/);
    assert.ok(!funnel.lines.some(({ name }) => name === 'tunnel-callers'));
    assert.doesNotMatch(
      execFileSync('cat', [join(scratch, 'environment')], { encoding: 'utf8' }),
      /marker/,
      'no login goes to it',
    );
  });
});

describe('as text', () => {
  const escape = '\x1b[';
  const env = (more: Record<string, string> = {}): Record<string, string> =>
    environment({ CLAUDE_BIN: newest, ANTHROPIC_API_KEY: 'sk-ant-stub', ...more });
  const command = (): string => `'${join(root, 'bin/claude-relay')}' --config '${file}' doctor`;

  test('in a pipe: no colour, no progress; what several lines share as a remedy is said once', async () => {
    const { status, text } = await run([], { PER_KEY_RPM: '0' });
    assert.equal(status, 1);
    assert.ok(!text.includes(escape) && !text.includes('\r'), JSON.stringify(text));
    assert.match(text, /^warn limits: off: PER_KEY_RPM\n {5}-> give it a number/m);
    assert.match(text, /^FAIL lock\/starts: .*\nFAIL lock-proved: .*\n {5}-> npm install/m);
    assert.match(text, /\n\n\d+ ok, \d+ warnings?, \d+ failures?\.\n$/);
  });

  test('on a terminal: colours, and a progress that is gone afterwards', async () => {
    const terminal = openTerminal(command(), { env: env() });
    assert.equal(await terminal.exited, 0);
    const shown = terminal.output();
    assert.match(shown, /\x1b\[32mok {2}\x1b\[39m node/);
    assert.match(shown, /\r[-\\|/] proving the lock on the installed Claude Code \d+ s/);
    const [, afterwards = ''] = shown.split(/\r {40,}\r/);
    assert.match(stripVTControlCharacters(afterwards), /^ok {3}claude-version/);
  });

  test('on a terminal with NO_COLOR: none', async () => {
    const terminal = openTerminal(command(), { env: env({ NO_COLOR: '1' }) });
    assert.equal(await terminal.exited, 0);
    assert.ok(!terminal.output().includes(escape));
    assert.match(terminal.output(), /ok {3}node/);
  });
});
