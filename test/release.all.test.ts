/** The files of a release, built twice: the compiler takes its time. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { committedClone } from './support/clone.ts';
import { runRelease } from './support/release.ts';

const scratch = mkdtempSync(join(tmpdir(), 'release-test-'));
after(() => rmSync(scratch, { recursive: true }));

test('the same commit gives the same tarball in each directory, and publint and attw accept it', () => {
  const sums = ['a', 'another'].map((name) => {
    const clone = join(scratch, name);
    committedClone(clone);
    const { status, stdout, stderr } = runRelease(clone, '--dry-run', '--parts', 'npm', '--tag', '');
    assert.equal(status, 0, stdout + stderr);
    assert.match(readFileSync(join(clone, 'build/release/facts'), 'utf8'), /^channel=latest$/m);
    assert.match(readFileSync(join(clone, 'build/release/notes.md'), 'utf8'), /^### Added\n\n- /);
    return readFileSync(join(clone, 'build/release/SHA256SUMS'), 'utf8');
  });
  assert.match(sums[0] ?? '', /^[0-9a-f]{64} {2}claude-relay-\d+\.\d+\.\d+\.tgz\n$/);
  assert.equal(sums[0], sums[1]);
});
