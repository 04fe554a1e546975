/** The daily budgets, from outside. The scripted model reports a cost of $0.001 for each turn. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { utcDay } from '../src/time.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import { eventually, root, startTestRelay, type Post, type TestRelay } from './support/relay.ts';

async function start(t: TestContext, options: InProcessOptions = {}): Promise<InProcessRelay> {
  const settings = { QUEUE_MAX: '1000', QUEUE_TIMEOUT: '600', ...options.settings };
  const relay = await startInProcess({ ...options, settings });
  t.after(() => relay.stop());
  return relay;
}

type Answer = { status: number; body: Record<string, unknown>; headers: Headers };

async function ask(relay: Post, key: string, body: object = {}): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await relay.post({ prompt: 'hi', ...body }, { headers });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

const burst = (relay: Post, key: string, count: number, body?: object): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, () => ask(relay, key, body)));

/** How many answers each status and limit has. */
function tally(answers: readonly Answer[]): Record<string, number> {
  const kinds = answers.map(({ status, body: { limit } }) =>
    typeof limit === 'string' ? limit : `${status}`,
  );
  return Object.fromEntries(
    [...new Set(kinds)].map((kind) => [kind, kinds.filter((each) => each === kind).length]),
  );
}

type Limits = Record<string, { limit: number; used: number; remaining: number }>;

async function limitsOf({ url }: { url: string }, key: string): Promise<Limits> {
  const response = await fetch(`${url}/v1/usage`, { headers: { 'x-api-key': key } });
  return ((await response.json()) as { limits: Limits }).limits;
}

describe('budgets', { concurrency: 3 }, () => {
  test('of 200 requests at once, exactly as many pass as the budget pays for', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '16' } });
    const key = relay.mint('ten', { usdDaily: 0.01 });
    const before = Date.now();
    const answers = await burst(relay, key, 200, { max_tokens: 1 });
    assert.deepEqual(tally(answers), { 200: 10, key_budget: 190 });
    assert.equal(relay.model.requests.length, 10);
    const refused = answers.find(({ status }) => status === 429) ?? assert.fail();
    assert.equal(refused.headers.get('x-should-retry'), 'false');
    assert.equal(refused.headers.get('x-relay-budget-left'), 'usd=0');
    assert.match(String(refused.body['message']), /budget/);
    const refusedAt =
      Date.parse(`${utcDay(before)}T24:00:00Z`) - Number(refused.headers.get('retry-after')) * 1000;
    assert.ok(refusedAt > before - 1000 && refusedAt <= Date.now());
    const { key_usd: usd } = await limitsOf(relay, key);
    assert.deepEqual([usd?.limit, usd?.used, usd?.remaining], [0.01, 0.01, 0]);
    // Another key has no budget.
    assert.equal((await ask(relay, relay.key)).status, 200);
  });

  test('the last request can exceed a budget by what it uses itself', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '16' } });
    const key = relay.mint('almost', { usdDaily: 0.0105 });
    assert.deepEqual(tally(await burst(relay, key, 50)), { 200: 11, key_budget: 39 });
    const { key_usd: usd } = await limitsOf(relay, key);
    assert.deepEqual([usd?.used, usd?.remaining], [0.011, 0]);
  });

  test('two keys with budgets and the budget of all hold together', async (t) => {
    const relay = await start(t, { settings: { GLOBAL_CONCURRENCY: '8', GLOBAL_USD_DAILY: '0.02' } });
    const keys = ['first', 'second'].map((label) => relay.mint(label, { usdDaily: 0.015 }));
    const answers = (await Promise.all(keys.map((key) => burst(relay, key, 60)))).flat();
    const { 200: passed, ...refused } = tally(answers);
    assert.equal(passed, 20);
    assert.ok(answers.every(({ status }) => status === 200 || status === 429));
    assert.ok((refused['global_budget'] ?? 0) > 0);
    const [first, second] = await Promise.all(keys.map((key) => limitsOf(relay, key)));
    const used = [first, second].map((limits) => limits?.['key_usd']?.used ?? Number.NaN);
    assert.ok(
      used.every((usd) => usd <= 0.015),
      String(used),
    );
    assert.deepEqual([first?.['global_usd']?.used, first?.['global_usd']?.remaining], [0.02, 0]);
    // A key without a budget obeys the one of all.
    assert.equal((await ask(relay, relay.key)).body['limit'], 'global_budget');
  });

  test('a budget of tokens holds, each answer says what is left, and a warning comes at four fifths', async (t) => {
    const relay = await start(t);
    const key = relay.mint('tokens', { tokensDaily: 1000, usdDaily: 1 });
    assert.equal((await ask(relay, key)).status, 200);
    await eventually(
      'it is counted',
      async () => Number((await limitsOf(relay, key))['key_tokens']?.used) > 0,
    );
    const each = Number((await limitsOf(relay, key))['key_tokens']?.used);
    const set = (tokens: number | 'off') =>
      relay.command('claude-relay', 'key', 'set', 'tokens', '--tokens-daily', String(tokens));
    set(5 * each);
    const left = async (): Promise<string | null> => {
      const response = await fetch(`${relay.url}/v1/usage`, { headers: { 'x-api-key': key } });
      return response.headers.get('x-relay-budget-left');
    };
    for (const used of [2, 3, 4, 5]) {
      assert.equal((await ask(relay, key)).status, 200);
      const expected = `usd=${Number((1 - used * 0.001).toFixed(6))}, tokens=${(5 - used) * each}`;
      await eventually(expected, async () => (await left()) === expected);
      const warnings = relay.log().match(/"unit":"tokens".*four fifths/g) ?? [];
      assert.equal(warnings.length, used < 4 ? 0 : 1);
    }
    assert.equal((await ask(relay, key)).body['limit'], 'key_budget');
    // More budget: the next request passes.
    set(6 * each);
    assert.equal((await ask(relay, key)).status, 200);
    assert.equal((await ask(relay, key)).body['limit'], 'key_budget');
    set('off');
    assert.equal((await ask(relay, key)).status, 200);
  });

  test('a stream that its client leaves, and a turn that is cut off before it answers, count', async (t) => {
    const words = 'lots of words here '.repeat(20);
    const long = { kind: 'text', text: Array.from({ length: 60 }, () => words), deltaDelayMs: 5 } as const;
    const relay = await start(t, { reply: () => long });
    const key = relay.mint('leaves', { tokensDaily: 30_000 });
    const used = async (): Promise<number> => (await limitsOf(relay, key))['key_tokens']?.used ?? 0;
    const leave = async (): Promise<number> => {
      const client = new AbortController();
      const headers = { 'x-api-key': key, 'content-type': 'application/json' };
      const response = await fetch(`${relay.url}/v1/complete`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ prompt: 'hi', stream: true, max_tokens: 20_000 }),
        signal: client.signal,
      });
      if (response.status !== 200) return response.status;
      let characters = 0;
      try {
        for await (const chunk of response.body ?? []) {
          characters += chunk.length;
          if (characters > 10_000) client.abort();
        }
      } catch {
        // It has left.
      }
      return response.status;
    };
    for (const least of [1000, 2000]) {
      assert.equal(await leave(), 200);
      await eventually(`${least} tokens are counted`, async () => (await used()) >= least);
    }
    relay.model.say({ kind: 'hang', after: 'accept' });
    const before = await used();
    const prompt = 'many words '.repeat(1000);
    assert.equal((await ask(relay, key, { prompt, timeout: 1, max_tokens: 9 })).status, 504);
    await eventually('its prompt is counted', async () => (await used()) > before + 1000);
    relay.model.say(long);
    await eventually('the budget is used up', async () => (await leave()) === 429);
  });

  test('what is spent is kept over a SIGKILL of the relay', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'budgets-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const options = {
      scratch,
      proof: false,
      claudeBin: join(root, 'test/fixtures/cli/by-model.sh'),
      settings: { ALLOWED_MODELS: 'fixture-quick', DEFAULT_MODEL: 'fixture-quick', QUEUE_MAX: '1000' },
    };
    const first = await startTestRelay(options);
    first.command('claude-relay', 'key', 'set', 'test', '--tokens-daily', '20');
    t.after(() => first.stop('SIGKILL'));
    assert.equal((await ask(first, first.key)).status, 200);
    const spent = async (relay: TestRelay) => (await limitsOf(relay, first.key))['key_tokens']?.used;
    await eventually('it is counted', async () => (await spent(first)) === 3);
    await first.stop('SIGKILL');
    const second = await startTestRelay({ ...options, key: first.key });
    t.after(() => second.stop('SIGKILL'));
    assert.equal(await spent(second), 3);
    assert.deepEqual(tally(await burst(second, second.key, 10)), { 200: 6, key_budget: 4 });
    assert.equal(await spent(second), 21);
  });
});
