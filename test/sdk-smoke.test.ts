/** One call of each SDK through the whole program and the real CLI; what the SDKs can do is tested on a scripted CLI. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import Anthropic from '@anthropic-ai/sdk';
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOpenAI } from '@langchain/openai';
import { streamText } from 'ai';
import OpenAI, { BadRequestError } from 'openai';
import { ClaudeRelay } from '../clients/ts/claudeRelay.ts';
import type { Reply } from './support/failing-model.ts';
import { startTestRelay, type TestRelay } from './support/relay.ts';
import { sentBy } from './support/sent.ts';

describe('through the real CLI', () => {
  let relay: TestRelay;
  let reply: Reply;
  before(async () => {
    relay = await startTestRelay({ proof: false, reply: () => reply });
  });
  beforeEach(() => {
    reply = { kind: 'text', text: ['It ', 'rains.'] };
  });
  after(() => relay.stop());

  const model = 'opus';
  const messages = [{ role: 'user' as const, content: 'Weather?' }];
  const openai = (): OpenAI => new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
  const calls: Record<string, () => Promise<unknown>> = {
    openai: async () => {
      const { choices } = await openai().chat.completions.create({ model, messages });
      return choices[0]?.message.content;
    },
    'openai, responses': async () =>
      (await openai().responses.stream({ model, input: 'Weather?' }).finalResponse()).output_text,
    '@anthropic-ai/sdk': () =>
      new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 }).messages
        .stream({ model, max_tokens: 100, messages })
        .finalText(),
    '@langchain/openai': async () => {
      const configuration = { baseURL: `${relay.url}/v1` };
      const chat = new ChatOpenAI({ model, apiKey: relay.key, maxRetries: 0, configuration });
      return (await chat.invoke('Weather?')).text;
    },
    '@langchain/anthropic': async () => {
      const chat = new ChatAnthropic({ model, apiKey: relay.key, maxRetries: 0, anthropicApiUrl: relay.url });
      return (await chat.invoke('Weather?')).text;
    },
    '@ai-sdk/openai': () => {
      const provider = createOpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key });
      return Promise.resolve(streamText({ model: provider(model), prompt: 'Weather?' }).text);
    },
    '@ai-sdk/anthropic': () => {
      const provider = createAnthropic({ baseURL: `${relay.url}/v1`, apiKey: relay.key });
      return Promise.resolve(streamText({ model: provider(model), prompt: 'Weather?' }).text);
    },
    'claude-relay-client': () =>
      new ClaudeRelay({ url: relay.url, key: relay.key }).complete({ prompt: 'Weather?' }),
  };

  for (const [name, call] of Object.entries(calls)) {
    test(`${name} sends its prompt and gets the answer`, async () => {
      assert.equal(await call(), 'It rains.');
      assert.deepEqual(sentBy(relay.model.requests.at(-1)).messages, [
        { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
      ]);
    });
  }

  test('openai gets the code context_length_exceeded for a prompt that is too long', async () => {
    reply = {
      kind: 'error',
      status: 400,
      type: 'invalid_request_error',
      message: 'prompt is too long: 300000 tokens > 200000 maximum',
    };
    await assert.rejects(
      openai().chat.completions.create({ model, messages }),
      (error) => error instanceof BadRequestError && error.code === 'context_length_exceeded',
    );
  });
});
