import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cliIdentity, CliMissing, findCli, loginStatus } from './cli.ts';

let directory: string;
const at = (...names: string[]): string => join(directory, ...names);
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cli-test-'));
});
after(() => rmSync(directory, { recursive: true }));

function program(path: string, body = 'exit 0', mode = 0o755): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, mode);
  return path;
}

describe('findCli', () => {
  test('findCli uses CLAUDE_BIN and nothing else', () => {
    const path = program(at('own', 'claude'));
    const elsewhere = { PATH: at('own') };
    assert.equal(findCli(path, {}), path);
    for (const wrong of [at('none'), at('own'), program(at('plain'), '', 0o644)])
      assert.throws(
        () => findCli(wrong, elsewhere),
        (error) => error instanceof CliMissing && error.message.includes(wrong),
      );
  });

  test('findCli takes the first on PATH, without commands of npm projects and files that cannot run', () => {
    program(at('project/node_modules/.bin/claude'));
    program(at('locked/claude'), '', 0o644);
    mkdirSync(at('folder/claude'), { recursive: true });
    const first = program(at('first/claude'));
    program(at('second/claude'));
    const names = ['project/node_modules/.bin', 'locked', 'folder', 'missing', 'first', 'second'];
    assert.equal(findCli(undefined, { PATH: ['', ...names.map((name) => at(name))].join(delimiter) }), first);
  });

  test('findCli reports a missing CLI and what to do', () => {
    for (const env of [{}, { PATH: '' }, { PATH: at('missing') }])
      assert.throws(() => findCli(undefined, env), /not installed: .*Install it .* or set CLAUDE_BIN/);
  });
});

test('cliIdentity changes with the file behind the path', () => {
  const link = at('link');
  program(at('v1'), 'exit 1');
  symlinkSync('v1', link);
  const first = cliIdentity(link);
  assert.ok(first);
  assert.equal(cliIdentity(link), first);
  // Another file of the same size and time under the same name.
  program(at('v2'), 'exit 2');
  utimesSync(at('v1'), 1, 1);
  utimesSync(at('v2'), 1, 1);
  const timed = cliIdentity(link);
  assert.notEqual(timed, first);
  renameSync(at('v2'), at('v1'));
  const replaced = cliIdentity(link);
  assert.notEqual(replaced, timed);
  // Written over, and its time set back.
  writeFileSync(at('v1'), '#!/bin/sh\nexit 4\n');
  utimesSync(at('v1'), 1, 1);
  const overwritten = cliIdentity(link);
  assert.notEqual(overwritten, replaced);
  // The link is moved to another version.
  program(at('v3'), 'exit 3');
  symlinkSync('v3', at('link.new'));
  renameSync(at('link.new'), link);
  assert.notEqual(cliIdentity(link), overwritten);
  rmSync(at('v3'));
  assert.equal(cliIdentity(link), undefined);
});

describe('loginStatus', () => {
  const says = (document: string, code = 0): string =>
    program(at('says', 'claude'), `echo '${document}'; exit ${code}`);
  const cases: [name: string, document: string, code: number, expected: object][] = [
    [
      'a logged-in CLI',
      '{"loggedIn":true,"authMethod":"claude.ai"}',
      0,
      { loggedIn: true, method: 'claude.ai' },
    ],
    [
      'a CLI that exits with status 1 and is not logged in',
      '{"loggedIn":false,"authMethod":"none"}',
      1,
      { loggedIn: false, method: 'none' },
    ],
    [
      'a subscription has its plan and no name',
      '{"loggedIn":true,"authMethod":"claude.ai","email":"a@b.example","orgName":"O","subscriptionType":"max","loginExpiresAt":"2030-01-31T00:00:00Z"}',
      0,
      { loggedIn: true, method: 'claude.ai', plan: 'max', expiresAt: '2030-01-31T00:00:00Z' },
    ],
    ['a document without a method', '{"loggedIn":true}', 0, { loggedIn: true, method: 'unknown' }],
    ['a build without the command', 'error: unknown command', 1, { loggedIn: undefined, method: 'unknown' }],
    ['another document', '[1]', 0, { loggedIn: undefined, method: 'unknown' }],
    ['a word', 'null', 0, { loggedIn: undefined, method: 'unknown' }],
  ];
  for (const [name, document, code, expected] of cases) {
    test(`loginStatus of ${name}`, async () => {
      const unnamed = { plan: undefined, expiresAt: undefined };
      const login = await loginStatus(says(document, code), { PATH: process.env['PATH'] });
      assert.deepEqual({ ...unnamed, ...login }, { ...unnamed, ...expected });
    });
  }

  test('loginStatus asks in the environment of the lock', async () => {
    const path = program(
      at('env', 'claude'),
      `printf '{"loggedIn":true,"authMethod":"%s"}' "$NODE_OPTIONS$ANTHROPIC_API_KEY"`,
    );
    const { method } = await loginStatus(path, { NODE_OPTIONS: 'x', ANTHROPIC_API_KEY: 'key' });
    assert.equal(method, 'key');
  });

  test('loginStatus gives up on a CLI that never answers and ends its process', async () => {
    const path = program(at('mute', 'claude'), `echo $$ >'${at('mute.pid')}'; exec sleep 300`);
    const stop = new AbortController();
    const asking = loginStatus(path, { PATH: process.env['PATH'] }, stop.signal);
    while (!existsSync(at('mute.pid')) || readFileSync(at('mute.pid'), 'utf8') === '') await setImmediate();
    stop.abort();
    assert.deepEqual(await asking, { loggedIn: undefined, method: 'unknown' });
    // Not there, or nothing but an entry that waits to be collected.
    const pid = readFileSync(at('mute.pid'), 'utf8').trim();
    assert.ok(!existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  });

  test('loginStatus of Bedrock or Vertex does not ask the CLI', async () => {
    const none = at('none');
    assert.deepEqual(await loginStatus(none, { CLAUDE_CODE_USE_BEDROCK: '1' }), {
      loggedIn: true,
      method: 'bedrock',
    });
    assert.deepEqual(await loginStatus(none, { CLAUDE_CODE_USE_VERTEX: '1' }), {
      loggedIn: true,
      method: 'vertex',
    });
    assert.deepEqual(await loginStatus(none, {}), { loggedIn: undefined, method: 'unknown' });
  });
});
