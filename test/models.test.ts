/** The models as both official SDKs list and retrieve them, and the error that each SDK gets for a path without a route. */
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

  test('the OpenAI SDK gets its own error format and a hint about the base URL', async () => {
    const calls: ((client: OpenAI) => Promise<unknown>)[] = [
      (client) => client.responses.create({ model: 'opus', input: 'hi' }),
      (client) => client.embeddings.create({ model: 'opus', input: 'hi' }),
      (client) => client.completions.create({ model: 'opus', prompt: 'hi' }),
    ];
    for (const baseURL of [`${relay.url}/v1`, relay.url]) {
      const client = new OpenAI({ baseURL, apiKey: relay.key });
      for (const call of calls) await assert.rejects(call(client), isNotFound);
    }
    function isNotFound(error: unknown): boolean {
      assert.ok(error instanceof NotFoundError);
      assert.equal(error.code, 'not_found');
      assert.match(error.message, /This path does not exist.*ends with \/v1/);
      return true;
    }
  });

  test('the Anthropic SDK gets its own error format and the hint', async () => {
    const calls: ((client: Anthropic) => PromiseLike<unknown>)[] = [
      (client) => client.messages.batches.list(),
      (client) => client.beta.files.list(),
      (client) => client.withOptions({ baseURL: `${relay.url}/v1` }).models.list(),
    ];
    const client = new Anthropic({ baseURL: relay.url, apiKey: relay.key });
    for (const call of calls) {
      await assert.rejects(Promise.resolve(call(client)), (error) => {
        assert.ok(error instanceof AnthropicNotFoundError);
        assert.equal(error.type, 'not_found_error');
        assert.match(error.message, /This path does not exist/);
        return true;
      });
    }
  });
});
