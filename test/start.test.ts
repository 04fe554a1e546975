/** The start of the relay: wrong settings, a missing CLI or login, and the address that it is bound to. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clis, expireKey, mintKey, newest, root, startTestRelay } from './support/relay.ts';

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'start-test-'));
  mkdirSync(join(scratch, 'home'));
});
after(() => rmSync(scratch, { recursive: true }));

type Start = { env?: Record<string, string | undefined>; file?: string };

/** Starts a relay that must not come up; returns its stderr. */
function refusedStart({ env, file = '' }: Start): string {
  writeFileSync(join(scratch, 'config.env'), file);
  const { status, stdout, stderr } = spawnSync(
    join(root, 'bin/claude-relay'),
    ['--config', join(scratch, 'config.env'), 'serve'],
    {
      encoding: 'utf8',
      timeout: 60_000,
      env: {
        HOME: join(scratch, 'home'),
        PATH: process.env['PATH'],
        TMPDIR: scratch,
        DATA_DIR: join(scratch, 'data'),
        CLAUDE_BIN: newest,
        PORT: '0',
        ANTHROPIC_API_KEY: 'sk-ant-stub',
        ...env,
      },
    },
  );
  assert.equal(status, 1, stdout + stderr);
  assert.doesNotMatch(stdout, /listening/);
  assert.match(stderr, /^claude-relay: /);
  assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace');
  return stderr;
}

describe('a wrong setting stops the start with its name', () => {
  // The rest of them: src/config.test.ts.
  const cases: [name: string, start: Start, message: RegExp][] = [
    [
      'an unknown name in the file',
      { file: 'GLOBAL_CONCURENCY=2\n' },
      /GLOBAL_CONCURENCY in .*config\.env is not a setting; did you mean GLOBAL_CONCURRENCY\?/,
    ],
    [
      'HOST 0.0.0.0 without ALLOW_REMOTE_BIND',
      { env: { HOST: '0.0.0.0' } },
      /HOST must be a loopback address .* unless ALLOW_REMOTE_BIND=1/,
    ],
    [
      'a line that sets nothing',
      { file: 'PORT=0\nPER_KEY_DAILY: 50\n' },
      /config\.env, line 2: write NAME=value/,
    ],
    [
      'a missing temporary directory',
      { env: { TMPDIR: '/dev/null/none' } },
      /\/dev\/null\/none.* cannot be written .*Set TMPDIR/,
    ],
    ['proxies that are not addresses', { env: { TRUST_PROXY: 'everyone' } }, /TRUST_PROXY/],
  ];
  for (const [name, start, message] of cases) {
    test(`the start refuses ${name}`, () => assert.match(refusedStart(start), message));
  }

  test('all wrong settings are reported at once', () => {
    const said = refusedStart({ env: { PORT: '-1', LOG_LEVEL: 'loud' }, file: 'NO_SUCH=1\n' });
    for (const name of ['PORT', 'LOG_LEVEL', 'NO_SUCH']) assert.match(said, new RegExp(name));
  });
});

test('an address that other machines reach is refused without a valid key', () => {
  const env = { HOST: '192.0.2.1', ALLOW_REMOTE_BIND: '1', DATA_DIR: join(scratch, 'no-key') };
  const noKey =
    /HOST is 192\.0\.2\.1, .* no valid key\. Create one first: bin\/claude-relay key create my-app/;
  assert.match(refusedStart({ env }), noKey);
  mintKey(env.DATA_DIR, 'expired');
  expireKey(env.DATA_DIR, 'expired');
  assert.match(refusedStart({ env }), noKey);
  mintKey(env.DATA_DIR);
  assert.match(refusedStart({ env }), /This machine does not have the address 192\.0\.2\.1\. Change HOST\./);
});

describe('a start without a usable Claude Code', () => {
  test('a start without `claude` on PATH is refused', () => {
    const said = refusedStart({ env: { CLAUDE_BIN: undefined, PATH: '/usr/bin:/bin' } });
    assert.match(said, /not installed: there is no `claude` on PATH\. Install it/);
  });

  test('a CLAUDE_BIN that does not exist is refused', () => {
    const said = refusedStart({ env: { CLAUDE_BIN: join(scratch, 'none') } });
    assert.match(said, /CLAUDE_BIN is .*, which is not an executable program/);
  });

  for (const cli of clis) {
    test(`${cli.version} without a login is refused`, () => {
      const said = refusedStart({ env: { CLAUDE_BIN: cli.path, ANTHROPIC_API_KEY: undefined } });
      assert.match(said, /installed but not logged in\. Run `claude` once and log in/);
    });
  }

  test('a port in use is refused', async () => {
    const relay = await startTestRelay({ proof: false });
    try {
      const { port } = new URL(relay.url);
      assert.match(refusedStart({ env: { PORT: port } }), new RegExp(`Port ${port} is in use`));
    } finally {
      await relay.stop();
    }
  });
});

describe('the bound address', { concurrency: 2 }, () => {
  const cases: [settings: Record<string, string>, address: string][] = [
    [{}, '127.0.0.1'],
    [{ HOST: '127.0.0.2' }, '127.0.0.2'],
    // The control: an address that is not loopback is seen as such.
    [{ HOST: '0.0.0.0', ALLOW_REMOTE_BIND: '1' }, '0.0.0.0'],
  ];
  for (const [settings, address] of cases) {
    test(`HOST ${settings['HOST'] ?? 'by default'} binds ${address}`, async () => {
      // With the proof where it is bound by default. Once the relay is ready, the proof's server is gone.
      const relay = await startTestRelay({ settings, proof: settings['HOST'] === undefined });
      try {
        const { port } = new URL(relay.url);
        const [own, others] = [`${address}:${port}`, listeningAddresses(relay.process.pid ?? 0)];
        assert.ok(others.includes(own));
        // The way out of the CLI's processes is on loopback, whatever HOST is.
        assert.deepEqual(
          others.filter((each) => each !== own).map((each) => each.split(':')[0]),
          ['127.0.0.1'],
        );
      } finally {
        await relay.stop();
      }
    });
  }
});

/** Where a process listens on TCP, from the kernel's own table; an IPv6 address is left in hexadecimal. */
function listeningAddresses(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      // 0A is LISTEN.
      .filter((fields) => fields[3] === '0A' && inodes.has(fields[9] ?? ''))
      .map((fields) => {
        const [address = '', port = ''] = (fields[1] ?? '').split(':');
        const bytes = (address.length === 8 ? (address.match(/../g) ?? []) : []).map((hex) =>
          parseInt(hex, 16),
        );
        return `${bytes.length === 4 ? bytes.toReversed().join('.') : address}:${parseInt(port, 16)}`;
      }),
  );
}
