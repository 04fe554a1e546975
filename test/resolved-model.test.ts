/** A full id in place of which Claude Code asks another model: the answer says so, or the request is refused before the model is asked. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { clis, eventually, startTestRelay, type TestRelay } from './support/relay.ts';

/** Claude Code asks claude-opus-5-5 for it. */
const old = 'claude-opus-4-1';
const messages = [{ role: 'user', content: 'hi' }];
const routes: [path: string, body: object][] = [
  ['/v1/complete', { prompt: 'hi' }],
  ['/v1/messages', { messages, max_tokens: 9 }],
  ['/v1/chat/completions', { messages }],
];

const resolvedOf = ({ headers }: Response): string | null => headers.get('x-relay-resolved-model');

describe('a model that Claude Code replaces', () => {
  let relay: InProcessRelay;
  let strict: InProcessRelay;
  before(async () => {
    relay = await startInProcess({ settings: { MODEL_ALIASES: `pinned=${old}` } });
    strict = await startInProcess({ settings: { STRICT_MODELS: '1', PER_KEY_DAILY: '5' } });
  });
  after(() => Promise.all([relay.stop(), strict.stop()]));

  for (const [path, body] of routes) {
    test(`is named in the header of an answer of ${path}, whole or streamed`, async () => {
      for (const stream of [false, true]) {
        for (const model of [old, 'pinned']) {
          const answer = await relay.post({ ...body, model, stream }, { path });
          assert.equal(answer.status, 200);
          assert.equal(resolvedOf(answer), 'claude-opus-5-5');
          await answer.text();
        }
        for (const model of ['opus', 'claude-opus-5-5', 'claude-haiku-4-5']) {
          const answer = await relay.post({ ...body, model, stream }, { path });
          assert.deepEqual([answer.status, resolvedOf(answer)], [200, null]);
          await answer.text();
        }
      }
    });

    test(`is refused by STRICT_MODELS at ${path}, whole or streamed, before it is asked`, async () => {
      const asked = strict.model.requests.length;
      for (const stream of [false, true]) {
        const answer = await strict.post({ ...body, model: old, stream }, { path });
        assert.equal(answer.status, path === '/v1/complete' ? 400 : 404);
        assert.match(
          await answer.text(),
          /would ask claude-opus-5-5 in place of claude-opus-4-1.*STRICT_MODELS/,
        );
        assert.equal(resolvedOf(answer), 'claude-opus-5-5');
      }
      assert.equal(strict.model.requests.length, asked);
      await eventually('the day has its counts back', async () => {
        const usage = await fetch(`${strict.url}/v1/usage`, { headers: { 'x-api-key': strict.key } });
        return usage.headers.get('x-ratelimit-remaining-requests') === '5';
      });
    });
  }

  test('is named if it is the API that replaces it, and a whole answer is not refused any more', async () => {
    const message = { id: 'msg_1', model: 'claude-opus-9-9', usage: { input_tokens: 1, output_tokens: 1 } };
    strict.model.say({
      kind: 'events',
      events: [
        { type: 'message_start', message },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'hello' } },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } },
        { type: 'message_stop' },
      ],
    });
    const answer = await strict.complete({ prompt: 'hi', model: 'claude-opus-5-5' });
    assert.deepEqual([answer.status, answer.body['text']], [200, 'hello']);
    assert.equal(answer.headers.get('x-relay-resolved-model'), 'claude-opus-9-9');
    strict.model.say({ kind: 'text', text: 'hello' });
  });

  for (const [path, body] of routes) {
    test(`is an error at ${path} if it is of another family, whole or streamed`, async () => {
      for (const model of ['opus', 'claude-opus-5-5', 'claude-opus-4-1']) {
        for (const stream of [false, true]) {
          relay.model.say({ kind: 'text', text: 'a swapped answer', model: 'claude-haiku-4-5' });
          const answer = await relay.post({ ...body, model, stream }, { path });
          assert.equal(answer.status, 502);
          assert.equal(answer.headers.get('x-should-retry'), 'false', 'it has cost tokens');
          assert.match(await answer.text(), /Another model \(claude-haiku-4-5\) answered/);
        }
      }
      relay.model.say({ kind: 'text', text: 'hello' });
    });
  }

  test('STRICT_MODELS refuses no model that is asked as it is', async () => {
    for (const model of ['opus', 'claude-opus-5-5', undefined]) {
      const { status } = await strict.complete({ prompt: 'hi', model });
      assert.equal(status, 200);
    }
  });
});

for (const cli of clis) {
  describe(`a model that Claude Code ${cli.version} replaces`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({ proof: false, claudeBin: cli.path, settings: { STRICT_MODELS: '1' } });
    });
    after(() => relay.stop());

    test('is refused by STRICT_MODELS before it is asked', async () => {
      const refused = await relay.post({ prompt: 'hi', model: old });
      const text = await refused.text();
      assert.equal(refused.status, 400, text);
      assert.match(resolvedOf(refused) ?? '', /^claude-opus-/);
      assert.equal(relay.model.requests.length, 0);
      assert.equal((await relay.complete({ prompt: 'hi', model: 'opus' })).status, 200);
    });
  });
}
