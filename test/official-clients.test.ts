/** The official JavaScript clients retry when the relay says so, and only then. The model is a script. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { RelayError } from '../src/errors.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query, sleep } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';

type Post = (key: string, maxRetries: number) => Promise<unknown>;

const body = { prompt: 'hi' };
let relay: InProcessRelay;

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
  const hello: ScriptedReply = { kind: 'text', text: 'hello' };
  const broken: ScriptedReply = { kind: 'error', status: 500, type: 'api_error', message: 'x' };
  before(async () => {
    relay = await startInProcess();
  });
  after(() => relay.stop());

  /** Statuses of a key's requests, once they are all written. */
  async function assertStatuses(label: string, expected: number[]): Promise<void> {
    const statuses = (): unknown[] =>
      query(
        relay,
        'SELECT status FROM requests JOIN keys ON keys.id = key_id WHERE label = ? ORDER BY requests.id',
        label,
      ).map((row) => row['status']);
    await eventually('the requests are written', () => statuses().length >= expected.length);
    assert.deepEqual(statuses(), expected);
  }

  for (const [name, post] of Object.entries(clients)) {
    const label = name.replaceAll(/\W+/g, '-').replace(/^-/, '');

    test(`${name} retries after the time that a 429 names`, async () => {
      const error = new RelayError('rate_limited', 'Wait.', { limit: 'plan', retryAfter: 1 });
      relay.model.say({ kind: 'relay_error', error }, hello);
      const asked = relay.model.requests.length;
      const answer = (await post(relay.mint(label), 1)) as { text: string };
      assert.equal(answer.text, 'hello');
      await assertStatuses(label, [429, 200]);
      const [first, second, ...others] = relay.model.requests.slice(asked);
      assert.deepEqual(others, []);
      assert.ok(Number(second?.receivedAt) - Number(first?.receivedAt) >= 1000);
    });

    test(`${name} does not retry a 429 with x-should-retry: false`, async () => {
      relay.model.say(hello);
      const key = relay.mint(`${label}-daily`, { dailyLimit: 1 });
      await post(key, 5);
      await assert.rejects(post(key, 5), { status: 429 });
      await assertStatuses(`${label}-daily`, [200, 429]);
    });

    test(`${name} retries a failure that cost nothing, and no failure that may have cost tokens`, async () => {
      relay.model.say(broken, hello);
      await post(relay.mint(`${label}-fails`), 1);
      await assertStatuses(`${label}-fails`, [502, 200]);
      const asked = relay.model.requests.length;
      relay.model.say({ kind: 'drop', after: 'text', text: 'half an' });
      await assert.rejects(post(relay.key, 5), { status: 502 });
      assert.equal(relay.model.requests.length, asked + 1);
    });

    test(`${name} does not retry a request with a wrong key`, async () => {
      await assert.rejects(post('crk_wrong', 5), { status: 401 });
    });
  }
});
