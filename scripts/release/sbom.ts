/** The bill of materials of an image, in CycloneDX: the packages that its layers contain. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Component = { type: 'library'; name: string; version: string; purl: string };

/** The files that name packages. */
const packageLists =
  /^(?:\.\/)?(?:var\/lib\/dpkg\/status|.*\/node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json)$/;

/** `archive` has the format of `docker save`. Claude Code is one binary, which names no version: it is given. */
export function imageSbom(
  archive: string,
  { version, cliVersion }: { version: string; cliVersion: string },
): object {
  const directory = mkdtempSync(join(tmpdir(), 'claude-relay-sbom-'));
  try {
    unpackLists(archive, directory);
    return {
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      serialNumber: `urn:uuid:${randomUUID()}`,
      version: 1,
      metadata: { component: { type: 'container', name: 'claude-relay', version } },
      components: [
        npmComponent('@anthropic-ai/claude-code', cliVersion),
        ...npmComponents(directory),
        ...debianComponents(directory),
      ],
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A later layer replaces what an earlier one has. */
function unpackLists(archive: string, directory: string): void {
  const tar = (args: readonly string[], input = ''): string =>
    execFileSync('tar', args, { cwd: directory, input, encoding: 'utf8', maxBuffer: 2 ** 28 });
  const [{ Layers: layers }] = JSON.parse(tar(['-xOf', archive, 'manifest.json'])) as [{ Layers: string[] }];
  for (const layer of layers) {
    tar(['-xf', archive, layer]);
    const names = tar(['-tf', layer])
      .split('\n')
      .filter((name) => packageLists.test(name));
    if (names.length > 0) tar(['-xf', layer, '--files-from=-'], names.join('\n'));
    rmSync(join(directory, layer));
  }
}

function npmComponents(directory: string): Component[] {
  return globSync('**/package.json', { cwd: directory })
    .toSorted()
    .map(
      (file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as { name: string; version: string },
    )
    .map(({ name, version }) => npmComponent(name, version));
}

function npmComponent(name: string, version: string): Component {
  return { type: 'library', name, version, purl: `pkg:npm/${name.replace('@', '%40')}@${version}` };
}

function debianComponents(directory: string): Component[] {
  return readFileSync(join(directory, 'var/lib/dpkg/status'), 'utf8')
    .split('\n\n')
    .filter((entry) => /^Status: install ok installed$/m.test(entry))
    .map((entry) => {
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(entry)?.[1] ?? '';
      const [name, version] = [field('Package'), field('Version')];
      const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${field('Architecture')}`;
      return { type: 'library', name, version, purl };
    });
}
