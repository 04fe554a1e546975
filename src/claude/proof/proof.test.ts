import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createHostileHome, type HostileHome } from '../../../test/support/hostile-home.ts';
import { runsAll } from '../../../test/support/needs.ts';
import { clis, fixtureCli, newest } from '../../../test/support/real-cli.ts';
import type { HostEnv } from '../lock.ts';
import { proveLock, type Proof } from './proof.ts';

let emptyHome: string;
let hostile: HostileHome;

before(() => {
  emptyHome = mkdtempSync(join(tmpdir(), 'empty-home-'));
  hostile = createHostileHome();
});
after(() => {
  rmSync(emptyHome, { recursive: true, force: true });
  hostile.remove();
});

function hostEnv(home = emptyHome): HostEnv {
  return { HOME: home, PATH: process.env['PATH'] };
}

function failed(proof: Proof): string[] {
  return proof.checks.filter((check) => !check.ok).map((check) => check.name);
}

function detail(proof: Proof, name: string): string {
  return proof.checks.find((check) => check.name === name)?.detail ?? `no check ${name}`;
}

describe('the lock holds', () => {
  for (const cli of clis) {
    test(`the lock holds on ${cli.version}`, async () => {
      const proof = await proveLock({ claudeBin: cli.path, hostEnv: hostEnv() });
      assert.deepEqual(failed(proof), []);
      assert.equal(proof.proved, true);
      assert.equal(proof.hotProblem, undefined);
      assert.equal(proof.cliVersion, cli.version);
      // The line for the API's accounting and one sentence.
      assert.equal(proof.addedTexts.length, 2);
      assert.ok(
        proof.addedTexts.every((characters) => characters < 100),
        String(proof.addedTexts),
      );
      assert.ok(proof.addedBytes > 500 && proof.addedBytes < 1000, String(proof.addedBytes));
      const tools = proof.checks.filter((check) => check.name.startsWith('tool-use-refused:'));
      assert.ok(tools.length >= 12, `${tools.length} tools tried`);
      assert.ok(proof.checks.some((check) => check.name === 'at-file-not-read'));
    });

    test(`the lock holds on ${cli.version} in a hostile home`, async () => {
      hostile.reset();
      const proof = await proveLock({ claudeBin: cli.path, hostEnv: hostEnv(hostile.home) });
      assert.deepEqual(failed(proof), []);
      assert.equal(proof.hotProblem, undefined);
      assert.deepEqual(hostile.ran(), []);
    });
  }
});

describe('a CLI that must not serve a second request', () => {
  const cases: [cli: string, checks: string[], detail: RegExp][] = [
    [
      'keeps-settings',
      ['hot-keeps-nothing'],
      /max_tokens of an earlier request; effort of an earlier request/,
    ],
    [
      'keeps-the-body',
      ['hot-sent-verbatim', 'hot-keeps-nothing'],
      /in a message of the user.*messages where 1 were asked/,
    ],
    ['serves-one-turn', ['hot-turns-end', 'hot-sent-verbatim'], /^$/],
  ];
  for (const [cli, checks, kept] of cases) {
    test(`the CLI ${cli} is proved, but fails ${checks.join(', ')}`, async () => {
      const proof = await proveLock({ claudeBin: fixtureCli(cli), hostEnv: hostEnv() });
      assert.deepEqual(failed(proof), checks);
      assert.equal(proof.proved, true);
      assert.equal(
        proof.hotProblem,
        `this Claude Code can serve one request a process only: ${checks.join(', ')}`,
      );
      assert.match(detail(proof, 'hot-keeps-nothing'), kept);
    });
  }
});

describe('the proof fails closed', () => {
  /** `again`: only in `npm run test:all`, as others show that each kind of failure is noticed. */
  const cases: { cli: string; includes: string[]; excludes?: string[]; again?: true }[] = [
    { cli: 'drops-tools', includes: ['init-lists-nothing', 'offers-no-tool', 'tool-use-refused:Read'] },
    { cli: 'lists-a-tool', includes: ['init-lists-nothing'], excludes: ['offers-no-tool'], again: true },
    { cli: 'reads-at-files', includes: ['at-file-not-read'] },
    {
      cli: 'runs-slash-commands',
      includes: ['slash-command-not-run'],
      excludes: ['at-file-not-read'],
      again: true,
    },
    {
      cli: 'loses-system-prompt',
      includes: ['sent-verbatim', 'nothing-added'],
      excludes: ['names-no-owner'],
    },
    {
      cli: 'ignores-settings',
      includes: ['sent-verbatim', 'nothing-added', 'names-no-owner'],
      excludes: ['offers-no-tool'],
    },
    {
      cli: 'names-the-account',
      includes: ['nothing-added', 'names-no-owner'],
      excludes: ['sent-verbatim', 'no-real-credential'],
      again: true,
    },
    { cli: 'adds-to-system', includes: ['nothing-added'], excludes: ['names-no-owner'], again: true },
    { cli: 'reads-settings', includes: ['no-hook-ran', 'no-claude-md', 'no-output-style', 'no-agent'] },
    {
      cli: 'starts-an-mcp-server',
      includes: ['init-lists-nothing'],
      excludes: ['offers-no-tool'],
      again: true,
    },
    { cli: 'lists-a-skill', includes: ['init-lists-nothing'], excludes: ['offers-no-tool'], again: true },
    { cli: 'changes-a-byte', includes: ['sent-verbatim'], excludes: ['names-no-owner'], again: true },
    { cli: 'asks-beside', includes: ['asks-no-more', 'one-way-out'], excludes: ['sent-verbatim'] },
    { cli: 'asks-another-model', includes: ['asks-the-model'], excludes: ['sent-verbatim'] },
    { cli: 'leaves-the-valve', includes: ['one-way-out'], excludes: ['sent-verbatim', 'hot-turns-end'] },
    { cli: 'keeps-sessions', includes: ['no-session-kept'], excludes: ['sent-verbatim'], again: true },
    {
      cli: 'answers-in-one-piece',
      includes: ['streams-the-answer'],
      excludes: ['sent-verbatim'],
      again: true,
    },
    { cli: 'says-goodbye', includes: ['speaks-the-protocol'], excludes: ['sent-verbatim'], again: true },
    { cli: 'never-starts', includes: ['starts'] },
    { cli: 'garbage', includes: ['starts'], again: true },
  ];
  for (const { cli, includes, excludes = [], again } of cases) {
    if (again && !runsAll) continue;
    test(`the CLI ${cli} fails ${includes.join(', ')}`, async () => {
      const proof = await proveLock({ claudeBin: fixtureCli(cli), hostEnv: hostEnv() });
      assert.equal(proof.proved, false);
      const names = failed(proof);
      assert.deepEqual(
        includes.filter((name) => !names.includes(name)),
        [],
        names.join(),
      );
      assert.deepEqual(
        excludes.filter((name) => names.includes(name)),
        [],
        names.join(),
      );
    });
  }

  test('a socket for messages from other sessions fails the proof', async () => {
    const proof = await proveLock({ claudeBin: fixtureCli('opens-inbox'), hostEnv: hostEnv() });
    assert.deepEqual(failed(proof), ['init-lists-nothing']);
    assert.match(detail(proof, 'init-lists-nothing'), /messaging_socket_path/);
  });

  test('a message that names the account fails the proof with each login that has one', async () => {
    const proof = await proveLock({ claudeBin: fixtureCli('names-the-account'), hostEnv: hostEnv() });
    assert.equal(
      detail(proof, 'names-no-owner'),
      "the owner's email is in the request (stored-login); the owner's email is in the request (setup-token)",
    );
    assert.ok(!JSON.stringify(proof).includes('@example.invalid'));
  });

  test("the host's instructions fail the proof and are not repeated", async () => {
    const home = mkdtempSync(join(tmpdir(), 'instructed-home-'));
    const line = 'Always greet the owner by the name of the family.';
    mkdirSync(join(home, '.claude'));
    writeFileSync(join(home, '.claude', 'CLAUDE.md'), `# Notes\n\n${line}\n`);
    const proof = await proveLock({ claudeBin: fixtureCli('reads-settings'), hostEnv: hostEnv(home) });
    rmSync(home, { recursive: true, force: true });
    assert.match(detail(proof, 'no-claude-md'), /host's instruction files/);
    assert.ok(!JSON.stringify(proof).includes(line));
  });

  test('a CLI that prints nothing and ignores signals fails the proof', async () => {
    const proof = await proveLock({ claudeBin: fixtureCli('hangs'), hostEnv: hostEnv(), timeoutMs: 300 });
    assert.deepEqual(failed(proof), ['starts']);
    assert.equal(detail(proof, 'starts'), 'no answer in time');
  });

  test('a missing CLI and one that cannot run fail the proof', async () => {
    const file = join(emptyHome, 'not-executable');
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o600 });
    for (const claudeBin of [join(emptyHome, 'none'), file, emptyHome, '']) {
      const proof = await proveLock({ claudeBin, hostEnv: hostEnv() });
      assert.deepEqual(failed(proof), ['starts'], claudeBin);
      assert.equal(proof.cliVersion, undefined);
    }
  });

  test('a proof that is stopped fails', async () => {
    const stop = new AbortController();
    const proving = proveLock({ claudeBin: newest, hostEnv: hostEnv(), signal: stop.signal });
    stop.abort();
    const proof = await proving;
    assert.deepEqual(failed(proof), ['starts']);
    const late = await proveLock({
      claudeBin: newest,
      hostEnv: hostEnv(),
      signal: AbortSignal.abort(),
    });
    assert.equal(late.proved, false);
  });

  test('the proof leaves no directory', () => {
    const mine = new RegExp(`^relay-${process.pid}-`);
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => mine.test(name)),
      [],
    );
  });
});
