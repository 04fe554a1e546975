import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { startInProcess } from '../../../test/support/in-process.ts';
import { eventually } from '../../../test/support/relay.ts';
import { processTable } from '../../../test/support/processes.ts';
import { startOwnerRelay } from '../../../test/support/owner-page.ts';
import { loadConfig, type Config, type ConfigError } from '../../config.ts';
import type { RunProgram } from '../../service/run-program.ts';
import { systemdState, units } from '../../service/state.ts';
import { openKeys } from '../../keys/store.ts';
import { openDailyCounts } from '../../store/daily.ts';
import { openStore } from '../../store/sqlite.ts';
import { utcDay } from '../../time.ts';
import { loginLine } from './claude.ts';
import { doctorLines } from './doctor.ts';
import { diskLines, judgeSpace } from './disk.ts';
import type { Line } from './line.ts';
import { secondLoginLine } from './fallback.ts';
import { relayLines } from './relay.ts';
import { serviceLines, tunnelLines } from './service.ts';
import { settingsFailures, settingsLines } from './settings.ts';

let scratch: string;
let dataDir: string;
let file: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'doctor-unit-'));
  dataDir = join(scratch, 'data');
  mkdirSync(join(scratch, 'a folder'));
  file = join(scratch, 'a folder', 'config.env');
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function configOf(env: Record<string, string> = {}): Config {
  return loadConfig({ env: { HOME: scratch, DATA_DIR: dataDir, PORT: '0', ADMIN_PORT: '0', ...env }, file });
}

function find(lines: readonly Line[], name: string): Line {
  return lines.find((line) => line.name === name) ?? assert.fail(`no line ${name}: ${JSON.stringify(lines)}`);
}

function assertLine(line: Line, state: Line['state'], detail: RegExp, fix?: RegExp): void {
  assert.equal(line.state, state, JSON.stringify(line));
  assert.match(line.detail, detail);
  if (fix !== undefined) assert.match(line.fix ?? '', fix);
  assert.equal(line.fix === undefined, state === 'ok', 'every line that is not ok has a fix');
}

/** Plays programs: the output of each by the start of its command line. Every other program is missing. */
function playing(outputs: Readonly<Record<string, string>>): RunProgram {
  return (command, args) => {
    const line = [command, ...args].join(' ');
    const stdout = Object.entries(outputs).find(([start]) => line.startsWith(start))?.[1];
    return Promise.resolve({
      status: stdout === undefined ? undefined : 0,
      stdout: stdout ?? '',
      stderr: '',
      missing: stdout === undefined,
    });
  };
}

describe('the login line', () => {
  const now = Date.UTC(2030, 0, 1);
  const soon = new Date(now + 86_400_000).toISOString();
  type Login = Parameters<typeof loginLine>[0];
  const cases: [name: string, login: Login, env: Record<string, string>, Line['state'], RegExp][] = [
    [
      'names a token of setup-token',
      { loggedIn: true, method: 'oauth_token' },
      { CLAUDE_CODE_OAUTH_TOKEN: 'marker' },
      'ok',
      /^a subscription, by a token of claude setup-token/,
    ],
    [
      'names a bearer token',
      { loggedIn: true, method: 'oauth_token' },
      { ANTHROPIC_AUTH_TOKEN: 'marker' },
      'ok',
      /^a bearer token/,
    ],
    ['names Bedrock', { loggedIn: true, method: 'bedrock' }, {}, 'ok', /^Amazon Bedrock/],
    ['names Vertex', { loggedIn: true, method: 'vertex' }, {}, 'ok', /^Google Vertex AI/],
    ['fails without a login', { loggedIn: false, method: 'none' }, {}, 'failure', /not logged in/],
    [
      'warns when Claude Code does not report its login',
      { loggedIn: undefined, method: 'unknown' },
      {},
      'warning',
      /does not report/,
    ],
    [
      'warns of a login that expires within a week',
      { loggedIn: true, method: 'claude.ai', expiresAt: soon },
      {},
      'warning',
      /until 2030-01-02T/,
    ],
    [
      'fails with an expired login',
      { loggedIn: true, method: 'claude.ai', expiresAt: '2029-12-31T00:00:00Z' },
      {},
      'failure',
      /has expired/,
    ],
    [
      'warns of two logins',
      { loggedIn: true, method: 'api_key' },
      { CLAUDE_CODE_OAUTH_TOKEN: 'marker', ANTHROPIC_API_KEY: 'marker' },
      'warning',
      /CLAUDE_CODE_OAUTH_TOKEN and ANTHROPIC_API_KEY are all set/,
    ],
  ];
  for (const [name, login, env, state, detail] of cases) {
    test(`the login line ${name}`, () => {
      const line = loginLine(login, env, now);
      assertLine(line, state, detail);
      assert.doesNotMatch(JSON.stringify(line), /marker/);
    });
  }
});

describe('settings', () => {
  test('each invalid setting becomes a failure with its fix', () => {
    writeFileSync(file, 'PORTT=1\nREQ_TIMEOUT=soon\n', { mode: 0o600 });
    const problems = ((): readonly string[] => {
      try {
        configOf();
        return [];
      } catch (error) {
        return (error as ConfigError).problems;
      }
    })();
    const lines = settingsFailures(problems, file);
    assert.equal(lines.length, 2);
    assertLine(lines[0] as Line, 'failure', /PORTT in .* is not a setting/, /^edit /);
    assertLine(lines[1] as Line, 'failure', /REQ_TIMEOUT must be a whole number/);
  });

  test('limits that are off and an address that other machines reach are warnings', () => {
    const env = { PER_KEY_DAILY: '0', GLOBAL_DAILY: '0', HOST: '0.0.0.0', ALLOW_REMOTE_BIND: '1' };
    const lines = settingsLines(configOf(env), file);
    assertLine(find(lines, 'limits'), 'warning', /^off: PER_KEY_DAILY, GLOBAL_DAILY$/);
    assertLine(find(lines, 'bind'), 'warning', /HOST is 0\.0\.0\.0/, /HOST=127\.0\.0\.1/);
  });

  test('a config.env with a login that others can read is a failure, and its fix works as written', () => {
    writeFileSync(file, 'CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-marker\n');
    chmodSync(file, 0o644);
    const lines = settingsLines(configOf(), file);
    const line = find(lines, 'config-file');
    assertLine(line, 'failure', /mode 644.*CLAUDE_CODE_OAUTH_TOKEN/);
    assert.doesNotMatch(JSON.stringify(lines), /marker/, 'no secret is shown');
    execFileSync('sh', ['-c', line.fix ?? '']);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assertLine(find(settingsLines(configOf(), file), 'config-file'), 'ok', /^only you/);
  });

  test('a config.env without a login that others can read is a warning', () => {
    writeFileSync(file, 'PER_KEY_RPM=5\n');
    chmodSync(file, 0o644);
    assertLine(find(settingsLines(configOf(), file), 'config-file'), 'warning', /mode 644/);
  });
});

describe('the data directory', () => {
  const lines = (env: Record<string, string> = {}): Line[] => diskLines(configOf(env), Date.now(), 250);

  test('a data directory that others can write is a failure, and its fix works as written', () => {
    openStore(dataDir).close();
    chmodSync(dataDir, 0o777);
    const line = find(lines(), 'data-dir');
    assertLine(line, 'failure', /mode 777/);
    execFileSync('sh', ['-c', line.fix ?? '']);
    const fixed = lines();
    assertLine(find(fixed, 'data-dir'), 'ok', /only you/);
    assertLine(find(fixed, 'database'), 'ok', /^writable$/);
    assertLine(find(fixed, 'keys'), 'warning', /no valid key/, /^bin\/claude-relay key create my-app$/);
  });

  test('a locked database is a failure, for which the doctor waits as long as it may', () => {
    openStore(dataDir).close();
    const other = new DatabaseSync(join(dataDir, 'relay.db'));
    other.exec('BEGIN IMMEDIATE');
    const lockedFor = (waitMs: number): number => {
      const startedAt = performance.now();
      const line = find(diskLines(configOf(), Date.now(), waitMs), 'database');
      assertLine(line, 'failure', /locked by another program/);
      return performance.now() - startedAt;
    };
    const long = lockedFor(1000);
    assert.ok(long >= 1000);
    assert.ok(Math.min(...[10, 10, 10].map(lockedFor)) < long);
    other.close();
  });

  test('a port without a secret is listed, and one that other machines reach is a warning', () => {
    const store = openStore(dataDir);
    const keys = openKeys(store);
    keys.create('ha', {}, 'test');
    const portLine = (host: string): Line => {
      keys.change('ha', { ollama: { host, port: 11434 } }, 'test');
      return find(lines(), 'ollama-port');
    };
    assertLine(
      portLine('127.0.0.1'),
      'ok',
      /^ha at http:\/\/127\.0\.0\.1:11434, without a secret, only this machine$/,
    );
    const fix = /^bin\/claude-relay key set ha --ollama-port 11434 \(for this machine only\)/;
    assertLine(portLine('192.168.1.5'), 'warning', /every machine that reaches the address/, fix);
    store.close();
  });

  test('the second login has a line with what it was billed, and each setting that is missing', () => {
    const store = openStore(dataDir);
    const keys = openKeys(store);
    keys.create('app', {}, 'test');
    const login = { FALLBACK_ANTHROPIC_API_KEY: 'sk-marker' };
    const budget = { FALLBACK_USD_DAILY: '5' };
    const named = (env: Record<string, string>) => lines(env).filter(({ name }) => name === 'fallback');
    assert.deepEqual(named({}), []);
    assertLine(
      find(named({ ...login, ...budget }), 'fallback'),
      'warning',
      /no key uses it/,
      /--fallback api$/,
    );
    keys.change('app', { fallback: 'api' }, 'test');
    const scope = { scope: 'usd:fallback', count: 1_250_000 };
    openDailyCounts(store).add(utcDay(Date.now()), [scope]);
    const used = named({ ...login, ...budget });
    assertLine(find(used, 'fallback'), 'ok', /^\$1\.25 of \$5\.00 billed today, for app$/);
    assert.doesNotMatch(JSON.stringify(used), /marker/);
    assertLine(
      find(named(login), 'fallback'),
      'warning',
      /FALLBACK_USD_DAILY not set/,
      /^set FALLBACK_USD_DAILY /,
    );
    assertLine(find(named(budget), 'fallback'), 'warning', /FALLBACK_ANTHROPIC_API_KEY not set/);
    keys.change('app', { fallback: 'sonnet' }, 'test');
    assert.deepEqual(named({}), []);
    assertLine(find(named({ ALLOWED_MODELS: 'opus' }), 'fallback'), 'warning', /app falls back to sonnet/);
    assert.deepEqual(named({ ALLOWED_MODELS: 'opus', MODEL_ALIASES: 'sonnet=opus' }), []);
    store.close();
  });

  test('the second login is a failure if Claude Code does not take it', () => {
    assertLine(secondLoginLine({ loggedIn: true, method: 'api_key' }), 'ok', /^an API key$/);
    assertLine(secondLoginLine({ loggedIn: true, method: 'claude.ai' }), 'failure', /does not take/);
  });

  test('a data directory below a file is a failure', () => {
    writeFileSync(join(scratch, 'taken'), '');
    const report = lines({ DATA_DIR: join(scratch, 'taken', 'data') });
    assertLine(find(report, 'data-dir'), 'failure', /cannot be created/);
  });

  test('a file that is not a database is a failure', () => {
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dataDir, 'relay.db'), 'something else'.repeat(500), { mode: 0o600 });
    assertLine(find(lines(), 'database'), 'failure', /cannot be used/);
  });

  test('little free space is a warning, and very little a failure', () => {
    const state = (mib: number): string => judgeSpace('disk', '/x', mib * 1024 * 1024).state;
    assert.deepEqual([50, 500, 5000].map(state), ['failure', 'warning', 'ok']);
  });
});

describe('the port', () => {
  const none = { kind: 'not installed' } as const;
  const listening = async (server: Server): Promise<string> => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return String((server.address() as AddressInfo).port);
  };
  const lines = (env: Record<string, string>, timeoutMs?: number): Promise<Line[]> =>
    relayLines(configOf(env), none, timeoutMs);

  test('a free port is ok, and a relay that does not run is a warning', async () => {
    const server = createServer();
    const PORT = await listening(server);
    server.close();
    const report = await lines({ PORT });
    assertLine(find(report, 'port'), 'ok', new RegExp(`^${PORT} is free$`));
    assertLine(find(report, 'relay'), 'warning', /not running/, /^\.\/run\.sh$/);
  });

  const others = {
    'another web server': () => createHttpServer((_request, response) => response.end('{"ok":true}')),
    'a mail server': () => createServer((socket) => socket.end('220 mail\r\n')),
  };
  for (const [name, start] of Object.entries(others)) {
    test(`${name} on the port is a failure`, async () => {
      const server = start();
      const PORT = await listening(server);
      const line = find(await lines({ PORT }), 'port');
      assertLine(line, 'failure', /is in use/, /^lsof .*, or set PORT$/);
      server.close();
    });
  }

  test('a silent program on the port is a failure', async () => {
    const server = createServer((socket) => socket.on('error', () => {}));
    const PORT = await listening(server);
    assertLine(find(await lines({ PORT }, 100), 'port'), 'failure', /is in use/);
    server.close();
  });

  test("an address that is not this machine's is a failure", async () => {
    const env = { PORT: '8799', HOST: '192.0.2.1', ALLOW_REMOTE_BIND: '1' };
    assertLine(find(await lines(env, 1000), 'port'), 'failure', /./, /HOST|PORT/);
  });

  test('a running relay is ok', async () => {
    const relay = await startInProcess();
    try {
      const { port: PORT } = new URL(relay.url);
      const report = await lines({ PORT });
      assertLine(find(report, 'port'), 'ok', /claude-relay listens/);
      assertLine(find(report, 'relay'), 'ok', /accepts requests/);
      assertLine(find(report, 'relay/spares'), 'ok', /^0 waiting, 0 MiB$/);
      assertLine(find(report, 'relay/hot'), 'ok', /^off: HOT_PROCESSES is 0$/);
    } finally {
      await relay.stop();
    }
  });

  test("the doctor reports the owner's page, a port of it that is taken, and its path on the public listener", async () => {
    const relay = await startOwnerRelay();
    const { port: PORT } = new URL(relay.url);
    const page = async (ADMIN_PORT: string): Promise<Line> => find(await lines({ PORT, ADMIN_PORT }), 'page');
    try {
      assertLine(await page('0'), 'ok', /^off: ADMIN_PORT is 0$/);
      assertLine(await page(String(relay.port)), 'ok', /:\d+, which bin\/claude-relay dashboard opens$/);
      const other = createHttpServer((_request, response) => response.end('something else'));
      assertLine(await page(await listening(other)), 'warning', /\(status 200\)$/, /another ADMIN_PORT/);
      other.close();
    } finally {
      await relay.stop();
    }
    const open = createHttpServer(({ url = '' }, response) => {
      response.setHeader('request-id', 'req_1');
      response.statusCode = url === '/open' ? 401 : 200;
      response.end('{"ok":true,"checks":[]}');
    });
    const line = find(await lines({ PORT: await listening(open) }), 'page');
    assertLine(line, 'failure', /\/open: status 401 instead of 404$/, /report/);
    open.close();
  });

  /** The lines next to a relay whose `/ready` has these details. */
  const linesWith = async (details: object, env: Record<string, string> = {}): Promise<Line[]> => {
    const server = createHttpServer(({ url = '' }, response) => {
      if (url !== '/health' && url !== '/ready') return void response.writeHead(404).end();
      response.setHeader('request-id', 'req_1');
      response.end(JSON.stringify({ ok: true, checks: [], ...details }));
    });
    try {
      return await lines({ ...env, PORT: await listening(server) });
    } finally {
      server.close();
    }
  };
  const mib = 1024 * 1024;
  const off = 'this Claude Code can serve one request a process only: hot-turns-end';
  const elsewhere = 'the model is asked at another provider';

  test('the doctor counts the waiting processes and their memory', async () => {
    const report = await linesWith({
      spares: { waiting: 1, warm: 1, rss_bytes: 186 * mib + 1000 },
      hot: { resting: 2, rss_bytes: 402 * mib },
      valve: { exact: true },
    });
    assertLine(find(report, 'relay/spares'), 'ok', /^1 waiting, 186 MiB$/);
    assertLine(find(report, 'relay/hot'), 'ok', /^2 resting, 402 MiB$/);
    assertLine(find(report, 'relay/valve'), 'ok', /exactly once/);
  });

  test('the doctor warns when hot processes are off, unless their owner turned them off', async () => {
    const hot = { resting: 0, rss_bytes: 0, off };
    const [failed, chosen, chosenBefore] = [
      await linesWith({ hot }),
      await linesWith({ hot }, { HOT_PROCESSES: '0' }),
      await linesWith({ hot: { ...hot, off: 'HOT_PROCESSES is 0' } }),
    ];
    assertLine(find(failed, 'relay/hot'), 'warning', /^off: this Claude Code .*: hot-turns-end$/, /lock\//);
    for (const report of [chosen, chosenBefore]) assertLine(find(report, 'relay/hot'), 'ok', /^off: /);
  });

  test('the doctor warns when no valve is in front of the model', async () => {
    const report = await linesWith({
      hot: { resting: 0, rss_bytes: 0, off: elsewhere },
      valve: { exact: false, detail: elsewhere },
    });
    const fix = /SECURITY\.md/;
    assertLine(find(report, 'relay/hot'), 'warning', /another provider$/, fix);
    assertLine(find(report, 'relay/valve'), 'warning', /more than once: .*another provider$/, fix);
  });

  test('the doctor reports the seal of the running relay, and warns of what is missing', async () => {
    const missing = [{ problem: 'a program is missing', fix: 'apt install it' }];
    const [full, partial] = [
      await linesWith({ seal: { network: 'namespace', files: 'bwrap', missing: [] } }),
      await linesWith({ seal: { network: 'none', files: 'bwrap', missing } }),
    ];
    assertLine(find(full, 'relay/seal'), 'ok', /^sealed: network by namespace, files by bwrap$/);
    assertLine(find(partial, 'relay/seal'), 'warning', /network by none.*; a program is missing/, /^apt /);
  });

  test('the doctor prints no line about processes for an older relay that still runs', async () => {
    const report = await linesWith({});
    assert.deepEqual(
      report.map(({ name }) => name),
      ['port', 'relay', 'page'],
    );
  });
});

describe('the service', () => {
  const show = (unit: string): string => `systemctl --user show ${unit} `;
  const running =
    'LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=0\n';
  const lines = async (output: string, linger = 'yes'): Promise<Line[]> => {
    const run = playing({ [show(units.relay)]: output, 'loginctl show-user': linger });
    return serviceLines(await systemdState(run, units.relay), run);
  };
  const service = async (output: string): Promise<Line> => find(await lines(output), 'service');

  test('a user without systemd runs the relay in the foreground', async () => {
    const run = playing({});
    const [line] = await serviceLines(await systemdState(run, units.relay), run);
    assertLine(line as Line, 'ok', /not installed.*\.\/run\.sh/);
  });

  test('an agent of launchd is reported as not tested on a Mac', async () => {
    const [stopped] = await serviceLines({ kind: 'launchd', running: false, failed: false }, playing({}));
    assertLine(stopped as Line, 'failure', /not running; .*not tested on a Mac/, /^launchctl kickstart -k /);
  });

  test('a service that is not installed is ok', async () => {
    assertLine(await service('LoadState=not-found\nActiveState=inactive\n'), 'ok', /^not installed/);
  });

  test('a running service starts with the machine only when its user lingers', async () => {
    const report = await lines(running);
    assertLine(find(report, 'service'), 'ok', /is active \(running\)/);
    assertLine(find(report, 'service-boot'), 'ok', /starts with the machine/);
    const boot = find(await lines(running, 'no'), 'service-boot');
    assertLine(boot, 'warning', /while you are logged in/, /^loginctl enable-linger$/);
  });

  test('a failed service is a failure, with its log', async () => {
    const line = await service(
      'LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nUnitFileState=enabled\n',
    );
    assertLine(line, 'failure', /has failed \(exit-code\)/, /^journalctl --user -u claude-relay\.service/);
  });

  test('a stopped and disabled service is two warnings', async () => {
    const report = await lines(
      'LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n',
    );
    const start = /^systemctl --user start claude-relay\.service$/;
    assertLine(find(report, 'service'), 'warning', /inactive/, start);
    assertLine(find(report, 'service-boot'), 'warning', /does not start/, /systemctl --user enable/);
  });

  test('a service that keeps failing is a failure, and one with many restarts a warning', async () => {
    const line = await service(
      'LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\n',
    );
    assertLine(line, 'failure', /keeps failing/);
    assertLine(await service(running.replace('NRestarts=0', 'NRestarts=9')), 'warning', /after 9 restarts/);
  });

  describe('the tunnel', () => {
    const absent = 'LoadState=not-found';
    const tunnel = (
      outputs: Readonly<Record<string, string>>,
      env: Record<string, string> = {},
    ): Promise<Line[]> => tunnelLines(configOf(env), playing(outputs));
    const ngrok = (output: string): Record<string, string> => ({ [show(units.ngrok)]: output });
    const NGROK_DOMAIN = 'relay.example';

    test('no tunnel is ok', async () => {
      assertLine(find(await tunnel({}), 'tunnel'), 'ok', /^none$/);
    });

    test('a public name brings warnings about limits and callers', async () => {
      const report = await tunnel({}, { NGROK_DOMAIN, PER_KEY_RPM: '0' });
      assertLine(find(report, 'tunnel-limits'), 'warning', /PER_KEY_RPM/);
      assertLine(find(report, 'tunnel-callers'), 'warning', /looks like this machine/, /=loopback/);
      const careful = await tunnel({}, { NGROK_DOMAIN, TRUST_PROXY: 'loopback' });
      assert.deepEqual(
        careful.map(({ name }) => name),
        ['tunnel'],
      );
    });

    test('NGROK_DOMAIN without the service is ok, and names the command that installs it', async () => {
      const report = await tunnel(ngrok(absent), { NGROK_DOMAIN });
      assertLine(
        find(report, 'tunnel'),
        'ok',
        /claude-relay-ngrok\.service is not installed: .* expose ngrok/,
      );
    });

    test('the ngrok service is reported with its state', async () => {
      assertLine(
        find(await tunnel(ngrok(running), { NGROK_DOMAIN }), 'tunnel'),
        'ok',
        /ngrok\.service is active/,
      );
      assertLine(find(await tunnel(ngrok(running)), 'tunnel'), 'warning', /NGROK_DOMAIN is not set/);
      const failed = 'LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n';
      const line = find(await tunnel(ngrok(failed), { NGROK_DOMAIN }), 'tunnel');
      assertLine(line, 'failure', /has failed/, /journalctl/);
    });

    test('the cloudflared service is reported with its state', async () => {
      const report = await tunnel({ [show(units.cloudflared)]: running });
      assertLine(find(report, 'tunnel'), 'ok', /claude-relay-cloudflared\.service is active/);
    });

    test('Tailscale Funnel is reported only when it forwards to this relay', async () => {
      const web = (port: number, funnel: boolean): string =>
        JSON.stringify({
          Web: { 'box.ts.net:443': { Handlers: { '/': { Proxy: `http://127.0.0.1:${port}` } } } },
          ...(funnel ? { AllowFunnel: { 'box.ts.net:443': true } } : {}),
        });
      const of = async (output: string): Promise<Line> =>
        find(await tunnel({ 'tailscale serve status': output }, { PORT: '8797' }), 'tunnel');
      // To the tailnet only, to another program, and nothing.
      for (const other of [web(8797, false), web(8798, true), 'null', '{}', '']) {
        assertLine(await of(other), 'ok', /^none/);
      }
      assertLine(await of(web(8797, true)), 'ok', /Funnel forwards https:\/\/box\.ts\.net to the relay/);
    });
  });
});

test('a signal ends every program that the doctor runs, and keeps it from starting more', async () => {
  const started = join(scratch, 'started');
  for (const name of ['claude', 'systemctl', 'tailscale']) {
    writeFileSync(join(scratch, name), `#!/bin/sh\necho $0 $$ >> ${started}\nexec sleep 600\n`, {
      mode: 0o755,
    });
  }
  const config = configOf({ PATH: `${scratch}:${process.env['PATH'] ?? ''}` });
  const stop = new AbortController();
  const report: Line[] = [];
  for await (const line of doctorLines(
    { config: () => config, configFile: () => file },
    { signal: stop.signal },
  )) {
    report.push(line);
    if (line.name === 'claude') {
      void eventually('the doctor runs a program', () => existsSync(started)).then(() => stop.abort());
    }
  }
  assert.match(find(report, 'lock/starts').detail, /stopped before it answered/);
  assert.equal(report.at(-1)?.name, 'tunnel');
  const living = new Set(processTable().flatMap(({ pid, state }) => (state === 'Z' ? [] : [pid])));
  for (const program of readFileSync(started, 'utf8').trim().split('\n')) {
    const [path = '', pid = ''] = program.split(' ');
    assert.deepEqual([path, living.has(Number(pid))], [join(scratch, 'claude'), false]);
  }
});
