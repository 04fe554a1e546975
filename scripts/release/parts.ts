/** The parts of a release. Each puts its files into build/release, and returns why this machine cannot build it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { out, read, root } from './repository.ts';
import { imageSbom } from './sbom.ts';

export type Release = {
  version: string;
  /** The tag, on npm and of the image, that follows the newest version. */
  channel: 'latest' | 'next';
  image: string;
  image_tag: string;
};

type Builder = (release: Release) => Promise<string | undefined> | string | undefined;

export const builders: Readonly<Record<string, Builder>> = {
  npm: buildTarball,
  deb: buildDebs,
  image: buildImage,
};

async function buildTarball({ version }: Release): Promise<undefined> {
  run('npm', 'pack', '--silent', '--pack-destination', out);
  // A compiler comes with it.
  const { packageProblems } = await import('./package-problems.ts');
  const problems = await packageProblems(tarballOf(version));
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

function buildDebs({ version }: Release): string | undefined {
  if (!hasProgram('dpkg-deb')) return 'dpkg-deb is not installed.';
  for (const arch of ['amd64', 'arm64']) {
    run(
      process.execPath,
      'packaging/deb/build.ts',
      '--arch',
      arch,
      '--out',
      out,
      '--tarball',
      tarballOf(version),
    );
  }
  return undefined;
}

/** For this machine's architecture: the workflow has a machine of each. */
function buildImage({ version, image, image_tag }: Release): string | undefined {
  if (!hasProgram('buildah')) return 'buildah is not installed.';
  const base = /^ARG BASE=(.+)$/m.exec(read('packaging/image/Dockerfile'))?.[1] ?? '';
  if (spawnSync('buildah', ['pull', '--policy', 'missing', base], { stdio: 'ignore' }).status !== 0) {
    return `buildah cannot get the image ${base}.`;
  }
  // Works on each host, whatever its cgroups and namespaces allow.
  process.env['BUILDAH_ISOLATION'] ??= 'chroot';
  const name = `${image}:${image_tag}`;
  const archive = join(out, `image-${process.arch}.tar`);
  run(process.execPath, 'packaging/image/build.ts', '--engine', 'buildah', '--tag', name);
  // Unlike the format of OCI, this one has health checks.
  run('buildah', 'push', '--format', 'v2s2', name, `docker-archive:${archive}`);
  const cliVersion = image_tag.slice(`${version}-claude-`.length);
  writeFileSync(
    join(out, `sbom-${process.arch}.cdx.json`),
    JSON.stringify(imageSbom(archive, { version, cliVersion })),
  );
  return undefined;
}

function tarballOf(version: string): string {
  return join(out, `claude-relay-${version}.tgz`);
}

function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
}
