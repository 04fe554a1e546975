/** Everything of a release that needs no account: its files, checked, in build/release. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSections, releaseNotes } from './changelog.ts';
import { builders, type Release } from './parts.ts';
import { git, isClean, manifest, out, read } from './repository.ts';

type Request = { parts: readonly string[] | undefined; tag: string | undefined };

/** With a tag, what would be wrong with the release is an error. Without `parts`, what this machine cannot build is skipped. */
export async function dryRun({ parts, tag }: Request): Promise<void> {
  const release = readRelease();
  const { version } = release;
  const problems = findProblems(version, tag ?? `v${version}`);
  if (tag !== undefined && problems.length > 0) throw new Error(problems.join(' '));
  // The same commit gives the same files.
  process.env['SOURCE_DATE_EPOCH'] ??= git('log', '-1', '--format=%ct');

  console.log(`claude-relay ${version}, commit ${git('rev-parse', '--short', 'HEAD')}`);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const part of parts ?? Object.keys(builders)) {
    const build = builders[part];
    if (build === undefined)
      throw new Error(`There is no part ${part}, only ${Object.keys(builders).join(', ')}.`);
    const skipped = await build(release);
    if (skipped !== undefined && parts !== undefined) throw new Error(`${part}: ${skipped}`);
    console.log(`${part}: ${skipped === undefined ? 'built and checked' : `skipped: ${skipped}`}`);
  }
  writeLists(release);
  for (const name of readdirSync(out)) {
    console.log(`  build/release/${name} (${(statSync(join(out, name)).size / 2 ** 20).toFixed(1)} MiB)`);
  }
  for (const problem of problems) console.log(`A release would stop here: ${problem}`);
  console.log(`For the tag v${version}, .github/workflows/release.yml would then
  push ${release.image}:${release.image_tag} for amd64 and arm64, sign it, and record its provenance and SBOMs
  publish claude-relay@${version} to npm as ${release.channel}, with provenance
  move the image's tag ${release.channel}
  create the GitHub release v${version} with these files and notes`);
}

function readRelease(): Release {
  const { version, devDependencies } = manifest();
  return {
    version,
    channel: version.includes('-') ? 'next' : 'latest',
    image: 'ghcr.io/claude-relay/claude-relay',
    image_tag: `${version}-claude-${devDependencies['@anthropic-ai/claude-code']}`,
  };
}

function findProblems(version: string, tag: string): string[] {
  const [unreleased, newest] = readSections(read('CHANGELOG.md'));
  const problems = [];
  if (tag !== `v${version}`)
    problems.push(`The tag is ${tag}, and the version in package.json is ${version}.`);
  if (newest?.version !== version) problems.push(`The newest section of CHANGELOG.md is not ${version}.`);
  if (unreleased?.text !== '') problems.push('CHANGELOG.md has unreleased changes.');
  if (!isClean()) problems.push('There are changes that are not committed.');
  return problems;
}

/** Checksums and notes for the GitHub release, and what its workflow needs to know. */
function writeLists(release: Release): void {
  const files = readdirSync(out).filter((name) => /\.(?:tgz|deb)$/.test(name));
  if (files.length === 0) return;
  const [unreleased, newest] = readSections(read('CHANGELOG.md'));
  const section = unreleased?.text === '' ? newest : unreleased;
  const sha256 = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(join(out, name)))
      .digest('hex');
  const lists = {
    SHA256SUMS: files.map((name) => `${sha256(name)}  ${name}\n`),
    'notes.md': [section === undefined ? '' : releaseNotes(section)],
    facts: Object.entries(release).map(([name, value]) => `${name}=${value}\n`),
  };
  for (const [name, lines] of Object.entries(lists)) writeFileSync(join(out, name), lines.join(''));
}
