/** Prompts and system prompts reach the model byte for byte, and nothing comes with them: compared at the stand-in. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type SeenRequest, blocksOf, lastUserTexts, textOf } from './support/failing-model.ts';
import { hostileTexts, longText } from './support/hostile-texts.ts';
import { casesOn, everyCli } from './support/real-cli.ts';
import { startTestRelay, type TestRelay } from './support/relay.ts';

const plain = { prompt: 'What is a relay?', system: 'Answer in one sentence.' };
const texts = Object.entries(hostileTexts);

for (const cli of everyCli) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRelay;
    let usual: string;
    before(async () => {
      relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        // The answer is the prompt: it has to come back as it went.
        reply: ({ json }) => ({
          kind: 'text',
          text: json === undefined ? '' : (lastUserTexts(json).at(-1) ?? ''),
        }),
        settings: { MAX_INPUT_BYTES: '4194304' },
      });
      usual = withoutTexts(await send(plain), plain);
    });
    after(() => relay.stop());

    /** Sends a request and resolves to what reached the model of it. */
    async function send(asked: { prompt: string; system?: string }): Promise<SeenRequest> {
      const { status, body } = await relay.complete(asked);
      assert.equal(status, 200, JSON.stringify(body).slice(0, 500));
      assert.equal(body['text'], asked.prompt, 'the answer came back as it went');
      const seen = relay.model.requests.filter(
        ({ json }) => json !== undefined && lastUserTexts(json).includes(asked.prompt),
      );
      assert.equal(seen.length, 1, `${seen.length} requests hold a block that is the prompt`);
      assert.ok(seen[0]);
      return seen[0];
    }

    describe('verbatim texts', { concurrency: 2 }, () => {
      for (const [index, [name, text]] of casesOn(cli, [...texts.entries()])) {
        test(`${name} in prompt and system prompt reach the model verbatim`, async () => {
          // Each text is once a prompt and once a system prompt, in another pair.
          const system = texts[(index + 7) % texts.length]?.[1] ?? '';
          const asked = { prompt: text, system };
          const request = await send(asked);
          const { json } = request;
          assert.ok(json);
          assert.equal(lastUserTexts(json).filter((block) => block === text).length, 1);
          assert.equal(blocksOf(json.system).filter((block) => textOf(block) === system).length, 1);
          // A command, a mention or a keyword that was understood would show in the rest of the request.
          assert.equal(withoutTexts(request, asked), usual);
        });
      }

      test('900 kB in prompt and system prompt reach the model verbatim', async () => {
        const asked = { prompt: longText, system: `${longText.slice(0, 300_000)}\nthe end` };
        assert.ok(Buffer.byteLength(longText) >= 900_000, String(Buffer.byteLength(longText)));
        const request = await send(asked);
        assert.equal(withoutTexts(request, asked), usual);
      });
    });

    test('a request without a system prompt sends none of the CLI’s coding prompt', async () => {
      const requests = await Promise.all([
        send({ prompt: 'no system prompt here' }),
        send({ prompt: 'an empty system prompt here', system: '' }),
      ]);
      for (const request of requests) {
        const system = blocksOf(request.json?.system).map((block) => textOf(block) ?? '');
        assert.ok(system.join('').length < 200, system.join('\n'));
        assert.ok(
          system.every((text) => /^(?:x-anthropic-billing-header:|You are a Claude agent)/.test(text)),
        );
        assert.deepEqual(request.json?.tools ?? [], []);
        assert.ok(request.body.length < 1000, `${request.body.length} bytes`);
      }
    });

    test('text that cannot be delivered is refused and does not reach the model', async () => {
      const before = relay.model.requests.length;
      for (const [text, message] of [
        ['a \ud800 b', /lone surrogate/],
        ['\udc00', /lone surrogate/],
        ['a\0b', /NUL/],
      ] as const) {
        for (const field of ['prompt', 'system']) {
          const { status, body } = await relay.complete({ prompt: 'x', [field]: text });
          assert.equal(status, 400);
          assert.equal(body['error'], 'bad_request');
          assert.match(String(body['message']), new RegExp(`^Field "${field}" `));
          assert.match(String(body['message']), message);
        }
      }
      for (const prompt of ['', ' \n\t']) assert.equal((await relay.complete({ prompt })).status, 400);
      assert.equal(relay.model.requests.length, before);
    });
  });
}

/** A request without the caller's two texts and without what is random in every one: the rest has to be the same each time. */
function withoutTexts(
  { json }: SeenRequest,
  { prompt, system }: { prompt: string; system?: string },
): string {
  const replaced = JSON.stringify(json, (_key, value: unknown) => {
    if (value === prompt) return '<prompt>';
    return value === system ? '<system>' : value;
  });
  return replaced
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, '<id>')
    .replaceAll(/relay-\d+-\w{6}/g, '<directory>')
    .replaceAll(/cc_version=[\w.]+/g, '<version>');
}
