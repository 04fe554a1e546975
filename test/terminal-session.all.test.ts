/**
 * A newcomer's first session, in a clean clone, on two real terminals: the demo, a start, a key, the README's call, the doctor, the
 * usage, and the end of the key. A failed step prints everything that both terminals showed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { type FailingModel, startFailingModel } from './support/failing-model.ts';
import { needs } from './support/needs.ts';
import { freePort } from './support/ports.ts';
import { cleanClone } from './support/clone.ts';
import { newest } from './support/relay.ts';
import { openTerminal, type TestTerminal } from './support/terminal.ts';

let scratch: string;
let checkout: string;
let model: FailingModel;
let port: number;
let first: Shell;
let second: Shell;

/** A shell on a terminal: a line typed, and what it shows until the prompt is back. */
type Shell = { terminal: TestTerminal; run: (line: string) => Promise<{ status: number; shown: string }> };

/** The prompt tells the exit status of the line before. */
const prompt = /\[(\d+)\]\$ $/;

async function openShell(env: Record<string, string>): Promise<Shell> {
  const terminal = openTerminal('bash --norc --noprofile --noediting -i', { env, cwd: checkout });
  terminal.type(`PS1='[$?]$ '\n`);
  await terminal.until(prompt);
  return {
    terminal,
    run: async (line) => {
      terminal.type(`${line}\n`);
      const shown = await terminal.until(prompt, 120_000);
      const status = Number(prompt.exec(shown)?.[1]);
      // Without the line itself, which the terminal shows as it is typed.
      return {
        status,
        shown: shown
          .slice(shown.indexOf('\n', shown.lastIndexOf(line.split('\n').at(-1) ?? '')) + 1)
          .replace(prompt, ''),
      };
    },
  };
}

/** The first curl call of the README, for this relay's port, in one line as a person would paste it. */
function readmeCall(): string {
  const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
  const call =
    /^```sh\n(curl [^`]*?\/v1\/complete [^`]*?)\n```$/m.exec(readme)?.[1] ?? assert.fail('no call');
  assert.match(call, /http:\/\/127\.0\.0\.1:8799\//);
  return call.replaceAll('127.0.0.1:8799', `127.0.0.1:${port}`).replaceAll(/ \\\n +/g, ' ');
}

/** One step depends on those before it: with the first that fails the rest says nothing. */
let broken = false;

function step(name: string, work: () => Promise<void>): void {
  test(name, async (t) => {
    if (broken) return t.skip('an earlier step failed');
    try {
      await work();
    } catch (error) {
      broken = true;
      t.diagnostic(
        `first terminal:\n${first.terminal.output()}\nsecond terminal:\n${second.terminal.output()}`,
      );
      throw error;
    }
  });
}

describe('a session from a clean clone', { skip: needs('curl', 'script') }, () => {
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'session-test-'));
    checkout = join(scratch, 'claude-relay');
    mkdirSync(join(scratch, 'home'));
    cleanClone(checkout);
    model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'Hello!' }) });
    port = await freePort();
    const env = {
      HOME: join(scratch, 'home'),
      PATH: process.env['PATH'] ?? '',
      TMPDIR: scratch,
      PORT: String(port),
      // A machine with Claude Code, logged in: its model is the stand-in.
      CLAUDE_BIN: newest,
      ANTHROPIC_API_KEY: 'sk-ant-stub',
      ANTHROPIC_BASE_URL: model.url,
    };
    [first, second] = await Promise.all([openShell(env), openShell(env)]);
  });
  after(async () => {
    await Promise.all([first, second].map((shell) => shell.terminal.close()));
    await model.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  step('./run.sh --demo --once makes one call without a login and exits', async () => {
    const { status, shown } = await first.run('./run.sh --demo --once');
    assert.equal(status, 0);
    assert.doesNotMatch(shown, /installing its packages/);
    assert.match(shown, /The lock is proved: \d+ checks in [\d.]+ s, Claude Code 2\.1\./);
    assert.match(shown, /HTTP 200\r?\n\{"ok":true,/);
    assert.equal(model.requests.length, 0, 'the demo uses a separate stand-in');
  });

  step('./run.sh prints its address and the next commands', async () => {
    first.terminal.type('./run.sh\n');
    await first.terminal.until(new RegExp(`claude-relay listens on http://127\\.0\\.0\\.1:${port}`));
    await first.terminal.until(/Create a key: {2}KEY=\$\(bin\/claude-relay key create my-app\)/);
    await first.terminal.until(/"msg":"the lock is proved"/);
  });

  step(
    'KEY=$(bin/genkey my-app) puts the secret into the variable and a message on the terminal',
    async () => {
      const { status, shown } = await second.run('KEY=$(bin/genkey my-app)');
      assert.equal(status, 0);
      assert.match(
        stripVTControlCharacters(shown),
        /^Created the key my-app\. Its secret, shown once:\r?\n$/,
      );
      assert.match((await second.run('echo "${#KEY} ${KEY%%_*}"')).shown, /^65 crk\r?\n$/);
    },
  );

  step('the call in the README gets an answer', async () => {
    const { status, shown } = await second.run(readmeCall());
    assert.equal(status, 0);
    const answer = JSON.parse(shown) as Record<string, unknown>;
    assert.deepEqual([answer['ok'], answer['model'], answer['text']], [true, 'opus', 'Hello!']);
    assert.equal(model.requests.length, 1);
  });

  step('bin/claude-relay ask prints the answer', async () => {
    const { status, shown } = await second.run('bin/claude-relay ask "Say hello."');
    assert.deepEqual([status, shown.trim()], [0, 'Hello!']);
  });

  step('bin/claude-relay doctor finds no failure and reports the running relay', async () => {
    const { status, shown } = await second.run('bin/claude-relay doctor');
    assert.equal(status, 0, shown);
    assert.match(shown, /ok {3}lock-proved/);
    assert.match(shown, /ok {3}relay: running, and accepts requests/);
    assert.match(shown, /ok {3}keys: 2 valid/);
    assert.match(shown, /ok: \d+, warnings: \d+, failures: 0/);
  });

  step('bin/claude-relay usage counts the calls of each key', async () => {
    const { status, shown } = await second.run('bin/claude-relay usage');
    assert.equal(status, 0);
    assert.match(shown, /my-app +1 /);
  });

  step('bin/revoke my-app makes the same call return 401', async () => {
    const { status, shown } = await second.run('bin/revoke my-app');
    assert.equal(status, 0);
    assert.match(shown, /Revoked my-app/);
    const refused = await second.run(`${readmeCall()} -s -w '\\n%{http_code}\\n'`);
    assert.match(refused.shown, /"error":"unauthorized"[^]*\n401\r?\n/);
    assert.equal(model.requests.length, 2, 'the model was not asked');
  });

  step('Ctrl-C stops the relay', async () => {
    first.terminal.type('\x03');
    const shown = await first.terminal.until(prompt);
    assert.match(shown, /claude-relay has stopped\.\r?\n\[0\]\$ $/);
    assert.equal((await second.run(`curl -s http://127.0.0.1:${port}/health`)).status, 7);
  });
});
