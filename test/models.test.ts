/** The models as both official SDKs list and retrieve them, what each SDK gets for a path without a route, and every form of a base URL. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic, {
  AuthenticationError as AnthropicAuthenticationError,
  NotFoundError as AnthropicNotFoundError,
} from '@anthropic-ai/sdk';
import OpenAI, { AuthenticationError, NotFoundError, PermissionDeniedError } from 'openai';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { ledgerRow } from './support/relay.ts';

/** A row as the types of both SDKs describe it. */
const row: Anthropic.ModelInfo & OpenAI.Model = {
  id: 'opus',
  object: 'model',
  type: 'model',
  display_name: 'opus',
  created: 1_735_689_600,
  created_at: '2025-01-01T00:00:00.000Z',
  owned_by: 'anthropic',
  lifecycle: 'active',
  line: null,
  capabilities: null,
  max_input_tokens: null,
  max_tokens: null,
  deprecated_at: null,
  retires_at: null,
};
const rowOf = (id: string): object => ({ ...row, id, display_name: id });

describe('models', () => {
  let relay: InProcessRelay;
  let openai: OpenAI;
  let anthropic: Anthropic;
  before(async () => {
    relay = await startInProcess({
      settings: { ALLOWED_MODELS: 'opus,haiku', MODEL_ALIASES: 'gpt-4o=haiku' },
    });
    openai = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: relay.key, maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 });
  });
  after(() => relay.stop());

  test('both SDKs list the allowed models on one page', async () => {
    const expected = [rowOf('opus'), rowOf('haiku')];
    assert.deepEqual(await Array.fromAsync(openai.models.list()), expected);
    assert.deepEqual(await Array.fromAsync(anthropic.models.list({ limit: 1 })), expected);
    assert.deepEqual(await Array.fromAsync(anthropic.beta.models.list()), expected);
  });

  test('both SDKs retrieve a model by every name that a request may use', async () => {
    for (const id of ['opus', 'claude-haiku-4-5-20251001', 'gpt-4o']) {
      const { data, request_id: requestId } = await openai.models.retrieve(id).withResponse();
      assert.deepEqual(data, rowOf(id));
      assert.equal((await ledgerRow(relay, requestId ?? ''))['route'], 'models');
      assert.deepEqual(await anthropic.models.retrieve(id), rowOf(id));
    }
  });

  test('an unknown model is not found, and a model that the key may not use is forbidden', async () => {
    for (const id of ['sonnet', 'a/b', '%', 'x'.repeat(500)]) {
      await assert.rejects(openai.models.retrieve(id), (error) => {
        assert.ok(error instanceof NotFoundError);
        assert.equal(error.code, 'model_not_found');
        return true;
      });
      await assert.rejects(
        anthropic.models.retrieve(id),
        (error) => error instanceof AnthropicNotFoundError && error.type === 'not_found_error',
      );
    }
    const malformed = await fetch(`${relay.url}/v1/models/%ff`, { headers: { 'x-api-key': relay.key } });
    assert.equal(malformed.status, 404);
    const apiKey = relay.mint('narrow', { allowedModels: ['opus'] });
    await assert.rejects(openai.withOptions({ apiKey }).models.retrieve('haiku'), PermissionDeniedError);
  });

  test('a wrong key gets 401 in the error format of the SDK that calls', async () => {
    await assert.rejects(openai.withOptions({ apiKey: 'crk_wrong' }).models.list(), (error) => {
      assert.ok(error instanceof AuthenticationError);
      assert.equal(error.code, 'invalid_api_key');
      return true;
    });
    await assert.rejects(
      anthropic.withOptions({ apiKey: 'crk_wrong' }).models.list(),
      (error) => error instanceof AnthropicAuthenticationError && error.type === 'authentication_error',
    );
    const plain = await fetch(`${relay.url}/v1/models`);
    assert.equal(((await plain.json()) as { error: unknown }).error, 'unauthorized');
  });
});

describe('a path without a route', () => {
  let relay: InProcessRelay;
  before(async () => {
    relay = await startInProcess();
  });
  after(() => relay.stop());

  test('the OpenAI SDK reads which path the relay lacks, with and without /v1', async () => {
    const calls: [path: string, call: (client: OpenAI) => Promise<unknown>][] = [
      ['embeddings', (client) => client.embeddings.create({ model: 'opus', input: 'hi' })],
      ['completions', (client) => client.completions.create({ model: 'opus', prompt: 'hi' })],
      ['images', (client) => client.images.generate({ model: 'opus', prompt: 'hi' })],
    ];
    for (const baseURL of [`${relay.url}/v1`, relay.url]) {
      const client = new OpenAI({ baseURL, apiKey: relay.key });
      for (const [path, call] of calls) {
        await assert.rejects(call(client), (error) => {
          assert.ok(error instanceof NotFoundError);
          assert.equal(error.code, 'not_found');
          assert.match(error.message, new RegExp(`This relay has no /v1/${path}\\. `));
          return true;
        });
      }
    }
  });

  test('the Anthropic SDK reads which path the relay lacks', async () => {
    const client = new Anthropic({ baseURL: relay.url, apiKey: relay.key });
    const calls: [path: string, call: () => PromiseLike<unknown>][] = [
      ['messages/batches', () => client.messages.batches.list()],
      ['files', () => client.beta.files.list()],
    ];
    for (const [path, call] of calls) {
      await assert.rejects(Promise.resolve(call()), (error) => {
        assert.ok(error instanceof AnthropicNotFoundError);
        assert.equal(error.type, 'not_found_error');
        assert.match(error.message, new RegExp(`This relay has no /v1/${path}\\. `));
        return true;
      });
    }
  });
});

describe('any base URL', () => {
  let relay: InProcessRelay;
  before(async () => {
    relay = await startInProcess();
  });
  after(() => relay.stop());
  const hi = [{ role: 'user', content: 'hi' } as const];

  for (const path of ['', '/', '/v1', '/v1/']) {
    test(`both SDKs work with the relay's URL and ${JSON.stringify(path)}`, async () => {
      const options = { baseURL: `${relay.url}${path}`, apiKey: relay.key, maxRetries: 0 };
      const openai = new OpenAI(options);
      const chat = await openai.chat.completions.create({ model: 'opus', messages: hi }).withResponse();
      assert.equal(chat.data.choices[0]?.message.content, 'hello');
      assert.equal((await ledgerRow(relay, chat.request_id ?? ''))['route'], 'chat_completions');
      assert.equal((await openai.models.list()).data.length, 3);

      const anthropic = new Anthropic(options);
      const message = await anthropic.messages.create({ model: 'opus', max_tokens: 9, messages: hi });
      assert.equal((await ledgerRow(relay, message._request_id ?? ''))['route'], 'messages');
      assert.equal((await anthropic.models.retrieve('opus')).id, 'opus');
    });
  }

  test('a key that may not use a route may not use another name of it, and the error has the format of the route', async () => {
    const key = relay.mint('models-only', { allowedRoutes: ['models'] });
    const headers = { authorization: `Bearer ${key}` };
    const refused = await relay.post({}, { path: '/messages', headers });
    const body = (await refused.json()) as { error: { type: string; message: string } };
    assert.deepEqual(
      [refused.status, body.error.type, body.error.message],
      [403, 'permission_error', 'This key may not use /v1/messages.'],
    );
    for (const path of ['/models', '/v1/models/', '/models/opus/'])
      assert.equal((await fetch(`${relay.url}${path}`, { headers })).status, 200, path);
    assert.equal((await fetch(`${relay.url}/messages`)).status, 405);
    for (const path of ['/v1/health', '/v1/ready'])
      assert.equal((await fetch(`${relay.url}${path}`)).status, 404, path);
  });
});
