import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { test } from 'node:test';
import { loadConfig } from './config.ts';
import { agentPath } from './service/launchd.ts';
import { packageSettings } from './service/settings-file.ts';
import { cacheDirectory } from './service/setup.ts';
import { unitPath } from './service/systemd.ts';
import { homeDirectory } from './xdg.ts';

const names = ['XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME'] as const;

/** Each place that the relay reads, writes or removes. */
const places = (env: Record<string, string>): string[] => [
  cacheDirectory(env),
  packageSettings(env),
  unitPath(env, 'claude-relay.service'),
  loadConfig({ env }).dataDir,
  agentPath(homeDirectory(env)),
];

test('a relative or empty directory in the environment is ignored', () => {
  const expected = places({ HOME: '/home/owner' });
  assert.equal(expected[1], '/home/owner/.config/claude-relay/config.env');
  for (const value of ['', 'here', './here']) {
    const env = Object.fromEntries(names.map((name) => [name, value]));
    assert.deepEqual(places({ ...env, HOME: '/home/owner' }), expected, JSON.stringify(value));
  }
  assert.deepEqual(places(Object.fromEntries(names.map((name) => [name, '/x']))).slice(0, 4), [
    '/x/claude-relay',
    '/x/claude-relay/config.env',
    '/x/systemd/user/claude-relay.service',
    '/x/claude-relay',
  ]);
});

test('no place is below the working directory without a usable HOME', () => {
  const { homedir } = userInfo();
  for (const env of [{}, { HOME: '' }, { HOME: 'here' }]) {
    assert.deepEqual(places(env), places({ HOME: homedir }), JSON.stringify(env));
  }
});
