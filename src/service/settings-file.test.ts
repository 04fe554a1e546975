/** Where config.env is, for each way to install the relay, and how it comes from a checkout to a package. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { loadConfig } from '../config.ts';
import { agentPath, programOfAgent, relayAgent } from './launchd.ts';
import { programOfUnit, relayUnit, type Host } from './relay-unit.ts';
import { packageSettings, settingsFile, takeOverSettings } from './settings-file.ts';
import { unitPath } from './systemd.ts';

const facts = { version: 257, environment: {}, namespaces: true, lingerEnabled: false };
const settings = 'PORT=9000\nANTHROPIC_API_KEY=dummy\n';

let home: string;
let checkout: { root: string; way: 'checkout' };
let npm: { root: string; way: 'npm' };
let env: Record<string, string>;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'settings-file-'));
  checkout = { root: join(home, 'a "checkout" of 100% $HOME'), way: 'checkout' };
  npm = { root: join(home, 'lib/node_modules/claude-relay'), way: 'npm' };
  env = { HOME: home };
});
afterEach(() => rmSync(home, { recursive: true }));

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const host = (root: string, file: string): Host => ({
  root,
  file,
  home,
  environment: { PATH: '/usr/bin' },
  cacheDir: join(home, '.cache/claude-relay'),
});

function installUnit(root: string, file: string): void {
  write(
    unitPath(env, 'claude-relay.service'),
    relayUnit({ config: loadConfig({ env }), host: host(root, file) }, facts),
  );
}

const installFromCheckout = (): string => {
  const file = write(join(checkout.root, 'config.env'), settings);
  installUnit(checkout.root, file);
  return file;
};

describe('the settings file', () => {
  test('is in the checkout, or in the XDG directory for a package', () => {
    assert.equal(settingsFile(env, checkout), join(checkout.root, 'config.env'));
    assert.equal(settingsFile(env, npm), join(home, '.config/claude-relay/config.env'));
    const elsewhere = { ...env, XDG_CONFIG_HOME: join(home, 'settings') };
    assert.equal(settingsFile(elsewhere, npm), join(home, 'settings/claude-relay/config.env'));
    // The specification ignores a relative path.
    assert.equal(settingsFile({ ...env, XDG_CONFIG_HOME: 'here' }, npm), packageSettings(env));
  });

  test('of a package is that of the installed service while the package has none', () => {
    const file = installFromCheckout();
    assert.equal(settingsFile(env, npm), file);
    write(packageSettings(env), '');
    assert.equal(settingsFile(env, npm), file, 'that of a checkout, as long as its service is installed');
    installUnit(npm.root, write(join(home, 'chosen.env'), settings));
    assert.equal(settingsFile(env, npm), packageSettings(env));
    rmSync(packageSettings(env));
    assert.equal(settingsFile(env, npm), join(home, 'chosen.env'));
  });

  test('of a package is not one that the service names and that was removed', () => {
    rmSync(installFromCheckout());
    assert.equal(settingsFile(env, npm), packageSettings(env));
  });

  test('of a package is its own when the file of the service cannot be read', () => {
    mkdirSync(unitPath(env, 'claude-relay.service'), { recursive: true });
    assert.equal(settingsFile(env, npm), packageSettings(env));
  });

  test('of a checkout without one is that of the package', () => {
    const packaged = write(packageSettings(env), settings);
    assert.equal(settingsFile(env, checkout), packaged);
    const own = write(join(checkout.root, 'config.env'), '');
    assert.equal(settingsFile(env, checkout), own);
  });

  test('of a launchd agent is found', () => {
    const file = write(join(checkout.root, 'config.env'), settings);
    const config = loadConfig({ env });
    write(agentPath(home), relayAgent({ config, host: host(checkout.root, file) }));
    assert.equal(settingsFile(env, npm), file);
  });
});

test('the program and the settings in a unit and in a property list are those that were written', () => {
  const root = '/opt/<b> & "c"/100% $HOME\\';
  const file = '/etc/%h/$$"/config.env';
  const config = loadConfig({ env });
  const expected = { root, settings: file };
  assert.deepEqual(programOfUnit(relayUnit({ config, host: host(root, file) }, facts)), expected);
  const edited = relayUnit({ config, host: host(root, file) }, facts).replace(/ serve$/m, ' serve --edited');
  assert.deepEqual(programOfUnit(edited), expected);
  assert.deepEqual(programOfAgent(relayAgent({ config, host: host(root, file) })), expected);
  assert.equal(programOfUnit('[Service]\nExecStart=/usr/bin/other\n'), undefined);
  assert.equal(programOfAgent('<string>other</string>'), undefined);
});

describe('the move from a checkout to a package', () => {
  test('copies the settings for their owner alone and keeps those of the checkout', () => {
    const file = installFromCheckout();
    const copy = takeOverSettings(file, env, npm);
    assert.equal(copy, packageSettings(env));
    assert.equal(readFileSync(copy, 'utf8'), settings);
    assert.equal(statSync(copy).mode & 0o777, 0o600);
    assert.equal(readFileSync(file, 'utf8'), settings);
    assert.equal(takeOverSettings(file, env, npm), copy, 'again, after an install that failed');
    installUnit(npm.root, copy);
    assert.equal(settingsFile(env, npm), copy);
  });

  test('is refused when the package has other settings, and overwrites none', () => {
    const file = installFromCheckout();
    const copy = write(packageSettings(env), 'PORT=9001\n');
    const refused = { name: 'CommandError', message: /Remove one of these files/ };
    assert.throws(() => takeOverSettings(file, env, npm), refused);
    assert.equal(readFileSync(copy, 'utf8'), 'PORT=9001\n');
    rmSync(file);
    assert.equal(settingsFile(env, npm), copy);
    assert.equal(takeOverSettings(copy, env, npm), undefined);
  });

  test('copies no file that its owner chose, that of the package, or for a checkout', () => {
    const chosen = write(join(home, 'chosen.env'), settings);
    installUnit(checkout.root, chosen);
    assert.equal(takeOverSettings(chosen, env, npm), undefined);
    installUnit(npm.root, packageSettings(env));
    assert.equal(takeOverSettings(write(packageSettings(env), settings), env, npm), undefined);
    const file = installFromCheckout();
    assert.equal(takeOverSettings(file, env, checkout), undefined);
    assert.equal(takeOverSettings(chosen, env, npm), undefined);
    assert.equal(existsSync(chosen), true);
  });
});
