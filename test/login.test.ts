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
const leftovers = (): string[] => readdirSync(scratch).filter((name) => name.endsWith('.new'));

describe('a token on stdin', () => {
  test('is saved to a new file that only its owner can read, and is never shown', () => {
    const { status, said } = login(`${token}\n`);
    assert.equal(status, 0, said);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
    assert.equal(mode(file), 0o600);
    assert.ok(!said.includes(token.slice(20, 40)), said);
    assert.match(said, /^Saved CLAUDE_CODE_OAUTH_TOKEN to .*config\.env \(mode 600\)\.\n/);
    assert.match(said, /Restart the relay to use it: stop the relay \(Ctrl-C\) and run \.\/run\.sh/);
    assert.deepEqual(leftovers(), []);
    // The relay passes it on to Claude Code.
    assert.equal(loadConfig({ env: {}, file }).hostEnv['CLAUDE_CODE_OAUTH_TOKEN'], token);
  });

  test('replaces the old token, keeps every other line, and closes the file to others', () => {
    const around = ['# mine', 'PORT=8800', '', '# the login', 'PER_KEY_RPM=5 # few'];
    writeFileSync(file, [...around.slice(0, 4), 'CLAUDE_CODE_OAUTH_TOKEN="old"', around[4], ''].join('\n'));
    chmodSync(file, 0o644);
    assert.equal(login(token).status, 0);
    const expected = [...around.slice(0, 4), `CLAUDE_CODE_OAUTH_TOKEN=${token}`, around[4], ''].join('\n');
    assert.equal(readFileSync(file, 'utf8'), expected);
    assert.equal(mode(file), 0o600);
  });

  test('is saved through a symbolic link, which stays a link', () => {
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
    ['nothing', ' \n', /contained no token/],
    ['an API key', 'sk-ant-api03-secret-marker', /API key/],
    ['half a token', 'sk-ant-oat01-marker', /not one complete token/],
    ['two tokens', `${token} ${token}!`, /not one complete token/],
    ["a key of the relay's", 'crk_marker', /not one complete token/],
    ['something else', 'marker', /begins with sk-ant-oat/],
  ];
  for (const [name, input, message] of wrong) {
    test(`that is ${name} is refused and not repeated, and the file does not change`, () => {
      writeFileSync(file, 'PORT=8800\n');
      const { status, said } = login(input);
      assert.equal(status, 1);
      assert.match(said, message);
      assert.match(said, /Nothing was changed\.\n$/);
      assert.doesNotMatch(said, /marker/);
      assert.equal(readFileSync(file, 'utf8'), 'PORT=8800\n');
    });
  }

  test('is saved with a warning about another login, and the command that restarts the service', () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'systemctl'), "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\n'\n", {
      mode: 0o755,
    });
    const { said } = login(token, { ANTHROPIC_API_KEY: 'marker', PATH: `${bin}:${process.env['PATH']}` });
    assert.match(said, /Warning: ANTHROPIC_API_KEY is also set/);
    assert.match(said, /systemctl --user restart claude-relay\.service/);
    assert.doesNotMatch(said, /marker/);
  });

  test('reports a settings file that cannot be written', () => {
    rmSync(file, { force: true });
    mkdirSync(file);
    const { status, said } = login(token);
    assert.equal(status, 1);
    assert.match(said, /^claude-relay: .*(?:could not be written|cannot be read)/);
  });
});

describe('login on a terminal', () => {
  let terminal: TestTerminal;
  afterEach(() => terminal.close());
  const start = (flags = '', env: Record<string, string> = {}): void => {
    terminal = openTerminal(`'${join(root, 'bin/claude-relay')}' --config '${file}' login ${flags}`, {
      env: environment(env),
    });
  };

  test('runs claude setup-token, then asks for its token and does not show it', async () => {
    start('', { ANTHROPIC_API_KEY: 'sk-ant-stub' });
    await terminal.until(/Your OAuth token/);
    await terminal.until(/Paste the token, then press Enter\. It is not shown: /);
    // As it is copied from a narrow window: in two lines.
    terminal.type(`${token.slice(0, 80)}\r${token.slice(80)}\r`);
    const rest = await terminal.until(/Saved CLAUDE_CODE_OAUTH_TOKEN/);
    assert.ok(!rest.includes(token.slice(20, 40)));
    assert.equal(await terminal.exited, 0);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
  });

  test('asks at once with --paste, and accepts corrections', async () => {
    start('--paste');
    await terminal.until(/It is not shown: /);
    assert.doesNotMatch(terminal.output(), /OAuth token/);
    terminal.type(`${token}xx\x7f\x7f\r`);
    assert.equal(await terminal.exited, 0);
    assert.equal(readFileSync(file, 'utf8'), `CLAUDE_CODE_OAUTH_TOKEN=${token}\n`);
  });

  test('changes nothing after Ctrl-C at the question', async () => {
    start('--paste');
    await terminal.until(/It is not shown: /);
    terminal.type('\x03');
    await terminal.until(/Nothing was changed\./);
    assert.equal(await terminal.exited, 1);
    assert.deepEqual(readdirSync(scratch).includes('config.env'), false);
  });

  for (const how of ['refused', 'waits']) {
    test(`changes nothing when claude setup-token fails (${how})`, async () => {
      writeFileSync(join(scratch, 'setup'), how);
      start();
      if (how === 'waits') {
        await terminal.until(/Browser did not open/);
        terminal.type('\x03');
      }
      await terminal.until(/claude setup-token failed\. Nothing was changed\./);
      assert.equal(await terminal.exited, 1);
    });
  }
});

test('a token is accepted with spaces, quotes and line ends around it', () => {
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

describe('a variable is set in a settings file', () => {
  const cases: [name: string, before: string, after: string][] = [
    ['no line', '', 'X=new\n'],
    ['no line end at the end', 'A=1', 'A=1\nX=new\n'],
    ['the variable', 'A=1\nX=old\nB=2\n', 'A=1\nX=new\nB=2\n'],
    ['the variable twice', 'X=a\nA=1\nX=b\n', 'X=new\nA=1\n'],
    ['it exported, spaced and quoted', ' export X = "old" # mine\n', 'X=new\n'],
    ['it only in a comment', '#X=old\n', '#X=old\nX=new\n'],
    ['a longer name', 'XX=1\n', 'XX=1\nX=new\n'],
  ];
  for (const [name, text, expected] of cases) {
    test(`that has ${name}`, () => assert.equal(withVariable(text, 'X', 'new'), expected));
  }

  test('a variable inside the value of another is refused', () => {
    assert.throws(() => withVariable('A="one\nX=two\n"\n', 'X', 'new'), /cannot be changed safely/);
  });
});
