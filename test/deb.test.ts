/** The Debian package, as far as a test without a build can see it: test/deb/e2e.sh installs one. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packagedUnit } from '../packaging/deb/unit.ts';
import { debianVersion } from '../packaging/deb/version.ts';
import { needs } from './support/needs.ts';
import { root } from './support/relay.ts';

const scratch = mkdtempSync(join(tmpdir(), 'deb-test-'));
after(() => rmSync(scratch, { recursive: true }));

test('the unit of the package passes systemd-analyze verify', { skip: needs('systemd-analyze') }, () => {
  const file = join(scratch, 'claude-relay.service');
  writeFileSync(file, packagedUnit());
  mkdirSync(join(scratch, 'runtime'), { mode: 0o700 });
  const env = { ...process.env, HOME: scratch, XDG_RUNTIME_DIR: join(scratch, 'runtime') };
  const args = ['verify', '--user', '--man=no', file];
  const { status, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8', env });
  assert.deepEqual(
    stderr.split('\n').filter((line) => line.includes('claude-relay')),
    [],
  );
  assert.equal(status, 0, stderr);
});

test('the unit of the package names directories of any user', () => {
  const text = packagedUnit();
  assert.match(text, /^ReadWritePaths="%h\/.local\/share\/claude-relay" "%C\/claude-relay" "-%h\/.claude"$/m);
  assert.match(text, /^InaccessiblePaths="-%h\/.ssh" /m);
  assert.match(text, /^ExecStart=.* --config "%E\/claude-relay\/config.env" serve$/m);
  assert.match(text, /^Environment="PATH=%h\/.local\/bin:/m);
  // A specifier that its quoting made a mere percent sign, or a path of this machine.
  assert.doesNotMatch(text, /%%|\/root\b|\/home\//);
});

test('the package’s version sorts as SemVer does', { skip: needs('dpkg') }, () => {
  const versions = ['1.0.0-rc.1', '1.0.0-rc.2', '1.0.0', '1.0.1'].map(debianVersion);
  for (const [index, version] of versions.slice(1).entries()) {
    execFileSync('dpkg', ['--compare-versions', versions[index] ?? '', 'lt', version]);
  }
});

test('the Node of the packages is the one of the tests', () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const lock = JSON.parse(readFileSync(join(root, 'packaging/node/package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string; integrity?: string }>;
  };
  for (const arch of ['x64', 'arm64']) {
    const locked = lock.packages[`node_modules/node-linux-${arch}`];
    assert.equal(locked?.version, devDependencies['node']);
    assert.match(locked?.integrity ?? '', /^sha512-/);
  }
});
