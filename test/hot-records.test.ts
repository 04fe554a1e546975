/** What a relay's answers, records and views show of its hot processes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, ledgerRow, startTestRelay, type TestRelay } from './support/relay.ts';

let relay: TestRelay;
before(async () => {
  relay = await startTestRelay({ proof: false, settings: { HOT_PROCESSES: '1' } });
});
after(() => relay.stop());

test('an answer and its record show a new process, and a hot one for the next request of its app', async () => {
  for (const start of ['spawn', 'hot']) {
    const { status, headers } = await relay.complete({ prompt: 'hi' });
    assert.equal(status, 200);
    assert.match(headers.get('server-timing') ?? '', new RegExp(`^queue;dur=\\S+ ${start};dur=`));
    const id = headers.get('request-id') ?? '';
    assert.equal((await ledgerRow(relay, id))['start'], start);
    const line = new RegExp(`"request_id":"${id}".*"start":"${start}"`);
    await eventually('the log has it', () => line.test(relay.output().stdout));
  }
});

test("usage shows the share of hot answers to the owner, and their number to the key's caller", async () => {
  const owner = JSON.parse(relay.command('claude-relay', 'usage', '--json')) as { period: object };
  assert.partialDeepStrictEqual(owner.period, { requests: 2, answers: 2, hot_answers: 1, hot_share: 0.5 });
  const response = await fetch(`${relay.url}/v1/usage`, {
    headers: { authorization: `Bearer ${relay.key}` },
  });
  const caller = (await response.json()) as { today: object };
  assert.partialDeepStrictEqual(caller.today, {
    answers: 2,
    hot_answers: 1,
    models: { opus: { answers: 2, hot_answers: 1 } },
  });
});

test('/ready counts the processes that rest', async () => {
  const { hot, valve } = (await (await fetch(`${relay.url}/ready`)).json()) as {
    hot: { resting: number; rss_bytes: number };
    valve: object;
  };
  assert.equal(hot.resting, 1);
  // It has loaded its program: it is more than a shell.
  assert.ok(process.platform !== 'linux' || hot.rss_bytes > 30e6, String(hot.rss_bytes));
  assert.deepEqual([Object.keys(hot), valve], [['resting', 'rss_bytes'], { exact: true }]);
});

test('the record of a request without a turn has no start', async () => {
  const { status, headers } = await relay.complete({ prompt: '' });
  assert.equal(status, 400);
  const id = headers.get('request-id') ?? '';
  assert.equal((await ledgerRow(relay, id))['start'], null);
  assert.doesNotMatch(relay.output().stdout, new RegExp(`"request_id":"${id}".*"start"`));
});

test('/ready says why no process rests where the model is elsewhere', async (t) => {
  const vertex = await startTestRelay({
    proof: false,
    env: { CLAUDE_CODE_USE_VERTEX: '1' },
    settings: { HOT_PROCESSES: '1' },
  });
  t.after(() => vertex.stop());
  const body = (await (await fetch(`${vertex.url}/ready`)).json()) as Record<string, object>;
  const why = /^the model is asked at another provider/;
  assert.partialDeepStrictEqual(body, { hot: { resting: 0, rss_bytes: 0 }, valve: { exact: false } });
  const { hot, valve } = body as { hot: { off: string }; valve: { detail: string } };
  for (const text of [hot.off, valve.detail]) assert.match(text, why);
});
