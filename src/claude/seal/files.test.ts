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

test('a link in the configuration directory is followed, and one that leads nowhere is left out', () => {
  const elsewhere = join(home, 'dotfiles');
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, join(config, 'skills'));
  symlinkSync(join(home, 'gone'), join(config, 'commands'));
  const { read } = placesOf(process.execPath, { HOME: home, ...token });
  assert.ok(read.includes(elsewhere));
  assert.ok(!read.includes(join(home, 'gone')));
});

test('where settings and conversations are links, their targets are read-only and hidden, under any login', () => {
  const targets = join(home, 'dotfiles');
  mkdirSync(targets);
  for (const name of ['settings.json', 'history.jsonl']) {
    writeFileSync(join(targets, name), '{}');
    symlinkSync(join(targets, name), join(config, name));
  }
  for (const env of [{ HOME: home, ...token }, { HOME: home }]) {
    const { read, hidden } = placesOf(process.execPath, env);
    assert.ok(read.includes(join(targets, 'settings.json')));
    assert.ok(!read.includes(join(config, 'settings.json')));
    assert.deepEqual(hidden, [join(targets, 'history.jsonl')]);
  }
  assert.ok(canAddSettings({ HOME: home }), 'a link can be replaced');
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
