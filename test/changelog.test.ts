/** CHANGELOG.md has the form of Keep a Changelog 1.1.0, now and after the next release. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { closeUnreleased, linkLines, readSections, releaseNotes } from '../scripts/release/changelog.ts';
import { root } from './support/relay.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const changelog = read('CHANGELOG.md');
const kinds = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];
const versionNumber = /^(\d+)\.(\d+)\.(\d+)(?:-[0-9A-Za-z.-]+)?$/;

/** Orders versions of up to 999 in each part; a pre-release is before its release. */
function weigh(version: string): number {
  const [, major = 0, minor = 0, patch = 0] = versionNumber.exec(version) ?? [];
  return Number(major) * 1e9 + Number(minor) * 1e6 + Number(patch) * 1e3 - Number(version.includes('-'));
}

function checkForm(text: string): void {
  const sections = readSections(text);
  const versions = sections.map(({ version }) => version);
  const [unreleased, ...released] = sections;
  assert.equal(unreleased?.version, 'Unreleased');
  assert.equal(unreleased.date, undefined);
  assert.equal(new Set(versions).size, versions.length, 'each version has one section');
  for (const [index, { version, date = '' }] of released.entries()) {
    assert.match(version, versionNumber);
    assert.equal(new Date(date).toISOString().slice(0, 10), date, `the date of ${version}`);
    const before = released[index + 1];
    if (before === undefined) continue;
    assert.ok(weigh(version) > weigh(before.version), `${version} follows ${before.version}`);
    assert.ok(date >= (before.date ?? ''), `${version} is not older than ${before.version}`);
  }
  for (const section of sections) {
    const [before, ...groups] = section.text.split(/^### /m);
    assert.equal(before, '', `${section.version} begins with a group`);
    const names = groups.map((group) => group.slice(0, group.indexOf('\n')));
    assert.deepEqual(
      names,
      kinds.filter((kind) => names.includes(kind)),
      `the groups of ${section.version}`,
    );
    assert.ok(names.length > 0 || section === unreleased, `${section.version} says what it contains`);
    for (const group of groups) {
      assert.match(
        `${group.trim()}\n`,
        /^\w+\n\n(?:- \S.*\n(?: {2}\S.*\n)*)+$/,
        `a list of entries in ${section.version}`,
      );
    }
  }
  assert.deepEqual(text.match(/^\[[^\]]+\]: .*$/gm), linkLines(versions));
}

describe('CHANGELOG.md', () => {
  test('the changelog has the sections, groups, dates and links of Keep a Changelog', () => {
    checkForm(changelog);
  });

  test('package.json has the version of the newest release', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const newest = readSections(changelog)[1];
    if (newest !== undefined) assert.equal(version, newest.version);
  });
});

describe('a release', () => {
  const header = '# Changelog\n\nText.\n\n';
  const entries = '### Added\n\n- One\n  thing.\n- Another.\n\n### Fixed\n\n- A third.';

  test('the first release dates what was unreleased and links to its tag', () => {
    const text = `${header}## [Unreleased]\n\n${entries}\n\n${linkLines(['Unreleased']).join('\n')}\n`;
    checkForm(text);
    const closed = closeUnreleased(text, '0.1.0', '2026-12-01');
    checkForm(closed);
    assert.deepEqual(readSections(closed), [
      { version: 'Unreleased', date: undefined, text: '' },
      { version: '0.1.0', date: '2026-12-01', text: entries },
    ]);
    assert.match(closed, /^\[0\.1\.0\]: \S+\/releases\/tag\/v0\.1\.0$/m);
  });

  test('a later release links to the comparison with the version before', () => {
    const next = closeUnreleased(
      closeUnreleased(changelog, '900.0.0', '2998-01-01'),
      '900.1.0-rc.1',
      '2998-02-01',
    );
    const closed = closeUnreleased(
      next.replace('## [Unreleased]\n', `$&\n${entries}\n`),
      '900.1.0',
      '2998-03-01',
    );
    assert.match(closed, /^\[900\.1\.0\]: \S+\/compare\/v900\.1\.0-rc\.1\.\.\.v900\.1\.0$/m);
    assert.match(closed, /^\[Unreleased\]: \S+\/compare\/v900\.1\.0\.\.\.HEAD$/m);
    assert.deepEqual(
      readSections(closed)
        .slice(0, 2)
        .map(({ text }) => text),
      ['', entries],
    );
  });

  test('release notes have one line for each entry', () => {
    assert.equal(
      releaseNotes({ version: '0.1.0', date: '2026-12-01', text: entries }),
      '### Added\n\n- One thing.\n- Another.\n\n### Fixed\n\n- A third.\n',
    );
  });
});
