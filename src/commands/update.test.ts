/** `claude-relay update`, with a changelog on this machine. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { version } from '../installation.ts';
import { addUpdateCommand, newerReleases } from './update.ts';

const releases = `# Changelog

## [Unreleased]

- Not yet.

## [10.0.0] - 2031-02-03

### Added

- Ten.\u001b[31m

## [9.9.0] - 2030-01-01

- Nine.

## [${version}] - 2029-01-01

- This one.

[Unreleased]: https://example.com/compare
[10.0.0]: https://example.com/10
`;

/** What the command prints when the server answers with `status` and `text`. */
async function run(text: string, status = 200): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status).end(text));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    let out = '';
    const terminal = { out: (part: string) => void (out += part), err: assert.fail, gone: () => false };
    const program = new Command();
    const { port } = server.address() as AddressInfo;
    addUpdateCommand(program, { changelog: `http://127.0.0.1:${port}/CHANGELOG.md`, terminal });
    await program.parseAsync(['update'], { from: 'user' });
    return out;
  } finally {
    server.close();
  }
}

describe('update', () => {
  test('shows each newer release, the newest first, and the command that gets it', async () => {
    const out = await run(releases);
    assert.match(out, /^claude-relay 10\.0\.0 is available\. This is \d+\.\d+\.\d+, from a checkout\.\n/);
    assert.match(out, /## \[10\.0\.0\] - 2031-02-03\n\n### Added\n\n- Ten\.\[31m\n\n## \[9\.9\.0\]/);
    assert.match(out, /- Nine\.\n\nTo update: git pull && \.\/install\.sh\n$/);
    assert.doesNotMatch(out, /Not yet|This one|example\.com/);
  });

  test('reports that this is the newest version', async () => {
    const out = await run(releases.replace(/## \[10[^]*(?=## \[9)/, '').replace('[9.9.0]', '[0.0.1]'));
    assert.equal(out, `claude-relay ${version} is the newest version.\n`);
  });

  test('without an answer names the page to look at', async () => {
    const refused = (error: Error): boolean =>
      error instanceof CommandError &&
      /\(status 404\)\. See https:\/\/github\.com\/.*\/releases/.test(error.message);
    await assert.rejects(run('no', 404), refused);
    await assert.rejects(run('x'.repeat(3 * 1024 * 1024)), /the answer is too long/);
  });

  test('reports a timeout when the answer does not end', async () => {
    const server = createServer((_request, response) => response.writeHead(200).write('# Changelog\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const program = new Command();
    addUpdateCommand(program, { changelog: `http://127.0.0.1:${port}/`, timeoutMs: 100 });
    await assert.rejects(program.parseAsync(['update'], { from: 'user' }), /could not be read \(timeout\)/);
    server.closeAllConnections();
    server.close();
  });
});

test('a release keeps text that is not a link, also with many brackets', () => {
  const text = `## [9.0.0] - 2030-01-01\n\n[a\nb]: text\n${'[\n'.repeat(1_000_000)}`;
  assert.equal(newerReleases(text, version)[0]?.text, text.trimEnd());
});

test('versions are compared as numbers', () => {
  const newer = (current: string): string[] => newerReleases(releases, current).map((each) => each.version);
  assert.deepEqual(newer('9.9.0'), ['10.0.0']);
  assert.deepEqual(newer('9.10.0'), ['10.0.0']);
  assert.deepEqual(newer('10.0.0'), []);
  assert.deepEqual(newer('10.0.1'), []);
  assert.deepEqual(newer('10.0.0-rc.1'), ['10.0.0']);
  assert.deepEqual(newer('9.10.0-rc.1'), ['10.0.0']);
});
