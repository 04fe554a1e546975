/** The package of npm, as an owner has it after `npm install -g`: made by `npm pack`, with its production dependencies. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cleanClone } from './support/clone.ts';
import { newest, root } from './support/relay.ts';
import { serviceUser, type ServiceUser } from './support/service.ts';

type Packed = { filename: string; files: { path: string; mode: number }[] };
type Manifest = {
  version: string;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  engines: { node: string };
  bin: Record<string, string>;
};

let scratch: string;
let packed: Packed;
let installed: string;
let bin: string;
let user: ServiceUser;
let manifest: Manifest;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'package-test-'));
  const said = execFileSync('npm', ['pack', '--json', '--pack-destination', scratch], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  packed = (JSON.parse(said) as [Packed])[0];
  installed = join(scratch, 'lib/node_modules/claude-relay');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(scratch, packed.filename), '-C', installed, '--strip-components=1']);
  manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
  copyDependencies(installed);
  bin = join(scratch, 'bin');
  mkdirSync(bin);
  symlinkSync(join(installed, manifest.bin['claude-relay'] ?? ''), join(bin, 'claude-relay'));
  user = await serviceUser();
});
after(async () => {
  await user.close();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
});

/** Copied from the checkout, which has the same versions: a test needs no registry. */
function copyDependencies(to: string): void {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const path of listed
    .trim()
    .split('\n')
    .filter((each) => each !== root && each.startsWith(root))) {
    const target = join(to, relative(root, path));
    // One within another comes with it.
    if (!existsSync(target)) cpSync(path, target, { recursive: true });
  }
}

/** Runs a command of the package. `PATH` has a Node and no CLI, unless `env` says otherwise. */
function run(args: readonly string[], env: Record<string, string> = {}) {
  const path = `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`;
  const { status, stdout, stderr } = spawnSync(join(bin, 'claude-relay'), args, {
    encoding: 'utf8',
    cwd: scratch,
    env: { HOME: join(scratch, 'home'), PATH: path, ...env },
  });
  return { status, stdout, stderr };
}

/** Runs a script as the user who has the package on PATH, and a service manager. */
const asUser = (script: string): Promise<string> => user.shell(`export PATH='${bin}':"$PATH"\n${script}`);

describe('the package', () => {
  test('holds the program, its sources and the client, and nothing for developers', () => {
    const paths = packed.files.map(({ path }) => path);
    for (const path of [
      'lib/main.js',
      'lib/main.js.map',
      'src/main.ts',
      'bin/claude-relay',
      'LICENSE',
      'SECURITY.md',
    ]) {
      assert.ok(paths.includes(path), path);
    }
    const places =
      /^(?:bin\/claude-relay|lib\/.*\.js(?:\.map)?|src\/.*|share\/.*|systemd\/.*|clients\/ts\/dist\/.*|config\.env\.example|package\.json|[A-Z]+(?:\.md)?)$/;
    assert.deepEqual(
      paths.filter((path) => !places.test(path) || path.includes('.test.')),
      [],
    );
  });

  test('has each compiled file with its source', () => {
    const compiled = packed.files.filter(({ path }) => path.endsWith('.js') && path.startsWith('lib/'));
    assert.ok(compiled.length > 200);
    for (const { path } of compiled) {
      const { sources } = JSON.parse(readFileSync(join(installed, `${path}.map`), 'utf8')) as {
        sources: string[];
      };
      for (const source of sources) assert.ok(existsSync(join(installed, dirname(path), source)), path);
    }
  });

  test('runs no script when it is installed', () => {
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
      assert.equal(manifest.scripts[name], undefined, name);
    }
  });

  test('has the client as its root', () => {
    const file = join(scratch, 'uses.mjs');
    writeFileSync(file, "import { complete } from 'claude-relay'; console.log(typeof complete);");
    mkdirSync(join(scratch, 'node_modules'), { recursive: true });
    symlinkSync(installed, join(scratch, 'node_modules/claude-relay'));
    assert.equal(execFileSync(process.execPath, [file], { encoding: 'utf8' }), 'function\n');
  });
});

describe('a command of the package', () => {
  test('names the package in its messages', () => {
    const { status, stderr } = run(['key', 'list']);
    assert.deepEqual(
      [status, stderr],
      [0, 'There are no keys. Create one with claude-relay key create <label>.\n'],
    );
    assert.match(
      run(['ask', 'hello', '--url', 'http://127.0.0.1:1']).stderr,
      /Start it with claude-relay serve, or/,
    );
  });

  test('keeps its compiled code in the cache of the user', () => {
    assert.equal(run(['--version']).stdout, `${manifest.version}\n`);
    assert.ok(existsSync(join(scratch, 'home/.cache/claude-relay')));
    assert.equal(existsSync(join(installed, 'node_modules/.cache')), false);
    assert.equal(run(['--version'], { XDG_CACHE_HOME: 'here' }).status, 0);
    assert.equal(existsSync(join(scratch, 'here')), false);
  });

  test('says which Node it requires', () => {
    const old = join(scratch, 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'node'), '#!/bin/sh\ncase $1 in -v) echo v22.23.3 ;; *) exit 1 ;; esac\n', {
      mode: 0o755,
    });
    const { status, stderr } = run(['--version'], { PATH: `${old}:/usr/bin:/bin` });
    assert.equal(status, 1);
    const required =
      /^>=(24\.\d+)\.0$/.exec(manifest.engines.node)?.[1] ?? assert.fail(manifest.engines.node);
    assert.equal(
      stderr,
      `claude-relay: Node.js ${required} or newer is required; this machine has v22.23.3. See https://nodejs.org\n`,
    );
  });

  test('demo names the command that brings a CLI, and brings none itself', () => {
    const { status, stderr } = run(['serve', '--demo', '--once']);
    assert.equal(status, 1);
    assert.match(stderr, /npm install -g @anthropic-ai\/claude-code/);
  });

  test('demo makes a call through the locked and sealed CLI', () => {
    const { status, stderr, stdout } = run(['serve', '--demo', '--once'], { CLAUDE_BIN: newest, PORT: '0' });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /The lock is proved: \d+ checks/);
    assert.match(stderr, /HTTP 200\n\{"ok":true/);
    assert.match(stdout, /"msg":"the lock is proved"/);
  });
});

describe('the service of the package', () => {
  test('takes over the settings and the keys of the service of a checkout', async () => {
    const checkout = join(scratch, 'checkout');
    cleanClone(checkout);
    cpSync(user.configFile, join(checkout, 'config.env'));
    await user.shell(`'${checkout}/bin/claude-relay' install`);
    const key = (await user.shell(`'${checkout}/bin/claude-relay' key create app`)).trim();
    assert.match(await asUser('claude-relay key list'), /app/);

    const settings = join(user.home, '.config/claude-relay/config.env');
    mkdirSync(dirname(settings), { recursive: true });
    writeFileSync(settings, 'PORT=1234\n');
    assert.match(await asUser('claude-relay key list'), /app/);
    const before = readFileSync(user.unit(), 'utf8');
    const refused = await asUser('claude-relay install 2>&1 || echo "status $?"');
    assert.match(refused, /has other settings\. Remove one of these files.*\nstatus 1\n$/);
    assert.equal(readFileSync(user.unit(), 'utf8'), before);
    rmSync(settings);

    const said = await asUser('claude-relay install 2>&1');
    assert.ok(said.includes(`Copied ${join(checkout, 'config.env')} to ${settings}.`), said);
    assert.match(said, /Create a key: {2}KEY=\$\(claude-relay key create my-app\)/);
    assert.match(said, /Update: {8}npm install -g claude-relay@latest && claude-relay install/);
    assert.equal(readFileSync(settings, 'utf8'), readFileSync(user.configFile, 'utf8'));
    assert.equal(statSync(settings).mode & 0o777, 0o600);
    const unit = readFileSync(user.unit(), 'utf8');
    assert.ok(unit.includes(`"${installed}/bin/claude-relay" --config "${settings}" serve`), unit);
    const printed = await asUser('claude-relay install --print');
    assert.equal(printed, unit.replace('Linger=enabled-by-install', 'Linger=as-it-was'));

    rmSync(checkout, { recursive: true });
    const response = await fetch(`${user.url}/v1/complete`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Say hello.' }),
    });
    assert.deepEqual([response.status, ((await response.json()) as { text: string }).text], [200, 'hello']);
  });

  test('is gone after --uninstall; settings and keys stay', async () => {
    await asUser('claude-relay install --uninstall');
    assert.equal(existsSync(user.unit()), false);
    await assert.rejects(fetch(`${user.url}/health`));
    assert.match(await asUser('claude-relay key list'), /app/);
    assert.ok(existsSync(join(user.home, '.config/claude-relay/config.env')));
  });

  test('is refused where npx keeps the package', async () => {
    const cached = join(scratch, '_npx/0123abcd/node_modules/claude-relay');
    mkdirSync(dirname(cached), { recursive: true });
    execFileSync('cp', ['-al', installed, cached]);
    const said = await user.shell(`'${cached}/bin/claude-relay' install 2>&1 || echo "status $?"`);
    assert.match(said, /npx keeps this package in a cache.*npm install -g claude-relay\nstatus 1\n$/);
  });
});
