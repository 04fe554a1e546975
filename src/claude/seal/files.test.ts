/** Which files a sealed process sees. test/seal-escape.test.ts shows that it sees no others. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { bwrapArgs, canAddSettings, placesOf } from './files.ts';

let home: string;
let config: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'seal-files-')));
  config = join(home, '.claude');
  mkdirSync(config);
});
afterEach(() => rmSync(home, { recursive: true }));

const token = { CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-stub' };

/** What a process with a stored login could leave in the directory for the next one. */
test('a link that was put into the configuration directory opens nothing of the owner', () => {
  const owned = ['.bashrc', '.ssh', 'work'].map((name) => join(home, name));
  const [bashrc = '', ssh = '', work = ''] = owned;
  writeFileSync(bashrc, '');
  mkdirSync(ssh);
  mkdirSync(work);
  mkdirSync(join(config, 'below'));
  writeFileSync(join(config, 'below', '.credentials.json'), '');
  for (const [name, target] of [
    ['.credentials.json', bashrc],
    ['inside', join(config, 'below', '.credentials.json')],
    ['.ssh', ssh],
    ['skills', ssh],
    ['projects', work],
    ['commands', join(home, 'gone')],
  ] as const)
    symlinkSync(target, join(config, name));
  for (const env of [{ HOME: home, ...token }, { HOME: home }]) {
    const { read, write, hidden } = placesOf(process.execPath, env);
    for (const path of [...read, ...write, ...hidden]) assert.ok(!owned.includes(realpathSync(path)), path);
    assert.ok(
      write.every((path) => path === config),
      'nothing in the directory is opened twice',
    );
  }
  assert.ok(canAddSettings({ HOME: home }), 'a link can be replaced');
});

test('a stored login that is a link to a login elsewhere can be renewed there', () => {
  const elsewhere = join(home, 'dotfiles');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, '.credentials.json'), '{}');
  symlinkSync(join(elsewhere, '.credentials.json'), join(config, '.credentials.json'));
  assert.deepEqual(placesOf(process.execPath, { HOME: home }).write, [
    config,
    join(elsewhere, '.credentials.json'),
  ]);
});

test('with a token nothing of the configuration can be written, and with a stored login all but what the CLI obeys', () => {
  writeFileSync(join(config, 'settings.json'), '{}');
  const withToken = placesOf(process.execPath, { HOME: home, ...token });
  assert.deepEqual(withToken.write, []);
  assert.ok(withToken.read.includes(config));
  const stored = placesOf(process.execPath, { HOME: home });
  assert.deepEqual(stored.write, [config]);
  assert.ok(stored.read.includes(join(config, 'settings.json')));
});

test('a link of the system into /usr stays a link, and earlier conversations are hidden', () => {
  mkdirSync(join(config, 'projects'));
  writeFileSync(join(config, 'history.jsonl'), '');
  const words = bwrapArgs(placesOf(process.execPath, { HOME: home, ...token }), '/tmp/own').join(' ');
  assert.match(words, new RegExp(`--tmpfs ${join(config, 'projects')} `));
  assert.match(words, new RegExp(`--ro-bind /dev/null ${join(config, 'history.jsonl')} `));
  const local = realpathSync('/etc/localtime');
  if (local.startsWith('/usr/')) assert.match(words, /--symlink \S*\/usr\/\S+ \/etc\/localtime /);
});
