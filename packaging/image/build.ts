/**
 * Builds the image, by default for this machine's architecture with Docker:
 *
 *   node packaging/image/build.ts [--arch x64|arm64] [--engine docker|podman|buildah] [--base image] [--tag tag]
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stage, type Arch } from '../stage.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What the Dockerfile copies. */
const context = join(root, 'build/image');
/** As the platforms of images are called. */
const platforms = { x64: 'amd64', arm64: 'arm64' } as const;

const { version } = readJson('package.json') as { version: string };
const { packages } = readJson('package-lock.json') as {
  packages: Record<string, { version: string; integrity: string }>;
};

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    engine: { type: 'string', default: 'docker' },
    base: { type: 'string' },
    tag: { type: 'string' },
  },
});
const arch = archOf(options.arch);
rmSync(context, { recursive: true, force: true });
mkdirSync(context, { recursive: true });
const tarball = npmPack(root, context).file;
const files = join(context, platforms[arch]);
stage({ directory: join(files, 'usr/lib/claude-relay'), arch, way: 'image', tarball });
placeCli(join(files, 'usr/local/bin'));
build();

function build(): void {
  const { engine, base, tag = imageTag() } = options;
  const labels = {
    title: 'claude-relay',
    description: 'A self-hosted, secured HTTP API around the Claude Code that its owner already runs.',
    version,
    source: 'https://github.com/claude-relay/claude-relay',
    'base.name': base ?? 'docker.io/library/debian:13-slim',
  };
  execFileSync(
    engine,
    [
      'build',
      ...['--file', join(root, 'packaging/image/Dockerfile'), '--tag', tag],
      ...['--platform', `linux/${platforms[arch]}`],
      // The format of OCI has no health check.
      ...(engine === 'docker' ? [] : ['--format', 'docker']),
      ...(base === undefined ? [] : ['--build-arg', `BASE=${base}`]),
      ...Object.entries(labels).flatMap(([name, text]) => [
        '--label',
        `org.opencontainers.image.${name}=${text}`,
      ]),
      context,
    ],
    { stdio: 'inherit' },
  );
  console.log(tag);
}

/** The lock is proved against the CLI of the image, so its version is in the name. */
function imageTag(): string {
  return `ghcr.io/claude-relay/claude-relay:${version}-claude-${cliPackage().version}`;
}

/** Puts the program of the lock file's CLI into `directory`. */
function placeCli(directory: string): void {
  const { name, version: cliVersion, integrity } = cliPackage();
  const scratch = mkdtempSync(join(tmpdir(), 'claude-relay-cli-'));
  try {
    const packed = npmPack(`${name}@${cliVersion}`, scratch);
    if (packed.integrity !== integrity) throw new Error(`${name} is not the one of package-lock.json`);
    execFileSync('tar', ['-xzf', packed.file, '-C', scratch, 'package/claude']);
    mkdirSync(directory, { recursive: true });
    copyFileSync(join(scratch, 'package/claude'), join(directory, 'claude'));
    chmodSync(join(directory, 'claude'), 0o755);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function cliPackage(): { name: string; version: string; integrity: string } {
  const name = `@anthropic-ai/claude-code-linux-${arch}`;
  const entry = packages[`node_modules/${name}`];
  if (entry === undefined) throw new Error(`package-lock.json has no ${name}`);
  return { name, ...entry };
}

function npmPack(what: string, to: string): { file: string; integrity: string } {
  const out = execFileSync('npm', ['pack', what, '--json', '--pack-destination', to], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const [packed] = JSON.parse(out) as [{ filename: string; integrity: string }];
  return { file: join(to, packed.filename), integrity: packed.integrity };
}

function archOf(name: string): Arch {
  if (name === 'x64' || name === 'arm64') return name;
  throw new Error(`--arch is x64 or arm64; it is ${name}`);
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(root, file), 'utf8'));
}
