/** Spares: the same answer as a cold start, one request for each, and a correct answer whatever happens to them. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunRequest } from '../src/claude/runner.ts';
import type { SeenRequest } from './support/failing-model.ts';
import { images } from './support/media.ts';
import { clis, descendants, eventually, newest, startTestRelay, type TestRelay } from './support/relay.ts';
import { startTestRunner } from './support/runner.ts';

type Ready = { spares: { waiting: number; warm: number; rss_bytes: number } };

async function spares(relay: TestRelay): Promise<Ready['spares']> {
  return ((await (await fetch(`${relay.url}/ready`)).json()) as Ready).spares;
}

async function parked(relay: TestRelay, count = 1): Promise<void> {
  await eventually(`${count} parked`, async () => {
    const { waiting, warm, rss_bytes: rss } = await spares(relay);
    // A spare cannot be claimed in the middle of its warm-up. One without a warm-up has loaded its program: it is more than a shell.
    return waiting === count && warm === count && (count === 0 || rss > count * 30e6);
  });
}

/** A request without what differs from process to process: ids and the throwaway directory. */
function withoutIds(request: SeenRequest): { headers: Record<string, unknown>; body: string } {
  const scrub = (text: string): string =>
    text
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
      .replaceAll(/(?:\/[\w.-]+)*\/relay-\d+-\w{6}/g, '<dir>');
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, scrub(String(value))]),
  );
  // The stand-in of another run has another port, and the body another length.
  delete headers['host'];
  delete headers['content-length'];
  return { headers, body: scrub(request.body) };
}

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, () => {
    let warm: TestRelay;
    let cold: TestRelay;
    let home: string;
    before(async () => {
      home = mkdtempSync(join(tmpdir(), 'spares-home-'));
      const options = { claudeBin: cli.path, home };
      warm = await startTestRelay({ proof: false, ...options, settings: { WARM_SPARES: '1' } });
      cold = await startTestRelay({ proof: false, ...options, settings: { WARM_SPARES: '0' } });
    });
    after(async () => {
      await Promise.all([warm.stop(), cold.stop()]);
      rmSync(home, { recursive: true, force: true });
    });

    test('a warm and a cold process give the same answer and send the same request', async () => {
      await parked(warm);
      const body = { prompt: '/same @file prompt', system: 'Same system.', output_format: 'json' };
      const [onSpare, fresh] = [await warm.complete(body), await cold.complete(body)];
      assert.match(onSpare.headers.get('server-timing') ?? '', /claim;dur=/);
      assert.match(fresh.headers.get('server-timing') ?? '', /spawn;dur=/);
      for (const answer of [onSpare, fresh]) {
        assert.equal(answer.status, 200);
        delete answer.body['duration_ms'];
      }
      assert.deepEqual(onSpare.body, fresh.body);
      const [seenWarm, seenCold] = [warm.model.requests.at(-1), cold.model.requests.at(-1)];
      assert.ok(seenWarm !== undefined && seenCold !== undefined);
      assert.deepEqual(withoutIds(seenWarm), withoutIds(seenCold));
    });

    test('a warm and a cold process send the same conversation, and a spare asks nothing while it warms up', async () => {
      const request: Partial<RunRequest> = {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: '/look' },
              { type: 'image', source: images.large },
            ],
          },
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 'toolu_1', name: 'Bash', input: { command: 'ls' } }],
          },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '@notes' }] },
        ],
        tools: [{ name: 'Bash', input_schema: { type: 'object' } }],
        effort: 'low',
        maxTokens: 3000,
        stopSequences: ['x'],
      };
      const seen: SeenRequest[] = [];
      for (const spareCount of [1, 0]) {
        const runner = await startTestRunner({ claudeBin: cli.path, spares: spareCount, home });
        try {
          runner.runner.reconcile();
          await eventually('the spares are warm', () => runner.runner.spares().warm === spareCount);
          assert.deepEqual(runner.model.requests, []);
          const { start, requests } = await runner.ask(request);
          assert.equal(start, spareCount > 0 ? 'claim' : 'spawn');
          seen.push(...requests);
        } finally {
          await runner.close();
        }
      }
      const [onSpare, fresh] = seen;
      assert.ok(onSpare !== undefined && fresh !== undefined);
      assert.deepEqual(withoutIds(onSpare), withoutIds(fresh));
      assert.match(fresh.body, /"stop_sequences":\["x"\]/);
    });

    test('a request reaches the model without anything of the one before', async () => {
      await parked(warm);
      await warm.complete({ prompt: 'PROMPT-OF-ONE', system: 'SYSTEM-OF-ONE' });
      await parked(warm);
      const { status } = await warm.complete({ prompt: 'two' });
      assert.equal(status, 200);
      assert.doesNotMatch(warm.model.requests.at(-1)?.body ?? '', /-OF-ONE/);
    });

    test('a spare that is killed while it waits is replaced, and the next request is answered', async () => {
      const spare = await onlySpare(warm);
      process.kill(spare, 'SIGKILL');
      // Before and after the relay notices.
      assert.equal((await warm.complete({ prompt: 'at once' })).status, 200);
      await parked(warm);
      assert.equal((await warm.complete({ prompt: 'later' })).status, 200);
    });

    test('a spare that is killed while it asks the model is an upstream_error and frees the slot', async () => {
      const spare = await onlySpare(warm);
      const asked = warm.model.requests.length;
      warm.model.setReply(() => ({ kind: 'hang', after: 'headers' }));
      const answer = warm.complete({ prompt: 'asked of the spare' });
      await eventually('the model is asked', () => warm.model.requests.length > asked);
      process.kill(spare, 'SIGKILL');
      const { status, body } = await answer;
      warm.model.setReply(() => ({ kind: 'text', text: 'hello' }));
      assert.equal(status, 502, JSON.stringify(body));
      assert.equal(body['error'], 'upstream_error');
      assert.equal((await warm.complete({ prompt: 'after it' })).status, 200);
      await eventually('it is gone', () => !claudeProcesses(warm).includes(spare));
    });

    test('a claimed spare that was stopped is replaced, and ended', async () => {
      const relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        settings: { WARM_SPARES: '1', GLOBAL_CONCURRENCY: '1' },
      });
      try {
        const spare = await onlySpare(relay);
        process.kill(spare, 'SIGSTOP');
        assert.equal((await relay.complete({ prompt: 'read by another' })).status, 200);
        assert.equal(relay.model.requests.length, 1);
        await eventually('the stopped process is gone', () => !claudeProcesses(relay).includes(spare));
      } finally {
        await relay.stop();
      }
    });
  });
}

/** The one process that waits, once those of earlier requests have ended. */
async function onlySpare(relay: TestRelay): Promise<number> {
  await parked(relay);
  await eventually('there is but one', () => claudeProcesses(relay).length === 1);
  return claudeProcesses(relay)[0] ?? assert.fail();
}

/** The relay's CLI processes, without the watchers of their lifelines. */
function claudeProcesses(relay: TestRelay): number[] {
  return descendants(relay.process.pid ?? 0).filter((pid) => {
    try {
      return !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('claude-relay-lifeline');
    } catch {
      return false;
    }
  });
}

describe('with a CLI that records its process ids', () => {
  let scratch: string;
  let record: string;
  let wrapper: string;
  let relay: TestRelay;
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'spares-cli-'));
    record = join(scratch, 'pids');
    wrapper = join(scratch, 'claude');
    writeFileSync(
      wrapper,
      `#!/bin/sh\necho "$$ $ANTHROPIC_BASE_URL" >> "${record}"\nexec "${newest}" "$@"\n`,
    );
    chmodSync(wrapper, 0o755);
    relay = await startTestRelay({ proof: false, claudeBin: wrapper, settings: { WARM_SPARES: '2' } });
  });
  after(async () => {
    await relay.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('two keys never share a process', async () => {
    const other = relay.command('genkey', 'other');
    const sessions = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const key = i % 2 === 0 ? relay.key : other;
      const response = await relay.post(
        { prompt: `request ${i}` },
        { headers: { authorization: `Bearer ${key}` } },
      );
      assert.equal(response.status, 200);
      sessions.add(String(relay.model.requests.at(-1)?.headers['x-claude-code-session-id']));
    }
    assert.equal(sessions.size, 4, 'a session served two requests');
    const turns = readFileSync(record, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith(relay.model.url));
    assert.ok(turns.length >= 4, `${turns.length} processes for 4 requests`);
    assert.equal(new Set(turns).size, turns.length);
  });

  test('a changed CLI ends the spares of the old one', async () => {
    await parked(relay, 2);
    const old = claudeProcesses(relay);
    writeFileSync(wrapper, `${readFileSync(wrapper, 'utf8')}# changed\n`);
    assert.equal((await relay.complete({ prompt: 'now' })).status, 503);
    await eventually('the old spares end', () => claudeProcesses(relay).every((pid) => !old.includes(pid)));
    await eventually('ready again', async () => (await fetch(`${relay.url}/ready`)).status === 200);
    assert.equal((await relay.complete({ prompt: 'then' })).status, 200);
  });

  test('a relay that is killed leaves no spare behind', async () => {
    await parked(relay, 2);
    const left = descendants(relay.process.pid ?? 0);
    assert.ok(left.length >= 4);
    await relay.stop('SIGKILL');
    await eventually('all gone', () => left.every((pid) => !isRunning(pid)));
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
