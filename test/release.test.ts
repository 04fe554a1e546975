/** `npm run release`: what it checks and refuses, and the commit that it makes. test/release.all.test.ts builds the files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readSections } from '../scripts/release/changelog.ts';
import { versionPlaces } from '../scripts/release/commit.ts';
import { packageProblems } from '../scripts/release/package-problems.ts';
import { imageSbom } from '../scripts/release/sbom.ts';
import { committedClone } from './support/clone.ts';
import { root } from './support/relay.ts';
import { runRelease } from './support/release.ts';

const scratch = mkdtempSync(join(tmpdir(), 'release-test-'));
after(() => rmSync(scratch, { recursive: true }));

const version = (text: string): string => (JSON.parse(text) as { version: string }).version;

test('every file that names the version names that of package.json', () => {
  for (const [file, place] of versionPlaces) {
    const [found] = place.exec(readFileSync(join(root, file), 'utf8')) ?? [];
    assert.equal(found, version(readFileSync(join(root, 'package.json'), 'utf8')), file);
  }
});

test('publint and attw find nothing in the package of the TypeScript client', async () => {
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', scratch, './clients/ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.deepEqual(await packageProblems(join(scratch, packed.trim())), []);
});

test('publint and attw report a package without the files that it names', async () => {
  const directory = join(scratch, 'broken');
  mkdirSync(directory);
  writeFileSync(
    join(directory, 'package.json'),
    '{"name":"broken","version":"1.0.0","type":"module","exports":"./missing.js"}',
  );
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', scratch, directory], {
    encoding: 'utf8',
  });
  const problems = await packageProblems(join(scratch, packed.trim()));
  assert.match(problems.join('\n'), /publint: .*missing\.js/);
  assert.match(problems.join('\n'), /attw: .*NoTypes/);
});

test('the bill of materials of an image lists the packages of its last layers', () => {
  const layers = [
    { 'var/lib/dpkg/status': 'Package: old\nStatus: install ok installed\nVersion: 1\n' },
    {
      'var/lib/dpkg/status': [
        'Package: tini\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.19.0-3+b8',
        'Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n',
      ].join('\n\n'),
    },
    {
      'usr/lib/claude-relay/node_modules/@a/b/package.json': '{"name":"@a/b","version":"1.2.3"}',
      'usr/lib/claude-relay/node_modules/@a/b/dist/package.json': '{"type":"commonjs"}',
    },
  ];
  const image = join(scratch, 'image');
  mkdirSync(image);
  for (const [index, files] of layers.entries()) {
    const tree = join(scratch, `layer-${index}`);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(tree, name, '..'), { recursive: true });
      writeFileSync(join(tree, name), text);
    }
    execFileSync('tar', ['-cf', join(image, `${index}.tar`), '-C', tree, '.']);
  }
  writeFileSync(join(image, 'manifest.json'), JSON.stringify([{ Layers: ['0.tar', '1.tar', '2.tar'] }]));
  execFileSync('tar', [
    '-cf',
    join(scratch, 'image.tar'),
    '-C',
    image,
    'manifest.json',
    '0.tar',
    '1.tar',
    '2.tar',
  ]);

  const { components } = imageSbom(join(scratch, 'image.tar'), {
    version: '0.1.0',
    cliVersion: '2.1.332',
  }) as {
    components: { purl: string }[];
  };
  assert.deepEqual(
    components.map(({ purl }) => purl),
    [
      'pkg:npm/%40anthropic-ai/claude-code@2.1.332',
      'pkg:npm/%40a/b@1.2.3',
      'pkg:deb/debian/tini@0.19.0-3%2Bb8?arch=amd64',
    ],
  );
});

describe('the commit of a release', () => {
  const clone = join(scratch, 'clone');
  const read = (file: string): string => readFileSync(join(clone, file), 'utf8');
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: clone, encoding: 'utf8' }).trim();
  const release = (...args: string[]): ReturnType<typeof runRelease> => runRelease(clone, ...args);

  before(() => committedClone(clone));

  test('a release of a changed tree is refused', () => {
    writeFileSync(join(clone, 'new'), '');
    const { status, stderr } = release('900.0.0');
    rmSync(join(clone, 'new'));
    assert.equal(status, 1);
    assert.match(stderr, /not committed/);
  });

  test('a release makes one commit with the version and the dated changelog', () => {
    const unreleased = readSections(read('CHANGELOG.md'))[0]?.text;
    const before = version(read('package.json'));
    const { status, stdout, stderr } = release('900.0.0');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /git tag -s v900\.0\.0 .*\n.*git push --atomic origin HEAD:main v900\.0\.0/);
    assert.equal(git('log', '-1', '--format=%s'), 'Release 900.0.0');
    assert.equal(git('status', '--porcelain'), '');
    assert.equal(version(read('package.json')), '900.0.0');
    assert.equal(version(read('package-lock.json')), '900.0.0');
    for (const [file, place] of versionPlaces) assert.match(read(file), place);
    assert.ok(!read('docs/install.md').includes(before), 'docs/install.md names the new version only');
    assert.match(read('test/fixtures/databases/900.0.0.sql'), /^CREATE TABLE keys /m);
    const [next, newest] = readSections(read('CHANGELOG.md'));
    assert.deepEqual([next?.text, newest?.version, newest?.text], ['', '900.0.0', unreleased]);
  });

  test('a released version is not released again', () => {
    assert.match(release('900.0.0').stderr, /released already/);
    assert.match(release('900.0.1').stderr, /nothing unreleased/);
    assert.match(release('v901').stderr, /not a version/);
  });

  test('an unknown part is refused', () => {
    assert.match(release('--dry-run', '--parts', 'rpm').stderr, /no part rpm, only npm, deb, image/);
  });

  test('a tag of another version is refused', () => {
    const { status, stderr } = release('--dry-run', '--parts', 'npm', '--tag', 'v900.0.1');
    assert.equal(status, 1);
    assert.match(stderr, /The tag is v900\.0\.1, and the version in package\.json is 900\.0\.0\./);
  });
});
