/** A clean clone of this checkout, as after `git clone` and the installation by the first start. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './relay.ts';

/** Names in a checkout that are not files of the repository. */
const notCloned = new Set(['node_modules', '.git', 'config.env']);

/** Clones into `directory`, which must not exist. Changes that are not committed are included. */
export function cleanClone(directory: string): void {
  if (existsSync(join(root, '.git'))) {
    git('clone', '--quiet', root, directory);
    const changed = git(
      '-C',
      root,
      'ls-files',
      '--modified',
      '--deleted',
      '--others',
      '--exclude-standard',
      '-z',
    );
    for (const file of changed.split('\0').filter((name) => name !== '')) {
      rmSync(join(directory, file), { force: true });
      if (existsSync(join(root, file))) cpSync(join(root, file), join(directory, file));
    }
  } else {
    // An unpacked archive of the repository.
    mkdirSync(directory);
    for (const name of readdirSync(root).filter((each) => !notCloned.has(each))) {
      cpSync(join(root, name), join(directory, name), { recursive: true });
    }
  }
  linkPackages(directory);
}

/** A clean clone without uncommitted changes, in which git can commit. */
export function committedClone(directory: string): void {
  cleanClone(directory);
  const author = { 'user.name': 'A tester', 'user.email': 'tester@example.com', 'commit.gpgSign': 'false' };
  for (const [name, value] of Object.entries(author)) git('-C', directory, 'config', name, value);
  git('-C', directory, 'add', '--all');
  git('-C', directory, 'commit', '--quiet', '--allow-empty', '--message', 'What the checkout has');
}

function git(...args: string[]): string {
  return execFileSync('git', ['-c', 'safe.directory=*', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Like `npm ci`, without running it: a separate folder with a link for each package, so that nothing there can change this checkout. */
function linkPackages(directory: string): void {
  const from = join(root, 'node_modules');
  const to = join(directory, 'node_modules');
  mkdirSync(to);
  for (const name of readdirSync(from).filter((each) => each !== '.cache' && each !== '.package-lock.json')) {
    symlinkSync(join(from, name), join(to, name));
  }
  // Copied, so that it is newer than the lock file: `run.sh` compares the two.
  cpSync(join(from, '.package-lock.json'), join(to, '.package-lock.json'));
}
