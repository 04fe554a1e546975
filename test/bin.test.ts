/** The shell commands of `bin/`, in a separate checkout whose `main.ts` has only the key commands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openKeys } from '../src/keys/store.ts';
import { openStore } from '../src/store/sqlite.ts';
import { needs } from './support/needs.ts';

let root: string;
let dataDir: string;
before(() => {
  root = join(mkdtempSync(join(tmpdir(), 'relay-bin-')), 'a checkout');
  dataDir = join(root, 'data');
  cpSync(fileURLToPath(new URL('../bin', import.meta.url)), join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'node_modules/.bin'), { recursive: true });
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'));
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'tsconfig.json'), '{}');
  writeFileSync(
    join(root, 'src/main.ts'),
    `import ${JSON.stringify(import.meta.resolve('../src/main.ts'))};`,
  );
});
after(() => rmSync(join(root, '..'), { recursive: true }));

function run(file: string, args: readonly string[], path = process.env['PATH']) {
  const { status, stdout, stderr } = spawnSync(file, args, {
    encoding: 'utf8',
    env: { PATH: path, DATA_DIR: dataDir },
  });
  return { status, stdout, stderr };
}

function verify(token: string) {
  const store = openStore(dataDir);
  const key = openKeys(store).verify(token);
  store.close();
  return key;
}

test('genkey exits with status 1 when the secret cannot be written', { skip: needs('/dev/full') }, () => {
  const { status, stderr } = run('sh', ['-c', '"$1/bin/genkey" lost >/dev/full', 'sh', root]);
  assert.equal(status, 1);
  assert.match(stderr, /the output could not be written \(ENOSPC\)\.\n$/);
  // A reader that closes the pipe is not a failure.
  const cut = run('bash', [
    '--norc',
    '-c',
    '"$1/bin/claude-relay" key list --json | true; exit "${PIPESTATUS[0]}"',
    'bash',
    root,
  ]);
  assert.deepEqual([cut.status, cut.stderr], [0, '']);
});

test('genkey prints only the secret, and revoke revokes it', () => {
  const shell = run('sh', [
    '-c',
    'KEY=$("$1/bin/genkey" my-app 5 2>/dev/null); printf "<%s>" "$KEY"',
    'sh',
    root,
  ]);
  const token = /^<(crk_[0-9A-Za-z_]+)>$/.exec(shell.stdout)?.[1] ?? '';
  assert.equal(verify(token)?.label, 'my-app');
  assert.equal(verify(token)?.dailyLimit, 5);
  const revoked = run(join(root, 'bin/revoke'), ['my-app']);
  assert.deepEqual([revoked.status, revoked.stdout], [0, '']);
  assert.match(revoked.stderr, /^Revoked my-app/);
  assert.equal(verify(token), undefined);
});

test('genkey and claude-relay run through symbolic links', () => {
  const links = join(root, 'links');
  mkdirSync(links);
  symlinkSync('../bin/genkey', join(links, 'mint'));
  symlinkSync('mint', join(links, 'again'));
  symlinkSync(join(root, 'bin/claude-relay'), join(links, 'relay'));
  const made = run(join(links, 'again'), ['linked']);
  assert.equal(verify(made.stdout.trim())?.label, 'linked');
  assert.match(run(join(links, 'relay'), ['key', 'list']).stdout, /linked/);
});

test('genkey and revoke exit with status 1 and a short message for wrong arguments', () => {
  run(join(root, 'bin/genkey'), ['taken']);
  const wrong: [string, string[], RegExp][] = [
    ['genkey', [], /^usage: bin\/genkey <label> \[daily_limit\]\n$/],
    ['genkey', [''], /^usage/],
    ['genkey', ['--daily'], /^usage/],
    ['genkey', ['a', '5', '6'], /^usage/],
    ['genkey', ['a', 'many'], /whole number from 1/],
    ['genkey', ['a', ''], /whole number from 1/],
    ['genkey', ['a b'], /A label is/],
    ['genkey', ['taken'], /already/],
    ['revoke', [], /^usage: bin\/revoke <label>\n$/],
    ['revoke', ['a', 'b'], /^usage/],
    ['revoke', ['nobody'], /no key with the label nobody/],
  ];
  for (const [command, args, message] of wrong) {
    const { status, stdout, stderr } = run(join(root, 'bin', command), args);
    assert.deepEqual([status, stdout], [1, ''], `${command} ${args.join(' ')}`);
    assert.match(stderr, message);
    assert.match(stderr, /^.*\n(?:\(see --help\)\n)?\n?$/, 'one line, and perhaps a pointer to the help');
  }
});

test('genkey and revoke print help with examples on stdout, with status 0', () => {
  for (const file of ['genkey', 'revoke']) {
    for (const flag of ['--help', '-h']) {
      const { status, stdout, stderr } = run(join(root, 'bin', file), [flag]);
      assert.deepEqual([status, stderr], [0, ''], file);
      assert.match(stdout, new RegExp(`^usage: bin/${file} <label>[^]*\\nExamples:\\n`));
    }
  }
});

test('claude-relay without its own Node uses that of the system, and refuses an older one', () => {
  const bare = join(root, 'bare');
  cpSync(join(root, 'bin'), join(bare, 'bin'), { recursive: true });
  mkdirSync(join(bare, 'src'));
  writeFileSync(join(bare, 'tsconfig.json'), '{}');
  writeFileSync(join(bare, 'src/main.ts'), 'const word: string = process.argv[2] ?? ""; console.log(word);');
  const systemBin = join(bare, 'system');
  mkdirSync(systemBin);
  const path = `${systemBin}:/usr/bin:/bin`;
  const node = join(systemBin, 'node');

  writeFileSync(node, '#!/bin/sh\ncase $1 in -v) echo v24.14.1 ;; *) exit 1 ;; esac\n');
  chmodSync(node, 0o755);
  const old = run(join(bare, 'bin/claude-relay'), ['hello'], path);
  assert.deepEqual([old.status, old.stdout], [1, '']);
  assert.match(
    old.stderr,
    /^claude-relay: Node\.js 24\.15 or newer is required; this machine has v24\.14\.1\. Run npm ci in .*\n$/,
  );

  rmSync(node);
  symlinkSync(process.execPath, node);
  assert.equal(run(join(bare, 'bin/claude-relay'), ['hello'], path).stdout, 'hello\n');
});
