/**
 * A CLI that misbehaves in every way, and a relay that is killed: the caller gets an error, the only slot is free again, and no process
 * and no directory is left.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  clis,
  eventually,
  processTable,
  root,
  startTestRelay,
  throwaways,
  type TestRelay,
} from './support/relay.ts';

const byModel = join(root, 'test/fixtures/cli/by-model.sh');

type End = { status: number; error?: string; text?: string; message?: RegExp };

const answered: End = { status: 200, text: 'quick' };
const failed = (message: RegExp): End => ({ status: 502, error: 'upstream_error', message });
const timeoutS = 4;
const late: End = { status: 504, error: 'upstream_timeout', message: new RegExp(`${timeoutS} seconds`) };

const ways: Record<string, End> = {
  quick: answered,
  nothing: failed(/could not be started/),
  dies: failed(/could not be started/),
  'dies-in-the-middle': failed(/exited before it answered/),
  'half-a-line': failed(/exited before it answered/),
  'ends-without-a-result': failed(/exited before it answered/),
  'split-utf8': { status: 200, text: 'grün 🐤' },
  'invalid-utf8': failed(/printed unexpected output/),
  'huge-line': failed(/printed unexpected output/),
  garbage: failed(/printed unexpected output/),
  'not-an-object': failed(/printed unexpected output/),
  'hangs-at-once': late,
  'hangs-in-the-middle': late,
  'hangs-and-ignores-sigterm': late,
  'stops-its-group': late,
  'never-reads': late,
  'text-without-end': late,
  'closes-stdout': failed(/exited before it answered/),
  'two-results': answered,
  'result-before-init': failed(/without asking the model/),
  forks: answered,
  'answers-and-stays': answered,
  'leaves-a-grandchild': answered,
  'leaves-one-outside-the-group': answered,
  'leaves-a-quiet-one-outside-the-group': answered,
  'floods-stderr': answered,
  'an-error-as-success': failed(/request to the model failed/),
  'success-without-a-model': failed(/without asking the model/),
};

/** Larger than what a pipe holds, so that a CLI that does not read leaves some of it with the relay. */
const prompt = 'a secret prompt '.repeat(20_000);

const fixtures = Object.keys(ways).map((way) => `fixture-${way}`);

describe('a CLI that misbehaves', () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startTestRelay({
      claudeBin: byModel,
      settings: {
        GLOBAL_CONCURRENCY: '1',
        ALLOWED_MODELS: ['opus', ...fixtures].join(','),
      },
    });
  });
  after(() => relay.stop());

  for (const [way, end] of Object.entries(ways)) {
    test(`a CLI of the kind ${way} leads to ${end.error ?? 'an answer'} and leaves nothing`, async () => {
      const { status, body } = await relay.complete({
        prompt,
        model: `fixture-${way}`,
        ...(end === late && { timeout: timeoutS }),
      });
      assert.equal(status, end.status, JSON.stringify(body));
      assert.equal(body['text'], end.text);
      assert.equal(body['error'], end.error);
      if (end.message !== undefined) assert.match(String(body['message']), end.message);
      assert.doesNotMatch(JSON.stringify(body), /secret|noise|Segmentation|API Error/);

      // There is one slot; the next request gets it.
      const next = await relay.complete({ prompt: 'hi', model: 'fixture-quick' });
      assert.equal(next.body['text'], 'quick', JSON.stringify(next.body));

      await eventually('every process is gone', () => relay.children().length === 0);
      const left = leftBehind(relay);
      await eventually('what it left behind is gone', () => left === undefined || !isRunning(left));
      await eventually('every directory is gone', () => throwaways(relay).length === 0);
    });
  }

  test('the real CLI answers after all broken ones, and the log holds no content', async () => {
    const { body } = await relay.complete({ prompt: 'hi', model: 'opus' });
    assert.equal(body['text'], 'hello', JSON.stringify(body));
    const { stdout, stderr } = relay.output();
    assert.doesNotMatch(stdout + stderr, /secret prompt|noise|Segmentation|"internal"/);
  });
});

function leftBehind({ home }: TestRelay): number | undefined {
  const path = join(home, 'left-behind');
  if (!existsSync(path)) return undefined;
  const pid = Number(readFileSync(path, 'utf8'));
  rmSync(path);
  return pid;
}

function isRunning(pid: number): boolean {
  return processTable().some((row) => row.pid === pid && row.state !== 'Z');
}

for (const cli of clis) {
  test(`kill -9 of the relay ends its processes on ${cli.version}`, async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-test-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const relay = await startTestRelay({
      proof: false,
      claudeBin: cli.path,
      scratch,
      reply: () => ({ kind: 'hang', after: 'accept' }),
    });
    const request = relay.post({ prompt: 'hi' }).catch(() => undefined);
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    const pids = relay.children();
    assert.ok(
      processTable().some((row) => pids.includes(row.pid) && row.command.includes('--strict-mcp-config')),
    );
    assert.equal(throwaways(relay).length, 1);

    const stopped = relay.stop('SIGKILL');
    await eventually('its processes are gone', () => !pids.some(isRunning));
    await stopped;
    await request;

    assert.equal(throwaways(relay).length, 1, 'nobody was left to remove it');
    const next = await startTestRelay({ proof: false, claudeBin: cli.path, scratch, key: relay.key });
    assert.deepEqual(throwaways(next), [], 'swept at the next start');
    const { status } = await next.complete({ prompt: 'hi' });
    assert.equal(status, 200);
    await next.stop();
  });
}
