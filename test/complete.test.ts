/** The main job: a prompt through the real CLI and back, in both formats, on both versions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clis, ledgerRow, startTestRelay, type TestRelay } from './support/relay.ts';

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        settings: { MODEL_ALIASES: 'gpt-4o=sonnet', MAX_INPUT_BYTES: '4096', MAX_ATTACHMENT_BYTES: '8192' },
        reply: () => ({
          kind: 'text',
          text: ['  first\n', 'second ✓ '],
          usage: {
            input_tokens: 11,
            output_tokens: 7,
            cache_read_input_tokens: 5,
            cache_creation_input_tokens: 3,
          },
        }),
      });
    });
    after(() => relay.stop());

    test('a text answer is the model’s text, exactly', async () => {
      const { status, body } = await relay.complete({ prompt: 'hi', model: 'sonnet' });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body['text'], '  first\nsecond ✓ ');
      assert.equal(body['model'], 'sonnet');
      assert.deepEqual(Object.keys(body).toSorted(), ['duration_ms', 'model', 'ok', 'text']);
    });

    test('a json answer has the text, the resolved model, the token counts and the cost', async () => {
      const { status, body } = await relay.complete({ prompt: 'hi', output_format: 'json' });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body['result'], '  first\nsecond ✓ ');
      assert.match(String(body['resolved_model']), /^claude-opus-/);
      const usage = body['usage'] as Record<string, unknown>;
      assert.equal(usage['input_tokens'], 11);
      assert.equal(usage['output_tokens'], 7);
      assert.equal(usage['cache_read_input_tokens'], 5);
      assert.equal(usage['cache_creation_input_tokens'], 3);
      assert.ok(Number(usage['cost_usd']) > 0);
    });

    test('effort reaches the model, and a level that the CLI would ignore is refused', async () => {
      for (const effort of ['low', 'xhigh']) {
        assert.equal((await relay.complete({ prompt: 'hi', effort })).status, 200);
        const sent = JSON.parse(relay.model.requests.at(-1)?.body ?? '{}') as Record<string, unknown>;
        assert.deepEqual(sent['output_config'], { effort });
      }
      const { status, body } = await relay.complete({ prompt: 'hi', effort: 'extreme' });
      assert.equal(status, 400);
      assert.match(String(body['message']), /"effort" must be one of low, medium, high, xhigh, max/);
    });

    test('a conversation with an image, a document and settings reaches the model as it is', async () => {
      const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } };
      const notes = { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Notes.' } };
      const { status, body } = await relay.complete({
        messages: [
          { role: 'user', content: [image, notes, { type: 'text', text: 'What is this?' }] },
          { role: 'assistant', content: 'A picture.' },
          { role: 'user', content: '/cost of it?' },
        ],
        model: 'gpt-4o',
        max_tokens: 77,
        temperature: 0.5,
        stop: ['END', 'STOP'],
      });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body['model'], 'gpt-4o');
      const sent = JSON.parse(relay.model.requests.at(-1)?.body ?? '{}') as {
        model: string;
        messages: { role: string; content: Record<string, unknown>[] }[];
      } & Record<string, unknown>;
      assert.match(sent.model, /^claude-sonnet-/);
      assert.deepEqual(
        [sent['max_tokens'], sent['temperature'], sent['stop_sequences']],
        [77, 0.5, ['END', 'STOP']],
      );
      const turns = sent.messages.filter(({ role }) => role !== 'system');
      assert.deepEqual(
        turns.map(({ role }) => role),
        ['user', 'assistant', 'user'],
      );
      const [first, second, third] = turns.map(({ content }) => content);
      assert.partialDeepStrictEqual(
        first?.find(({ type }) => type === 'image'),
        image,
      );
      assert.partialDeepStrictEqual(
        first?.find(({ type }) => type === 'document'),
        notes,
      );
      assert.match(JSON.stringify(first), /"What is this\?"/);
      assert.match(JSON.stringify(second), /"A picture\."/);
      assert.match(JSON.stringify(third), /"\/cost of it\?"/);
    });

    test('a full model id is passed on, and recorded as its family', async () => {
      const id = 'claude-haiku-4-5-20251001';
      const response = await relay.post({ prompt: 'hi', model: id });
      assert.equal(response.status, 200);
      assert.equal(((await response.json()) as { model: string }).model, id);
      assert.equal(relay.model.requests.at(-1)?.json?.model, id);
      const row = await ledgerRow(relay, response.headers.get('request-id') ?? '');
      assert.equal(row['model'], 'haiku');
    });

    test('text and attachments have separate limits, and the error names the limit', async () => {
      const image = (bytes: number): object => ({
        type: 'image',
        source: { type: 'base64', media_type: 'image/png', data: 'A'.repeat(bytes) },
      });
      const asked = relay.model.requests.length;
      const refused: [body: object, limit: RegExp][] = [
        [{ prompt: 'x'.repeat(5000) }, /MAX_INPUT_BYTES/],
        [{ messages: [{ role: 'user', content: [image(9000)] }] }, /MAX_ATTACHMENT_BYTES/],
        [{ messages: [{ role: 'user', content: [image(20_000)] }] }, /MAX_ATTACHMENT_BYTES/],
        [{ prompt: 'x', messages: [{ role: 'user', content: [image(8000)] }] }, /"messages", not both/],
      ];
      for (const [body, limit] of refused) {
        const answer = await relay.complete(body as Record<string, unknown>);
        assert.equal(answer.status, limit.source.startsWith('MAX') ? 413 : 400);
        assert.match(String(answer.body['message']), limit);
      }
      assert.equal(relay.model.requests.length, asked);
    });
  });
}
