/** `./install.sh`: installed, upgraded and taken away for real, against a service manager that is played and really starts the relay. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
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
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { install } from '../src/commands/install.ts';
import { createProgram } from '../src/commands/program.ts';
import { root } from './support/relay.ts';
import { serviceUser, type ServiceUser } from './support/service.ts';

/** What is in a directory, with everything below, but not what the CLI itself keeps, nor what SQLite has while it is open. */
function tree(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^\.claude|\.db-(wal|shm)$/.test(name) && statSync(join(path, name)).isFile())
    .toSorted();
}

const at = (user: ServiceUser): string[] => ['--config', user.configFile, 'install'];

describe('installed, upgraded, taken away', () => {
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
  /** Without what Node compiled, of which there is more each time. */
  const made = (): string[] => tree(user.home).filter((name) => !name.startsWith('.cache/'));
  const used = async (): Promise<unknown> => {
    const response = await fetch(`${user.url}/v1/usage`, { headers: { authorization: `Bearer ${key}` } });
    const { limits } = (await response.json()) as { limits: Record<string, { used: number }> };
    return [limits['key_daily']?.used, limits['global_daily']?.used];
  };

  test('a first install waits until the relay is ready, and says what it did and how to undo it', async () => {
    const { status, stdout, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '');
    const ready = (await (await fetch(`${user.url}/ready`)).json()) as { ok: boolean };
    assert.equal(ready.ok, true);
    for (const part of [
      `Wrote ${user.unit()}`,
      'lingering on',
      user.url,
      'genkey',
      'Undo:',
      '--uninstall',
      'journalctl',
    ]) {
      assert.ok(stderr.includes(part), part);
    }
    const calls = user.calls();
    const order = [
      'loginctl enable-linger',
      'daemon-reload',
      'enable claude-relay.service',
      'restart --no-block',
    ];
    const places = order.map((part) => calls.findIndex((call) => call.includes(part)));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.ok(!places.includes(-1), calls.join('\n'));
    assert.ok(
      calls.every((call) => !call.startsWith('systemctl') || /--user|--version/.test(call)),
      'no system manager',
    );
    assert.equal(statSync(user.dataDir).mode & 0o777, 0o700);
    key = (
      await user.run('bin/claude-relay', ['--config', user.configFile, 'key', 'create', 'app'])
    ).stdout.trim();
    assert.equal(await complete(), 200);
  });

  test('a second one changes nothing but starts the new code: keys, counts, port and settings stay', async () => {
    const [unit, settings, before] = [
      readFileSync(user.unit(), 'utf8'),
      readFileSync(user.configFile, 'utf8'),
      await used(),
    ];
    const pid = readFileSync(join(user.state, 'claude-relay.service.pid'), 'utf8');
    const files = made();
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^Kept .*\nRestarted/);
    assert.doesNotMatch(stderr, /lingering/);
    assert.equal(readFileSync(user.unit(), 'utf8'), unit);
    assert.equal(readFileSync(user.configFile, 'utf8'), settings);
    assert.notEqual(readFileSync(join(user.state, 'claude-relay.service.pid'), 'utf8'), pid);
    assert.deepEqual(await used(), before);
    assert.equal(await complete(), 200);
    assert.notDeepEqual(await used(), before, 'the control: a request does change it');
    assert.deepEqual(made(), files);
  });

  test('a change of the settings reaches the unit', async () => {
    writeFileSync(
      user.configFile,
      `${readFileSync(user.configFile, 'utf8')}DRAIN_TIMEOUT=77\nGLOBAL_CONCURRENCY=5\n`,
    );
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^Updated /);
    const unit = readFileSync(user.unit(), 'utf8');
    assert.match(unit, /^TimeoutStopSec=107$/m);
    assert.match(
      unit,
      /^Linger=enabled-by-install$/m,
      'an upgrade remembers what the first install turned on',
    );
  });

  test('settings that are wrong stop the upgrade before anything is touched', async () => {
    const settings = readFileSync(user.configFile, 'utf8');
    const calls = user.calls().length;
    writeFileSync(user.configFile, `${settings}LOG_LEVEL=loud\n`);
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    writeFileSync(user.configFile, settings);
    assert.equal(status, 1);
    assert.match(stderr, /LOG_LEVEL must be/);
    assert.equal(user.calls().length, calls);
    assert.equal(await complete(), 200);
  });

  test('taken away: the service, its files and the lingering; keys and counts stay', async () => {
    const settings = user.unit('../../claude-relay/cloudflared.yml');
    mkdirSync(join(settings, '..'), { recursive: true });
    writeFileSync(settings, '{}');
    writeFileSync(user.unit('claude-relay-cloudflared.service'), '');
    const { status, stderr } = await user.run('bin/claude-relay', [...at(user), '--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Keys and usage stay in/);
    assert.ok(!existsSync(join(settings, '..')));
    await assert.rejects(fetch(`${user.url}/health`));
    assert.deepEqual(tree(user.home), ['.local/share/claude-relay/relay.db']);
    assert.ok(!existsSync(join(user.state, 'linger')));
    assert.ok(existsSync(user.configFile));
  });

  test('installed again, with the old key', async () => {
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
    assert.equal(await complete(), 200);
  });

  test('taken away with --purge: nothing is left but the settings', async () => {
    const { status, stderr } = await user.run('bin/claude-relay', [...at(user), '--uninstall', '--purge']);
    assert.equal(status, 0, stderr);
    assert.deepEqual(tree(user.home), []);
    const again = await user.run('bin/claude-relay', [...at(user), '--uninstall']);
    assert.equal(again.status, 0);
    assert.match(again.stderr, /There is no service of the relay here/);
  });
});

test('taken away although the settings are wrong; but what they name is removed only when they are right', async () => {
  const user = await serviceUser();
  try {
    assert.equal((await user.run('bin/claude-relay', at(user))).status, 0);
    const right = readFileSync(user.configFile, 'utf8');
    writeFileSync(user.configFile, `${right}PORT=none\n`);
    const purge = await user.run('bin/claude-relay', [...at(user), '--uninstall', '--purge']);
    assert.equal(purge.status, 1);
    assert.match(purge.stderr, /PORT must be/);
    assert.ok(existsSync(user.unit()));
    const { status, stderr } = await user.run('bin/claude-relay', [...at(user), '--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Keys and usage stay where they are/);
    assert.deepEqual(tree(user.home), ['.local/share/claude-relay/relay.db']);
    await assert.rejects(fetch(`${user.url}/health`));
  } finally {
    await user.close();
  }
});

test('taken away where no manager answers: it does not say that the service has stopped', async () => {
  const user = await serviceUser();
  try {
    assert.equal((await user.run('bin/claude-relay', at(user))).status, 0);
    user.let('no-bus');
    const { status, stderr } = await user.run('bin/claude-relay', [...at(user), '--uninstall']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Warning: claude-relay\.service could not be stopped \(Failed to connect to bus/);
    assert.ok(!existsSync(user.unit()));
  } finally {
    await user.close();
  }
});

test('lingering that was on before stays on', async () => {
  const user = await serviceUser();
  try {
    user.let('linger');
    assert.equal((await user.run('bin/claude-relay', at(user))).status, 0);
    assert.equal((await user.run('bin/claude-relay', [...at(user), '--uninstall'])).status, 0);
    assert.ok(existsSync(join(user.state, 'linger')));
    assert.ok(!user.calls().some((call) => /(en|dis)able-linger/.test(call)));
  } finally {
    await user.close();
  }
});

test('without namespaces, and where nobody may linger: it says so and goes on', async () => {
  const user = await serviceUser();
  try {
    user.let('no-namespaces');
    user.let('no-linger');
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Warning: lingering is off \(Could not enable linger: Access denied\)/);
    assert.match(stderr, /Warning: this kernel gives an ordinary user no namespaces/);
    assert.doesNotMatch(readFileSync(user.unit(), 'utf8'), /^(PrivateUsers|ProtectSystem|ReadWritePaths)/m);
    assert.match(readFileSync(user.unit(), 'utf8'), /^SystemCallFilter/m);
  } finally {
    await user.close();
  }
});

describe('what is in the way is said, and nothing is left behind', () => {
  type Case = [
    name: string,
    facts: string[],
    change: { settings?: Record<string, string>; env?: Record<string, string | undefined>; args?: string[] },
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
    ['no CLI', [], { settings: { CLAUDE_BIN: '/nowhere/claude' } }, /CLAUDE_BIN is \/nowhere\/claude/],
    ['not logged in', [], { settings: { ANTHROPIC_API_KEY: '' } }, /installed but not logged in/],
    [
      'logged in by this shell only',
      [],
      { settings: { ANTHROPIC_API_KEY: '' }, env: { ANTHROPIC_API_KEY: 'sk-ant-stub' } },
      /logged in by a variable of this shell.*\nANTHROPIC_API_KEY is set in this shell only.*put it into config\.env/s,
    ],
    ['a port that changes', [], { settings: { PORT: '0' } }, /PORT is 0/],
    ['sudo', [], { env: { SUDO_USER: 'me' } }, /Run this without sudo/],
    ['--purge alone', [], { args: ['--purge'] }, /--purge goes with --uninstall/],
  ];
  for (const [name, facts, { settings = {}, env = {}, args = [] }, message] of cases) {
    test(name, async () => {
      const user = await serviceUser(settings);
      try {
        for (const fact of facts) user.let(fact);
        // Without the shell's PATH the front door finds no Node; the program itself is what is asked here.
        const { status, stderr } =
          env['PATH'] === undefined
            ? await user.run('bin/claude-relay', [...at(user), ...args], env)
            : await user.run(
                'node_modules/.bin/node',
                [join(root, 'src/main.ts'), ...at(user), ...args],
                env,
              );
        assert.equal(status, 1, stderr);
        assert.match(stderr, message);
        assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace');
        assert.deepEqual(tree(user.home), []);
        assert.ok(!existsSync(join(user.state, 'linger')));
      } finally {
        await user.close();
      }
    });
  }

  test('a relay that is not the service answers at its port: that is not taken for ready', async () => {
    const [other, user] = [await serviceUser(), await serviceUser()];
    try {
      const first = await other.run('bin/claude-relay', at(other));
      assert.equal(first.status, 0, first.stderr);
      writeFileSync(
        user.configFile,
        readFileSync(user.configFile, 'utf8').replace(/PORT=\d+/, `PORT=${other.port}`),
      );
      const { status, stderr } = await user.run('bin/claude-relay', at(user));
      assert.equal(status, 1, stderr + readFileSync(join(user.state, 'calls'), 'utf8'));
      assert.match(stderr, /The service does not start\. It says:[^]*Port \d+ is in use/);
    } finally {
      await Promise.all([other.close(), user.close()]);
    }
  });
});

test('the first lingering brings the user’s manager up', async () => {
  const user = await serviceUser();
  try {
    user.let('no-bus');
    const { status, stderr } = await user.run('bin/claude-relay', at(user));
    assert.equal(status, 0, stderr);
  } finally {
    await user.close();
  }
});

test('settings of this shell only: the service does not have them, and the install says so', async () => {
  const user = await serviceUser();
  try {
    const { status, stderr } = await user.run('bin/claude-relay', at(user), {
      PER_KEY_RPM: '7',
      AWS_REGION: 'x',
    });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Note: PER_KEY_RPM is set in this shell only\. .* put it into config\.env/);
    assert.match(stderr, /Note: AWS_REGION is set in this shell only\. .* docs\/operations\.md/);
  } finally {
    await user.close();
  }
});

describe('install.sh: the packages, then the command', () => {
  /** A checkout with the shell scripts only, and an npm and a Node that note what they are asked. */
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
    program('path/node', `case $1 in -v) echo v${node} ;; *) echo ${node.split('.')[0]} ;; esac`);
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
    ['24.1.0', '--omit=dev'],
    ['20.19.0', '--include=dev'],
  ] as const) {
    test(`Node ${node}: npm ci ${packages}, once`, () => {
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

  test('an upgrade that cannot fetch its packages leaves the old ones, and the service, alone', () => {
    const { dir, run } = checkout('24.1.0', 'rm -rf node_modules; exit 1');
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

  test('where nothing is to be fetched, no npm is needed; where something is, a sentence says so', () => {
    const { dir, run } = checkout('24.1.0', installs);
    rmSync(join(dir, 'path/npm'));
    const env = { PATH: `${dir}/path:${join(dir, 'bare')}` };
    mkdirSync(join(dir, 'bare'));
    for (const name of ['sh', 'dirname', 'readlink', 'cat']) {
      symlinkSync(existsSync(`/bin/${name}`) ? `/bin/${name}` : `/usr/bin/${name}`, join(dir, 'bare', name));
    }
    assert.match(String(run(env).stderr), /^claude-relay: .* there is no npm on PATH/);
    mkdirSync(join(dir, 'node_modules/hono'), { recursive: true });
    writeFileSync(join(dir, 'node_modules/.package-lock.json'), '');
    assert.equal(run(env).stdout, 'claude-relay install --wait 9\n');
    rmSync(dir, { recursive: true });
  });

  test('its help fetches nothing, and names the options of the command', async () => {
    const { dir } = checkout('24.1.0', installs);
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

  test('an old Node, and sudo, are refused before anything is fetched', () => {
    const { dir, run } = checkout('18.19.0', installs);
    assert.match(
      String(run().stderr),
      /^claude-relay: Node\.js 20 or newer is needed; this machine has v18\.19\.0/,
    );
    assert.match(String(run({ SUDO_USER: 'me' }).stderr), /^claude-relay: Run this without sudo/);
    assert.ok(!existsSync(join(dir, 'node_modules')));
    rmSync(dir, { recursive: true });
  });
});

test('the help of the command, with examples', async () => {
  const user = await serviceUser();
  try {
    const help = await user.run('bin/claude-relay', [...at(user), '--help']);
    assert.equal(help.status, 0, help.stderr);
    for (const part of ['--uninstall', '--purge', '--print', 'Examples:'])
      assert.ok(help.stdout.includes(part), part);
  } finally {
    await user.close();
  }
});

test('--print shows the unit and changes nothing', async () => {
  const user = await serviceUser();
  try {
    const { status, stdout } = await user.run('bin/claude-relay', [...at(user), '--print']);
    assert.equal(status, 0);
    assert.match(stdout, /^ExecStart=\/bin\/sh ".*\/bin\/claude-relay" --config ".*config\.env" serve$/m);
    assert.deepEqual(tree(user.home), []);
    assert.ok(!existsSync(join(user.state, 'linger')));
  } finally {
    await user.close();
  }
});

test('macOS: an agent by the same command, upgraded and taken away', async () => {
  const user = await serviceUser();
  const said: string[] = [];
  const terminal = {
    out: (text: string) => void said.push(text),
    err: (text: string) => void said.push(text),
    colours: false,
    gone: () => false,
  };
  const context = { file: () => user.configFile, terminal, platform: 'darwin' as const };
  const agent = join(user.home, 'Library/LaunchAgents/claude-relay.plist');
  const saved = { ...process.env };
  try {
    // The relay of the agent finds the stand-in model through its settings' environment only.
    Object.assign(process.env, {
      HOME: user.home,
      PATH: `${join(user.state, '../bin')}:${saved['PATH']}`,
      TMPDIR: join(user.state, '..'),
    });
    await install({ wait: 60 }, context);
    assert.equal(((await (await fetch(`${user.url}/ready`)).json()) as { ok: boolean }).ok, true);
    assert.match(said.join(''), /Wrote .*claude-relay\.plist[^]*tail -f ~\/Library\/Logs\/claude-relay\.log/);
    said.length = 0;
    await install({ wait: 60 }, context);
    assert.match(said.join(''), /Kept .*claude-relay\.plist\nRestarted/);
    await install({ wait: 60, uninstall: true }, context);
    const other = createServer((_request, response) => response.end()).listen(user.port, '127.0.0.1');
    await once(other, 'listening');
    await assert.rejects(install({ wait: 60 }, context), /Port \d+ is in use/);
    other.close();
    await once(other, 'close');
    await install({ wait: 60, uninstall: true, purge: true }, context);
    await assert.rejects(fetch(`${user.url}/health`));
    assert.ok(!existsSync(agent));
    assert.deepEqual(tree(user.home), []);
  } finally {
    for (const name of ['HOME', 'PATH', 'TMPDIR']) process.env[name] = saved[name];
    await user.close();
  }
});
