/** The main job: a prompt through the real CLI and back, in both formats, on both versions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clis, startTestRelay, type TestRelay } from './support/relay.ts';

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({
        claudeBin: cli.path,
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

    test('text: the model’s text, exactly', async () => {
      const { status, body } = await relay.complete({ prompt: 'hi', model: 'sonnet' });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body['text'], '  first\nsecond ✓ ');
      assert.equal(body['model'], 'sonnet');
      assert.deepEqual(Object.keys(body).toSorted(), ['duration_ms', 'model', 'ok', 'text']);
    });

    test('json: the text, the resolved model, and the true counts and cost', async () => {
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
  });
}
