/** release.yml publishes nothing untested or unasked, and a repeated run does no harm. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { blocks, documents } from './support/documents.ts';
import { root } from './support/relay.ts';
import { workflows, type Job } from './support/workflows.ts';

describe('the release', () => {
  const jobs = workflows.find(({ name }) => name.endsWith('/release.yml'))?.workflow.jobs ?? {};
  const needed = (id: string): string[] => {
    const direct = [jobs[id]?.needs ?? []].flat();
    return direct.concat(direct.flatMap(needed));
  };
  const canWrite = Object.keys(jobs).filter((id) =>
    Object.values(jobs[id]?.permissions ?? {}).includes('write'),
  );
  const cannotWrite = Object.keys(jobs).filter((id) => !canWrite.includes(id));

  test('every job that can write runs for a tag only, after each test and build', () => {
    assert.ok(canWrite.length > 1);
    for (const id of canWrite) {
      assert.deepEqual(
        cannotWrite.filter((other) => !needed(id).includes(other)),
        [],
        id,
      );
      assert.equal(jobs[id]?.if, "github.ref_type == 'tag'", id);
    }
  });

  test('a maintainer is asked before the first job that can write', () => {
    assert.equal(jobs['publish-image']?.environment, 'release');
    assert.deepEqual(
      canWrite.filter((id) => id !== 'publish-image' && !needed(id).includes('publish-image')),
      [],
    );
  });

  test('the GitHub release is last, and only its job can write to the repository', () => {
    const others = Object.keys(jobs).filter((id) => id !== 'release');
    assert.deepEqual(
      others.filter((id) => !needed('release').includes(id)),
      [],
    );
    assert.deepEqual(
      canWrite.filter((id) => jobs[id]?.permissions?.['contents'] === 'write'),
      ['release'],
    );
  });

  describe('run again', () => {
    const integrity = `sha512-${createHash('sha512').update('a tarball').digest('base64')}`;
    for (const [what, job, view, expected] of [
      [
        'npm publishes a new version',
        'publish-npm',
        'exit 1',
        { status: 0, calls: ['publish ./claude-relay-0.1.0.tgz --tag latest'] },
      ],
      ['npm keeps the same tarball', 'publish-npm', `echo ${integrity}`, { status: 0, calls: [] }],
      [
        'npm refuses another tarball of a version',
        'publish-npm',
        'echo sha512-another',
        { status: 1, calls: [] },
      ],
      ['a published release stays', 'release', 'echo false', { status: 0, calls: [] }],
      [
        'a draft is replaced',
        'release',
        'echo true',
        { status: 0, calls: ['release delete', 'release create', 'release edit'] },
      ],
      [
        'a new release begins as a draft',
        'release',
        'exit 1',
        { status: 0, calls: ['release create', 'release edit'] },
      ],
    ] as const) {
      test(what, () => {
        const { status, calls } = runScript(jobs[job], view);
        assert.equal(status, expected.status);
        assert.equal(calls.length, expected.calls.length);
        for (const [index, call] of expected.calls.entries())
          assert.ok(calls[index]?.startsWith(call), calls[index]);
      });
    }
  });
});

test('docs/install.md verifies with the identity that release.yml signs with', () => {
  const commands = blocks(documents['docs/install.md'] ?? '', 'sh').join('');
  const all = (pattern: RegExp): string[] => [...new Set(commands.match(pattern))];
  const { repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    repository: { url: string };
  };
  const [, slug = ''] = /github\.com\/(.+)\.git$/.exec(repository.url) ?? [];
  assert.deepEqual(all(/--repo \S+/g), [`--repo ${slug}`]);
  assert.deepEqual(all(/ghcr\.io\/[^:]+/g), [`ghcr.io/${slug}`]);
  assert.deepEqual(all(/--certificate-identity \S+(?=@)/g), [
    `--certificate-identity https://github.com/${slug}/.github/workflows/release.yml`,
  ]);
});

/** Runs the last script of a job as GitHub does, with a stand-in for the program that publishes: what it does after its question. */
function runScript(job: Job | undefined, view: string): { status: number | null; calls: string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'workflows-test-'));
  try {
    writeFileSync(join(directory, 'claude-relay-0.1.0.tgz'), 'a tarball');
    const log = join(directory, 'calls');
    const standIn = `#!/bin/sh\necho "$*" >> ${log}\ncase $* in *view*) ${view} ;; esac\n`;
    for (const program of ['npm', 'gh']) writeFileSync(join(directory, program), standIn, { mode: 0o755 });
    const run = job?.steps?.findLast((step) => step.run !== undefined)?.run ?? '';
    const values = { VERSION: '0.1.0', CHANNEL: 'latest', TAG: 'v0.1.0', PRERELEASE: 'false' };
    const env = { ...values, PATH: `${directory}:/usr/bin:/bin` };
    const { status } = spawnSync('bash', ['-e', '-c', run], { cwd: directory, env, stdio: 'ignore' });
    return { status, calls: readFileSync(log, 'utf8').trim().split('\n').slice(1) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
