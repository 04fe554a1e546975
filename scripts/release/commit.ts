/** The local part of a release: one commit with the version and the date. Pushing its tag is the maintainer's decision. */
import { execFileSync } from 'node:child_process';
import { closeUnreleased, readSections } from './changelog.ts';
import { git, isClean, read, root, write } from './repository.ts';

/** Where a version is written, apart from package.json and its lock file. */
export const versionPlaces: readonly (readonly [file: string, version: RegExp])[] = [
  ['clients/ts/package.json', /(?<="version": ").+(?=")/],
  ['packaging/image/compose.yaml', /(?<=claude-relay:).+(?=-claude-)/],
  [
    'docs/install.md',
    /(?<=claude-relay[:@_-]|both versions: `|tags\/v)\d+\.\d+\.\d+(?:-(?!claude)[0-9A-Za-z.]+)?/g,
  ],
  ['clients/python/pyproject.toml', /(?<=^version = ").+(?=")/m],
];

export function commitRelease(version: string): void {
  const changelog = read('CHANGELOG.md');
  const [unreleased, ...released] = readSections(changelog);
  if (!/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$/.test(version))
    throw new Error(`${version} is not a version like 1.2.3.`);
  if (released.some((section) => section.version === version))
    throw new Error(`${version} is released already.`);
  if (unreleased?.text === '') throw new Error('CHANGELOG.md has nothing unreleased.');
  if (!isClean()) throw new Error('There are changes that are not committed. Commit or stash them.');

  const options = ['--no-git-tag-version', '--allow-same-version', '--ignore-scripts'];
  execFileSync('npm', ['version', version, ...options], { cwd: root, stdio: 'ignore' });
  for (const [file, place] of versionPlaces) write(file, read(file).replace(place, version));
  // Later versions must upgrade the database that this one writes.
  const env = { ...process.env, WRITE: '1' };
  execFileSync(process.execPath, ['test/upgrades.test.ts'], { cwd: root, stdio: 'ignore', env });
  git('add', 'test/fixtures/databases');
  write('CHANGELOG.md', closeUnreleased(changelog, version, new Date().toISOString().slice(0, 10)));
  git('commit', '--quiet', '--all', '--message', `Release ${version}`);
  console.log(`Made the commit "Release ${version}". Check it and its files, then push it with a signed tag:

  git show
  npm run release -- --dry-run --tag v${version}
  git tag -s v${version} -m 'claude-relay ${version}'
  git push --atomic origin HEAD:main v${version}`);
}
