/**
 * Builds the Debian package:
 *
 *   node packaging/deb/build.ts [--arch amd64|arm64] [--out build/release] [--tarball file of npm pack]
 *
 * The same commit gives the same bytes. SOURCE_DATE_EPOCH overrides the commit's time.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stage } from '../stage.ts';
import { copyrightText } from './copyright.ts';
import { packagedUnit } from './unit.ts';
import { debianVersion } from './version.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = 'usr/lib/claude-relay';
const documents = 'usr/share/doc/claude-relay';
const architectures = { amd64: 'x64', arm64: 'arm64' } as const;

const { values: flags } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
    out: { type: 'string', default: join(root, 'build/release') },
    tarball: { type: 'string' },
  },
});

const scratch = mkdtempSync(join(tmpdir(), 'claude-relay-deb-'));
try {
  console.log(build(join(scratch, 'package')));
} finally {
  rmSync(scratch, { recursive: true });
}

/** Returns the package's path. */
function build(tree: string): string {
  const { arch } = flags;
  if (arch !== 'amd64' && arch !== 'arm64') throw new Error(`--arch must be amd64 or arm64; it is ${arch}.`);
  const tarball = flags.tarball ?? pack();
  stage({ directory: join(tree, program), arch: architectures[arch], way: 'deb', tarball });
  const { version } = JSON.parse(readFileSync(join(tree, program, 'package.json'), 'utf8')) as {
    version: string;
  };
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct'));

  write(tree, `${documents}/copyright`, copyrightText(join(tree, program), program));
  prune(join(tree, program, 'node_modules'));
  place(tree);
  write(tree, `${documents}/changelog`, changelog(debianVersion(version), version, epoch));
  for (const page of [`${documents}/changelog`, 'usr/share/man/man1/claude-relay.1']) {
    execFileSync('gzip', ['-9n', join(tree, page)]);
  }
  const files = filesIn(tree);
  const control = readFileSync(new URL('control', import.meta.url), 'utf8')
    .replace('@version@', debianVersion(version))
    .replace('@architecture@', arch)
    .replace('@installed_size@', String(kibibytes(tree, files)));
  write(tree, 'DEBIAN/control', control);
  for (const script of ['postinst', 'prerm']) {
    write(tree, `DEBIAN/${script}`, readFileSync(new URL(script, import.meta.url), 'utf8'));
  }
  write(tree, 'DEBIAN/md5sums', files.map((file) => `${md5(join(tree, file))}  ${file}\n`).join(''));
  normalise(tree, epoch);

  const deb = join(resolve(flags.out), `claude-relay_${debianVersion(version)}_${arch}.deb`);
  mkdirSync(dirname(deb), { recursive: true });
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, deb], {
    // The bytes of the compression depend on the number of threads.
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), DPKG_DEB_THREADS_MAX: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return deb;
}

function pack(): string {
  const packed = execFileSync('npm', ['pack', '--json', '--silent', `--pack-destination=${scratch}`], {
    cwd: root,
    encoding: 'utf8',
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  return join(scratch, filename);
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

/** Removes the tests of each package, and files for editors and other tools: the program loads none, and lintian finds faults in them. */
function prune(modules: string): void {
  for (const { name, parentPath } of readdirSync(modules, { recursive: true, withFileTypes: true })) {
    const tests = name === 'test' && existsSync(join(parentPath, 'package.json'));
    if (tests || (name.startsWith('.') && name !== '.bin')) {
      rmSync(join(parentPath, name), { recursive: true, force: true });
    }
  }
}

/** Puts each file where Debian expects it. */
function place(tree: string): void {
  const share = join(program, 'share');
  move(tree, `${share}/man/man1/claude-relay.1`, 'usr/share/man/man1/claude-relay.1');
  move(tree, `${share}/completions/claude-relay.bash`, 'usr/share/bash-completion/completions/claude-relay');
  move(tree, `${share}/completions/_claude-relay`, 'usr/share/zsh/vendor-completions/_claude-relay');
  move(
    tree,
    `${share}/completions/claude-relay.fish`,
    'usr/share/fish/vendor_completions.d/claude-relay.fish',
  );
  rmSync(join(tree, share), { recursive: true });
  // Its text is in the package's copyright.
  rmSync(join(tree, program, 'LICENSE'));
  mkdirSync(join(tree, 'usr/bin'));
  symlinkSync('../lib/claude-relay/bin/claude-relay', join(tree, 'usr/bin/claude-relay'));
  write(tree, 'usr/lib/systemd/user/claude-relay.service', packagedUnit());
  for (const [from, to] of [
    ['README.Debian', `${documents}/README.Debian`],
    ['lintian-overrides', 'usr/share/lintian/overrides/claude-relay'],
  ] as const) {
    write(tree, to, readFileSync(new URL(from, import.meta.url), 'utf8'));
  }
}

function move(tree: string, from: string, to: string): void {
  mkdirSync(dirname(join(tree, to)), { recursive: true });
  renameSync(join(tree, from), join(tree, to));
}

function write(tree: string, file: string, text: string): void {
  mkdirSync(dirname(join(tree, file)), { recursive: true });
  writeFileSync(join(tree, file), text);
}

/** In Debian's format. CHANGELOG.md is the real one. */
function changelog(version: string, release: string, epoch: number): string {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  return `claude-relay (${version}) stable; urgency=medium

  * See https://github.com/claude-relay/claude-relay/releases/tag/v${release}
    or /usr/lib/claude-relay/CHANGELOG.md.

 -- claude-relay contributors <claude-relay@users.noreply.github.com>  ${date}
`;
}

/** Regular files, by name. */
function filesIn(tree: string): string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .sort();
}

/** As dpkg counts them: each file in whole kibibytes, and one for everything else. */
function kibibytes(tree: string, files: readonly string[]): number {
  const others = readdirSync(tree, { recursive: true }).length - files.length;
  return files.reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), others);
}

function md5(file: string): string {
  return createHash('md5').update(readFileSync(file)).digest('hex');
}

/** Gives everything the same time, and modes that do not depend on who unpacked it. */
function normalise(tree: string, epoch: number): void {
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || isExecutable(path) ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  }
  chmodSync(tree, 0o755);
  lutimesSync(tree, epoch, epoch);
}

/** The packages have other scripts, which the program does not run. */
function isExecutable(path: string): boolean {
  return [`${program}/bin/claude-relay`, '/bin/node', 'DEBIAN/postinst', 'DEBIAN/prerm'].some((name) =>
    path.endsWith(name),
  );
}
