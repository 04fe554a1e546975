/** The official JavaScript clients read what the relay tells: they come back when they were told to, or not at all. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Reply } from './support/failing-model.ts';
import { query, sleep, startTestRelay, type TestRelay } from './support/relay.ts';

type Post = (key: string, maxRetries: number) => Promise<unknown>;

const body = { prompt: 'hi' };
let relay: TestRelay;

const clients: Record<string, Post> = {
  openai: (apiKey, maxRetries) =>
    new OpenAI({ baseURL: relay.url, apiKey, maxRetries }).post('/v1/complete', { body }),
  '@anthropic-ai/sdk': (apiKey, maxRetries) =>
    new Anthropic({ baseURL: relay.url, apiKey, maxRetries }).post('/v1/complete', { body }),
  '@anthropic-ai/sdk, messages': async (apiKey, maxRetries) => {
    const { content } = await new Anthropic({ baseURL: relay.url, apiKey, maxRetries }).messages.create({
      model: 'opus',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'hi' }],
    });
    return content[0];
  },
  'a script that follows the headers': async (key, maxRetries) => {
    for (let retries = 0; ; retries += 1) {
      const response = await relay.post(body, { headers: { authorization: `Bearer ${key}` } });
      if (response.ok) return response.json();
      if (retries === maxRetries || response.headers.get('x-should-retry') === 'false') {
        throw Object.assign(new Error('refused'), { status: response.status });
      }
      await sleep(Number(response.headers.get('retry-after')) * 1000);
    }
  },
};

describe('official clients', () => {
  let reply: () => Reply = () => ({ kind: 'text', text: 'hello' });
  before(async () => {
    relay = await startTestRelay({
      env: { ANTHROPIC_API_KEY: undefined, CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-stub' },
      reply: () => reply(),
    });
  });
  after(() => relay.stop());

  /** Statuses of a key's requests so far, once they are all written. */
  async function statuses(label: string): Promise<unknown[]> {
    await sleep(600);
    return query(
      relay,
      'SELECT status FROM requests JOIN keys ON keys.id = key_id WHERE label = ? ORDER BY requests.id',
      label,
    ).map((row) => row['status']);
  }

  for (const [name, post] of Object.entries(clients)) {
    const label = name.replaceAll(/\W+/g, '-').replace(/^-/, '');

    test(`${name}: comes back after the time told, and gets through`, async () => {
      // The plan is used up for some seconds: a first caller learns it, the client is told.
      let resetsAt = 0;
      reply = () => {
        resetsAt = Math.ceil(Date.now() / 1000) + 5;
        return {
          kind: 'error',
          status: 429,
          type: 'rate_limit_error',
          message: 'used up',
          headers: {
            'anthropic-ratelimit-unified-status': 'rejected',
            'anthropic-ratelimit-unified-reset': String(resetsAt),
            'anthropic-ratelimit-unified-representative-claim': 'five_hour',
          },
        };
      };
      const key = relay.command('genkey', label);
      assert.equal((await relay.post(body)).status, 429);
      reply = () => ({ kind: 'text', text: 'hello' });
      const asked = relay.model.requests.length;

      const answer = (await post(key, 1)) as { text: string };
      assert.equal(answer.text, 'hello');
      assert.deepEqual(await statuses(label), [429, 200]);
      const [request] = relay.model.requests.slice(asked);
      assert.equal(relay.model.requests.length, asked + 1);
      assert.ok(Number(request?.receivedAt) >= resetsAt * 1000, 'not before the plan is usable again');
    });

    test(`${name}: does not come back on x-should-retry: false`, async () => {
      const key = relay.command('genkey', `${label}-daily`, '1');
      await post(key, 5);
      const startedAt = performance.now();
      await assert.rejects(post(key, 5), { status: 429 });
      assert.ok(performance.now() - startedAt < 5000);
      assert.deepEqual(await statuses(`${label}-daily`), [200, 429]);
    });

    test(`${name}: comes back after a failure that cost nothing, and not after one that may have cost tokens`, async () => {
      const key = relay.command('genkey', `${label}-fails`);
      const failures: Reply[] = [{ kind: 'error', status: 500, type: 'api_error', message: 'x' }];
      reply = () => failures.shift() ?? { kind: 'text', text: 'hello' };
      await post(key, 1);
      assert.deepEqual(await statuses(`${label}-fails`), [502, 200]);
      const asked = relay.model.requests.length;
      reply = () => ({ kind: 'drop', after: 'text', text: 'half an' });
      await assert.rejects(post(key, 5), { status: 502 });
      assert.equal(relay.model.requests.length, asked + 1);
    });

    test(`${name}: does not repeat what is wrong with the request`, async () => {
      await assert.rejects(post('crk_wrong', 5), { status: 401 });
    });
  }
});
