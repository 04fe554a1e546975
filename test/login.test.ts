/** `claude-relay login`: a token of `claude setup-token` into config.env, on a terminal and without one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { checkedToken } from '../src/commands/login.ts';
import { withVariable } from '../src/commands/settings-edit.ts';
import { loadConfig } from '../src/config.ts';
import { root } from './support/relay.ts';
import { openTerminal, type TestTerminal } from './support/terminal.ts';

/** As long as a real one. */
const token = `sk-ant-oat01-${'aB3_-xYz9'.repeat(11)}`;

let scratch: string;
let file: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'login-test-'));
  file = join(scratch, 'config.env');
  writeFileSync(join(scratch, 'token'), `${token}\n`);
});
afterEach(() => rmSync(scratch, { recursive: true }));

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    HOME: scratch,
    PATH: process.env['PATH'] ?? '',
    TMPDIR: scratch,
    CLAUDE_BIN: join(root, 'test/fixtures/cli/setup-token.sh'),
    ...more,
  };
}

function login(input: string, env: Record<string, string> = {}): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(join(root, 'bin/claude-relay'), ['--config', file, 'login'], {
    env: environment(env),
    input,
    encoding: 'utf8',
  });
  assert.equal(stdout, '');
  assert.doesNotMatch(stderr, /\n\s+at /);
  return { status, said: stderr };
}

const mode = (path: string): number => statSync(path).mode & 0o777;
/** Nothing of an unfinished write lies about. */
const leftovers = (): string[] => readdirSync(scratch).filter((name) => name.startsWith('.config.env.'));

describe('without a terminal: the token on stdin', () => {
  test('into a file that was not there: for its owner alone, and never shown', () => {
    const { status, said } = login(`${token}\n`);
    assert.equal(status, 0, said);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
    assert.equal(mode(file), 0o600);
    assert.ok(!said.includes(token.slice(20, 40)), said);
    assert.match(said, /^Kept as CLAUDE_CODE_OAUTH_TOKEN in .*config\.env \(mode 600\)\.\n/);
    assert.match(said, /counts from the next start on: stop the relay \(Ctrl-C\) and \.\/run\.sh/);
    assert.deepEqual(leftovers(), []);
    // The relay passes it on to Claude Code.
    assert.equal(loadConfig({ env: {}, file }).hostEnv['CLAUDE_CODE_OAUTH_TOKEN'], token);
  });

  test('in the place of an old one: every other line and comment stays, and the file is closed to others', () => {
    const around = ['# mine', 'PORT=8800', '', '# the login', 'PER_KEY_RPM=5 # few'];
    writeFileSync(file, [...around.slice(0, 4), 'CLAUDE_CODE_OAUTH_TOKEN="old"', around[4], ''].join('\n'));
    chmodSync(file, 0o644);
    assert.equal(login(token).status, 0);
    const expected = [...around.slice(0, 4), `CLAUDE_CODE_OAUTH_TOKEN=${token}`, around[4], ''].join('\n');
    assert.equal(readFileSync(file, 'utf8'), expected);
    assert.equal(mode(file), 0o600);
  });

  test('through a symbolic link, which stays one', () => {
    mkdirSync(join(scratch, 'elsewhere'));
    const target = join(scratch, 'elsewhere/real.env');
    symlinkSync('elsewhere/real.env', file);
    for (const before of ['', 'PORT=8800\n']) {
      if (before !== '') writeFileSync(target, before);
      assert.equal(login(token).status, 0);
      assert.ok(lstatSync(file).isSymbolicLink());
      assert.equal(readFileSync(target, 'utf8'), `${before}CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
      assert.equal(mode(target), 0o600);
    }
  });

  const wrong: [name: string, input: string, message: RegExp][] = [
    ['nothing', ' \n', /no token/],
    ['an API key', 'sk-ant-api03-secret-marker', /API key/],
    ['half a token', 'sk-ant-oat01-marker', /only a part/],
    ['two tokens', `${token} ${token}!`, /only a part/],
    ["a key of the relay's", 'crk_marker', /key of the relay's own/],
    ['something else', 'marker', /begins with sk-ant-oat/],
  ];
  for (const [name, input, message] of wrong) {
    test(`${name}: refused in words, not repeated, and nothing changes`, () => {
      writeFileSync(file, 'PORT=8800\n');
      const { status, said } = login(input);
      assert.equal(status, 1);
      assert.match(said, message);
      assert.match(said, /Nothing was changed\.\n$/);
      assert.doesNotMatch(said, /marker/);
      assert.equal(readFileSync(file, 'utf8'), 'PORT=8800\n');
    });
  }

  test('another login besides it is warned of; a service is named', () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'systemctl'), "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\n'\n", {
      mode: 0o755,
    });
    const { said } = login(token, { ANTHROPIC_API_KEY: 'marker', PATH: `${bin}:${process.env['PATH']}` });
    assert.match(said, /Warning: ANTHROPIC_API_KEY is set, too/);
    assert.match(said, /systemctl --user restart claude-relay\.service/);
    assert.doesNotMatch(said, /marker/);
  });

  test('a directory that cannot be written: a sentence', () => {
    rmSync(file, { force: true });
    mkdirSync(file);
    const { status, said } = login(token);
    assert.equal(status, 1);
    assert.match(said, /^claude-relay: .*(?:could not be written|cannot be read)/);
  });
});

describe('on a terminal', () => {
  let terminal: TestTerminal;
  afterEach(() => terminal.close());
  const start = (flags = '', env: Record<string, string> = {}): void => {
    terminal = openTerminal(`'${join(root, 'bin/claude-relay')}' --config '${file}' login ${flags}`, {
      env: environment(env),
    });
  };

  test('claude setup-token runs there, then its token is asked for and not shown', async () => {
    start('', { ANTHROPIC_API_KEY: 'sk-ant-stub' });
    await terminal.until(/Your OAuth token/);
    await terminal.until(/Paste the token, then Enter\. It is not shown: /);
    // As it is copied from a narrow window: in two lines.
    terminal.type(`${token.slice(0, 80)}\r${token.slice(80)}\r`);
    const rest = await terminal.until(/Kept as CLAUDE_CODE_OAUTH_TOKEN/);
    assert.ok(!rest.includes(token.slice(20, 40)));
    assert.equal(await terminal.exited, 0);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
  });

  test('--paste asks at once; typing can be mended', async () => {
    start('--paste');
    await terminal.until(/It is not shown: /);
    assert.doesNotMatch(terminal.output(), /OAuth token/);
    terminal.type(`${token}xx\x7f\x7f\r`);
    assert.equal(await terminal.exited, 0);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
  });

  test('Ctrl-C at the question: nothing changes', async () => {
    start('--paste');
    await terminal.until(/It is not shown: /);
    terminal.type('\x03');
    await terminal.until(/Nothing was changed\./);
    assert.equal(await terminal.exited, 1);
    assert.deepEqual(readdirSync(scratch).includes('config.env'), false);
  });

  for (const how of ['refused', 'waits']) {
    test(`claude setup-token ends without a token (${how}): nothing changes`, async () => {
      writeFileSync(join(scratch, 'setup'), how);
      start();
      if (how === 'waits') {
        await terminal.until(/Browser did not open/);
        terminal.type('\x03');
      }
      await terminal.until(/claude setup-token ended without a token\. Nothing was changed\./);
      assert.equal(await terminal.exited, 1);
    });
  }
});

test('a token as a person may bring it', () => {
  for (const text of [
    token,
    ` ${token}\n`,
    `export CLAUDE_CODE_OAUTH_TOKEN=${token}`,
    `CLAUDE_CODE_OAUTH_TOKEN="${token}"`,
    `${token.slice(0, 40)}\n  ${token.slice(40)}`,
  ]) {
    assert.equal(checkedToken(text), token);
  }
});

describe('one variable of a settings file', () => {
  const cases: [name: string, before: string, after: string][] = [
    ['an empty file', '', 'X=new\n'],
    ['no line end at the end', 'A=1', 'A=1\nX=new\n'],
    ['there', 'A=1\nX=old\nB=2\n', 'A=1\nX=new\nB=2\n'],
    ['twice', 'X=a\nA=1\nX=b\n', 'X=new\nA=1\n'],
    ['exported, spaced, quoted', ' export X = "old" # mine\n', 'X=new\n'],
    ['in a comment only', '#X=old\n', '#X=old\nX=new\n'],
    ['a longer name', 'XX=1\n', 'XX=1\nX=new\n'],
  ];
  for (const [name, text, expected] of cases) {
    test(name, () => assert.equal(withVariable(text, 'X', 'new'), expected));
  }

  test('inside the value of another: left alone, and said', () => {
    assert.throws(() => withVariable('A="one\nX=two\n"\n', 'X', 'new'), /cannot be changed safely/);
  });
});
