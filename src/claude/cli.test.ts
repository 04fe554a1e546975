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

describe('the CLI is found', () => {
  test('where CLAUDE_BIN says, and nowhere else', () => {
    const path = program(at('own', 'claude'));
    const elsewhere = { PATH: at('own') };
    assert.equal(findCli(path, {}), path);
    for (const wrong of [at('none'), at('own'), program(at('plain'), '', 0o644)])
      assert.throws(
        () => findCli(wrong, elsewhere),
        (error) => error instanceof CliMissing && error.message.includes(wrong),
      );
  });

  test('or first on PATH, past a project’s own commands and what cannot be run', () => {
    program(at('project/node_modules/.bin/claude'));
    program(at('locked/claude'), '', 0o644);
    mkdirSync(at('folder/claude'), { recursive: true });
    const first = program(at('first/claude'));
    program(at('second/claude'));
    const names = ['project/node_modules/.bin', 'locked', 'folder', 'missing', 'first', 'second'];
    assert.equal(findCli(undefined, { PATH: ['', ...names.map((name) => at(name))].join(delimiter) }), first);
  });

  test('or missed with a sentence', () => {
    for (const env of [{}, { PATH: '' }, { PATH: at('missing') }])
      assert.throws(() => findCli(undefined, env), /not installed: .*Install it .* or set CLAUDE_BIN/);
  });
});

test('the identity changes with the file behind the path', () => {
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

describe('the login', () => {
  const says = (document: string, code = 0): string =>
    program(at('says', 'claude'), `echo '${document}'; exit ${code}`);
  const cases: [name: string, document: string, code: number, expected: object][] = [
    ['logged in', '{"loggedIn":true,"authMethod":"claude.ai"}', 0, { loggedIn: true, method: 'claude.ai' }],
    [
      'not logged in, with exit code 1',
      '{"loggedIn":false,"authMethod":"none"}',
      1,
      { loggedIn: false, method: 'none' },
    ],
    [
      'a subscription, without whose it is',
      '{"loggedIn":true,"authMethod":"claude.ai","email":"a@b.example","orgName":"O","subscriptionType":"max","loginExpiresAt":"2030-01-31T00:00:00Z"}',
      0,
      { loggedIn: true, method: 'claude.ai', plan: 'max', expiresAt: '2030-01-31T00:00:00Z' },
    ],
    ['no method', '{"loggedIn":true}', 0, { loggedIn: true, method: 'unknown' }],
    ['a build that cannot tell', 'error: unknown command', 1, { loggedIn: undefined, method: 'unknown' }],
    ['another document', '[1]', 0, { loggedIn: undefined, method: 'unknown' }],
    ['a word', 'null', 0, { loggedIn: undefined, method: 'unknown' }],
  ];
  for (const [name, document, code, expected] of cases) {
    test(name, async () => {
      assert.deepEqual(await loginStatus(says(document, code), { PATH: process.env['PATH'] }), expected);
    });
  }

  test('is asked for under the lock’s environment', async () => {
    const path = program(
      at('env', 'claude'),
      `printf '{"loggedIn":true,"authMethod":"%s"}' "$NODE_OPTIONS$ANTHROPIC_API_KEY"`,
    );
    const { method } = await loginStatus(path, { NODE_OPTIONS: 'x', ANTHROPIC_API_KEY: 'key' });
    assert.equal(method, 'key');
  });

  test('of one that never says is given up, and its process ended', async () => {
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

  test('of a cloud is not Claude Code’s to know', async () => {
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
