/** `claude-relay install` on a played systemd that really starts the relay, and `install.sh`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Command } from 'commander';
import { CliMissing } from '../src/claude/cli.ts';
import { CommandError } from '../src/command-error.ts';
import { addInstallCommand } from '../src/commands/install.ts';
import { createProgram } from '../src/commands/program.ts';
import { ConfigError } from '../src/config.ts';
import { needs } from './support/needs.ts';
import { root } from './support/relay.ts';
import { serviceUser, type Said, type ServiceUser } from './support/service.ts';

/** The files in a directory and below, without those that the CLI keeps and those that SQLite has while it is open. */
function tree(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^\.claude|\.db-(wal|shm)$/.test(name) && statSync(join(path, name)).isFile())
    .toSorted();
}

/** Runs the command in this process. */
async function install(
  user: ServiceUser,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Said> {
  let [stdout, stderr] = ['', ''];
  const terminal = {
    out: (text: string) => void (stdout += text),
    err: (text: string) => void (stderr += text),

    gone: () => false,
  };
  const program = new Command().exitOverride();
  addInstallCommand(program, {
    configFile: () => user.configFile,
    env: { ...user.env, ...env },
    terminal,
  });
  try {
    await program.parseAsync(['install', ...args], { from: 'user' });
    return { status: 0, stdout, stderr };
  } catch (error) {
    const isExpected = [CommandError, ConfigError, CliMissing].some((kind) => error instanceof kind);
    if (!isExpected) throw error;
    return { status: 1, stdout, stderr: stderr + (error as Error).message };
  }
}

describe('the service of a user', () => {
  let user: ServiceUser;
  let key: string;
  before(async () => {
    user = await serviceUser();
  });
  after(() => user.close());

  const complete = async (): Promise<number> => {
    const response = await fetch(`${user.url}/v1/complete`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Say hello.' }),
    });
    return response.status;
  };
  const used = async (): Promise<unknown> => {
    const response = await fetch(`${user.url}/v1/usage`, { headers: { authorization: `Bearer ${key}` } });
    const { limits } = (await response.json()) as { limits: Record<string, { used: number }> };
    return [limits['key_daily']?.used, limits['global_daily']?.used];
  };

  test('is ready after the install, which reports its steps and how to uninstall it', async () => {
    const { status, stdout, stderr } = await user.run('bin/claude-relay', [
      '--config',
      user.configFile,
      'install',
    ]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '');
    for (const part of [
      `Wrote ${user.unit()}`,
      'lingering on',
      user.url,
      'key create',
      'Uninstall:',
      '--uninstall',
      'journalctl',
    ]) {
      assert.ok(stderr.includes(part), part);
    }
    const system = user.calls().filter((call) => /^systemctl (?!--user|--version)/.test(call));
    assert.deepEqual(system, [], 'no call to the system manager');
    assert.equal(statSync(user.dataDir).mode & 0o777, 0o700);
    key = (
      await user.run('bin/claude-relay', ['--config', user.configFile, 'key', 'create', 'app'])
    ).stdout.trim();
    assert.equal(await complete(), 200);
  });

  test('keeps keys, counts, port and settings over an upgrade with a changed setting', async () => {
    const settings = `${readFileSync(user.configFile, 'utf8')}DRAIN_TIMEOUT=77\n`;
    writeFileSync(user.configFile, settings);
    const before = await used();
    const pid = readFileSync(join(user.state, 'claude-relay.service.pid'), 'utf8');
    const { status, stderr } = await install(user);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^Wrote .*\nStarted/);
    assert.doesNotMatch(stderr, /lingering/);
    assert.match(readFileSync(user.unit(), 'utf8'), /^TimeoutStopSec=107$/m);
    assert.equal(readFileSync(user.configFile, 'utf8'), settings);
    assert.notEqual(readFileSync(join(user.state, 'claude-relay.service.pid'), 'utf8'), pid);
    assert.deepEqual(await used(), before);
    assert.equal(await complete(), 200);
    assert.notDeepEqual(await used(), before, 'the control: a request changes the counts');
  });

  test('runs on when an upgrade finds invalid settings', async () => {
    const settings = readFileSync(user.configFile, 'utf8');
    const calls = user.calls().length;
    writeFileSync(user.configFile, `${settings}LOG_LEVEL=loud\n`);
    const { status, stderr } = await install(user);
    writeFileSync(user.configFile, settings);
    assert.equal(status, 1);
    assert.match(stderr, /LOG_LEVEL must be/);
    assert.equal(user.calls().length, calls);
    assert.equal(await complete(), 200);
  });

  test('is gone after --uninstall, with its files and the lingering; keys and counts stay', async () => {
    const settings = user.unit('../../claude-relay/cloudflared.yml');
    mkdirSync(join(settings, '..'), { recursive: true });
    writeFileSync(settings, '{}');
    writeFileSync(user.unit('claude-relay-cloudflared.service'), '');
    const { status, stderr } = await install(user, ['--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Keys and usage stay in/);
    assert.ok(!existsSync(join(settings, '..')));
    await assert.rejects(fetch(`${user.url}/health`));
    assert.deepEqual(tree(user.home), ['.local/share/claude-relay/relay.db']);
    assert.ok(!existsSync(join(user.state, 'linger')));
    assert.ok(existsSync(user.configFile));
  });

  test('leaves only the settings after --uninstall --purge', async () => {
    for (const name of ['relay.db.schema-3', 'relay.db.schema-4.new', 'relay.db.schema-4.new-journal']) {
      writeFileSync(join(user.dataDir, name), '');
    }
    const { status, stderr } = await install(user, ['--uninstall', '--purge']);
    assert.equal(status, 0, stderr);
    assert.deepEqual(tree(user.home), []);
    const again = await install(user, ['--uninstall']);
    assert.equal(again.status, 0);
    assert.match(again.stderr, /The relay is not installed as a service/);
  });
});

/** A user with a unit and a database, as an install leaves them. */
async function installedUser(): Promise<ServiceUser> {
  const user = await serviceUser();
  mkdirSync(join(user.unit(), '..'), { recursive: true });
  writeFileSync(user.unit(), '[X-ClaudeRelay]\nLinger=as-it-was\n');
  mkdirSync(user.dataDir, { recursive: true });
  writeFileSync(join(user.dataDir, 'relay.db'), '');
  return user;
}

test('an uninstall does not require valid settings, and a purge does', async () => {
  const user = await installedUser();
  try {
    writeFileSync(user.configFile, 'PORT=none\n');
    const purge = await install(user, ['--uninstall', '--purge']);
    assert.equal(purge.status, 1);
    assert.match(purge.stderr, /PORT must be/);
    assert.ok(existsSync(user.unit()));
    const { status, stderr } = await install(user, ['--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Keys and usage stay where they are/);
    assert.deepEqual(tree(user.home), ['.local/share/claude-relay/relay.db']);
  } finally {
    await user.close();
  }
});

test('an uninstall without a service manager warns that the service may still run', async () => {
  const user = await installedUser();
  try {
    user.let('no-bus');
    const { status, stderr } = await install(user, ['--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Warning: claude-relay\.service could not be stopped \(Failed to connect to bus/);
    assert.ok(!existsSync(user.unit()));
  } finally {
    await user.close();
  }
});

test('an uninstall leaves lingering on that was on before the install', async () => {
  const user = await installedUser();
  try {
    user.let('linger');
    assert.equal((await install(user, ['--uninstall'])).status, 0);
    assert.ok(existsSync(join(user.state, 'linger')));
  } finally {
    await user.close();
  }
});

describe('a failed install leaves no files and no lingering', () => {
  type Case = [
    name: string,
    facts: string[],
    change: { settings?: Record<string, string>; env?: Record<string, string>; args?: string[] },
    message: RegExp,
  ];
  const cases: Case[] = [
    [
      'no bus and no logind',
      ['no-bus', 'no-logind'],
      {},
      /no systemd to run a service \(.*Failed to connect to bus.*\.\/run\.sh/,
    ],
    [
      'no systemctl',
      [],
      { env: { PATH: '/nowhere' } },
      /no systemd to run a service \(there is no systemctl\).*\.\/run\.sh/,
    ],
    [
      'no Claude Code',
      [],
      { settings: { CLAUDE_BIN: '/nowhere/claude' } },
      /CLAUDE_BIN is \/nowhere\/claude/,
    ],
    ['no login', [], { settings: { ANTHROPIC_API_KEY: '' } }, /installed but not logged in/],
    [
      'a login in this shell only',
      [],
      { settings: { ANTHROPIC_API_KEY: '' }, env: { ANTHROPIC_API_KEY: 'sk-ant-stub' } },
      /installed but not logged in.*\nANTHROPIC_API_KEY is set in this shell only.*Set it in config\.env/s,
    ],
    ['a port that changes', [], { settings: { PORT: '0' } }, /PORT is 0/],
    ['--purge without --uninstall', [], { args: ['--purge'] }, /--purge requires --uninstall/],
  ];
  for (const [name, facts, { settings = {}, env = {}, args = [] }, message] of cases) {
    test(`an install with ${name} fails`, async () => {
      const user = await serviceUser(settings);
      try {
        for (const fact of facts) user.let(fact);
        const { status, stderr } = await install(user, args, env);
        assert.equal(status, 1, stderr);
        assert.match(stderr, message);
        assert.deepEqual(tree(user.home), []);
        assert.ok(!existsSync(join(user.state, 'linger')));
      } finally {
        await user.close();
      }
    });
  }

  test('an install under sudo fails', { skip: needs('root') }, async () => {
    const user = await serviceUser();
    try {
      assert.match((await install(user, [], { SUDO_USER: 'me' })).stderr, /Run this without sudo/);
    } finally {
      await user.close();
    }
  });
});

test('an install with --print shows the unit and changes nothing', async () => {
  const user = await serviceUser();
  try {
    const { status, stdout } = await install(user, ['--print']);
    assert.equal(status, 0);
    assert.match(stdout, /^ExecStart=\/bin\/sh ".*\/bin\/claude-relay" --config ".*config\.env" serve$/m);
    assert.deepEqual(tree(user.home), []);
    assert.ok(!existsSync(join(user.state, 'linger')));
    user.let('no-bus');
    assert.equal((await install(user, ['--print'])).status, 1);
  } finally {
    await user.close();
  }
});

describe('install.sh', () => {
  /** A checkout with only the shell scripts, and a fake npm and Node. */
  function checkout(
    node: string,
    npm: string,
  ): { run: (env?: Record<string, string>) => ReturnType<typeof spawnSync>; dir: string } {
    const dir = mkdtempSync(join(tmpdir(), 'install-sh-'));
    const program = (name: string, script: string): void => {
      mkdirSync(join(dir, name, '..'), { recursive: true });
      writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(dir, name), 0o755);
    };
    for (const file of ['install.sh', 'bin/packages', 'package.json', 'package-lock.json', '.npmrc']) {
      cpSync(join(root, file), join(dir, file));
    }
    program('bin/claude-relay', 'echo "claude-relay $*"');
    const [major, minor] = node.split('.');
    program(
      'path/node',
      `case $1 in -v) echo v${node} ;; -e) test ${Number(major) * 100 + Number(minor)} -ge $3 ;; esac`,
    );
    program('path/npm', `echo "npm $*"; ${npm}`);
    const env = { PATH: `${dir}/path:/usr/bin:/bin` };
    return {
      dir,
      run: (more = {}) =>
        spawnSync(join(dir, 'install.sh'), ['--wait', '9'], { encoding: 'utf8', env: { ...env, ...more } }),
    };
  }
  const installs =
    'mkdir -p node_modules/hono node_modules/.bin; touch node_modules/.bin/node node_modules/.package-lock.json';

  for (const [node, packages] of [
    ['24.15.0', '--omit=dev'],
    ['24.14.1', '--include=dev'],
    ['20.19.0', '--include=dev'],
  ] as const) {
    test(`install.sh on Node ${node} runs npm ci ${packages} once`, () => {
      const { dir, run } = checkout(node, installs);
      const first = run();
      assert.equal(first.stdout, 'claude-relay install --wait 9\n');
      assert.match(String(first.stderr), new RegExp(`npm ci .*${packages}`));
      assert.ok(existsSync(join(dir, 'node_modules/.package-lock.json')));
      const again = run();
      assert.deepEqual([again.stdout, again.stderr], ['claude-relay install --wait 9\n', '']);
      assert.ok(!existsSync(join(dir, '.packages.new')));
      rmSync(dir, { recursive: true });
    });
  }

  test('install.sh keeps the old packages when npm ci fails', () => {
    const { dir, run } = checkout('24.15.0', 'rm -rf node_modules; exit 1');
    mkdirSync(join(dir, 'node_modules/hono'), { recursive: true });
    writeFileSync(join(dir, 'node_modules/.package-lock.json'), '');
    utimesSync(join(dir, 'node_modules/.package-lock.json'), 1, 1);
    const { status, stdout, stderr } = run();
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(String(stderr), /npm ci failed/);
    assert.ok(existsSync(join(dir, 'node_modules/hono')));
    assert.ok(!existsSync(join(dir, '.packages.new')));
    rmSync(dir, { recursive: true });
  });

  test('install.sh requires npm only when packages are missing', () => {
    const { dir, run } = checkout('24.15.0', installs);
    rmSync(join(dir, 'path/npm'));
    const env = { PATH: `${dir}/path:${join(dir, 'bare')}` };
    mkdirSync(join(dir, 'bare'));
    for (const name of ['sh', 'dirname', 'readlink', 'cat']) {
      symlinkSync(existsSync(`/bin/${name}`) ? `/bin/${name}` : `/usr/bin/${name}`, join(dir, 'bare', name));
    }
    assert.match(String(run(env).stderr), /^claude-relay: there is no npm on PATH/);
    mkdirSync(join(dir, 'node_modules/hono'), { recursive: true });
    writeFileSync(join(dir, 'node_modules/.package-lock.json'), '');
    assert.equal(run(env).stdout, 'claude-relay install --wait 9\n');
    rmSync(dir, { recursive: true });
  });

  test('install.sh --help installs nothing and names the options of the command', async () => {
    const { dir } = checkout('24.15.0', installs);
    const help = spawnSync(join(dir, 'install.sh'), ['--help'], { encoding: 'utf8' }).stdout;
    assert.ok(!existsSync(join(dir, 'node_modules')));
    rmSync(dir, { recursive: true });
    const { commands } = createProgram();
    const options = commands.find((command) => command.name() === 'install')?.options ?? [];
    assert.ok(options.length > 3);
    assert.deepEqual(
      [...new Set(help.match(/--[a-z]+/g))].toSorted(),
      options.map(({ long }) => String(long)).toSorted(),
    );
  });

  test('install.sh refuses an old Node and sudo before it installs packages', () => {
    const { dir, run } = checkout('18.19.0', installs);
    assert.match(
      String(run().stderr),
      /^claude-relay: Node\.js 20 or newer is required; this machine has v18\.19\.0/,
    );
    assert.match(String(run({ SUDO_USER: 'me' }).stderr), /^claude-relay: run this without sudo/);
    assert.ok(!existsSync(join(dir, 'node_modules')));
    rmSync(dir, { recursive: true });
  });
});
