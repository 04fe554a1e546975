/** POST /v1/messages/count_tokens: an estimate that says so, for every request that the Messages API would count. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic, { NotFoundError } from '@anthropic-ai/sdk';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { ledgerRow } from './support/relay.ts';

const path = '/v1/messages/count_tokens';
const hi = { role: 'user', content: 'Say hello to everybody in the room.' } as const;

describe('count_tokens', () => {
  let relay: InProcessRelay;
  let client: Anthropic;
  before(async () => {
    relay = await startInProcess({ settings: { PER_KEY_RPM: '2', PER_KEY_DAILY: '2' } });
    client = new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 });
  });
  after(() => relay.stop());

  const count = (body: object): Promise<Response> => relay.post({ model: 'opus', ...body }, { path });

  test('answers the SDK with an estimate that says that it is one, and asks no model', async () => {
    const { data, response } = await client.messages
      .countTokens({ model: 'opus', messages: [hi] })
      .withResponse();
    assert.ok(data.input_tokens > 8 && data.input_tokens < 30, String(data.input_tokens));
    assert.deepEqual(
      Object.keys(data).filter((name) => !name.startsWith('_')),
      ['input_tokens'],
    );
    assert.equal(response.headers.get('x-relay-token-count'), 'estimate');
    assert.equal(relay.model.requests.length, 0);
    const row = await ledgerRow(relay, response.headers.get('request-id') ?? '');
    assert.deepEqual([row['route'], row['model'], row['tokens_in']], ['count_tokens', null, 0]);
  });

  test('uses no request of the minute or the day', async () => {
    const answers = await Promise.all(Array.from({ length: 26 }, () => count({ messages: [hi] })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(answers[0]?.headers.get('x-ratelimit-remaining-requests'), '2');
  });

  test('counts parts of a conversation, and accepts fields that it does not know', async () => {
    const call = { type: 'tool_use', id: 'a', name: 'f', input: {} };
    const bodies = [
      { messages: [hi, { role: 'assistant', content: 'Hello' }] },
      { messages: [{ role: 'assistant', content: [call] }] },
      { messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'r' }] }] },
      { messages: [hi], thinking: { type: 'enabled', budget_tokens: 50_000 }, max_tokens: 1 },
      {
        messages: [hi],
        tools: [
          { type: 'web_search_20250305', name: 'web_search' },
          { type: 'bash_20250124', name: 'bash' },
        ],
        tool_choice: { type: 'tool', name: 'web_search' },
      },
      { messages: [hi], something_new: { a: 1 }, mcp_servers: [{ type: 'url' }], system: null },
    ];
    for (const body of bodies) {
      const answer = await count(body);
      assert.equal(answer.status, 200, await answer.text());
    }
  });

  test('refuses what POST /v1/messages refuses, in the same words', async () => {
    const cases: [body: object, status: number, message: RegExp][] = [
      [{ messages: [{ role: 'user', content: '' }] }, 400, /^messages\.0\.content: must not be blank$/],
      [{}, 400, /^messages: is required$/],
      [{ messages: [hi], model: 'gpt-9' }, 404, /one of opus/],
    ];
    for (const [body, status, message] of cases) {
      const answer = await count(body);
      const { error } = (await answer.json()) as { error: { message: string } };
      assert.equal(answer.status, status);
      assert.match(error.message, message);
    }
    assert.equal((await relay.post([], { path })).status, 400);
    await assert.rejects(client.messages.countTokens({ model: 'none', messages: [hi] }), NotFoundError);
  });

  test('a key can count 600 times in a minute, and another key is not affected', async () => {
    const authorization = `Bearer ${relay.mint('busy')}`;
    const post = (): Promise<Response> => relay.post('{}', { path, headers: { authorization } });
    const statuses: number[] = [];
    while (statuses.length < 620) {
      const answers = await Promise.all(Array.from({ length: 20 }, post));
      for (const answer of answers) {
        statuses.push(answer.status);
        await answer.arrayBuffer();
      }
    }
    assert.equal(statuses.filter((status) => status === 400).length, 600);
    const refused = await post();
    const { error } = (await refused.json()) as { error: { type: string } };
    assert.deepEqual([refused.status, error.type], [429, 'rate_limit_error']);
    assert.ok(Number(refused.headers.get('retry-after')) <= 60);
    assert.equal((await count({ messages: [hi] })).status, 200);
  });
});
