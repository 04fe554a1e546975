/** Our own clients against the real relay, each in every runtime it is for: what they ask, what they give, and how they end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lastUserTexts } from '../src/standin/messages.ts';
import type { Reply } from '../src/standin/reply.ts';
import { clientRuntimes, installPackage, type ClientCall } from './support/clients.ts';
import { eventually, ledgerRow, query, sleep, startTestRelay, type TestRelay } from './support/relay.ts';

type Details = {
  value: unknown;
  model: string;
  resolvedModel: string;
  stopReason: string;
  durationMs: number;
  usage: { inputTokens: number; outputTokens: number; costUsd: number | null };
  requestId: string;
};

/** What JSON, UTF-8 and programs in between like to break: other planes, joined and right-to-left text, line ends, what looks like events. */
const text = [
  'Grüße, 世界, שלום, 👩‍👩‍👧‍👦 e\u0301 \u2028 \u2029 "quoted" \\ \t',
  '\r\nline\r\n\n\ndata: {"type":"done"}\n\n: ping\n\nevent: error\n',
  '🦜'.repeat(2000),
].join('');

const project = mkdtempSync(join(tmpdir(), 'relay-clients-'));
const runtimes = clientRuntimes(project);
let relay: TestRelay;
let client: { url: string; key: string };

before(async () => {
  installPackage(project);
  relay = await startTestRelay({ keep: 1000 });
  client = { url: relay.url, key: relay.key };
});
after(async () => {
  await relay.stop();
  rmSync(project, { recursive: true, force: true });
});

const say = (reply: Reply): void => relay.model.setReply(() => reply);
const rows = (): number => query(relay, 'SELECT id FROM requests').length;
const idle = (): Promise<void> => eventually('no process left', () => relay.children().length === 0);

for (const { name, run } of runtimes) {
  describe(name, () => {
    const outcome = (call: ClientCall['call'], options: string | Record<string, unknown> = {}) =>
      run({ client, call, options }).outcome;

    test('complete: the text, with what the environment names', async () => {
      say({ kind: 'text', text: 'hello' });
      // asyncio has a class only; it reads the environment just as well.
      const environment = { CLAUDE_RELAY_URL: `${relay.url}/v1/`, CLAUDE_RELAY_KEY: ` ${relay.key}\n` };
      const options = { prompt: 'Say hello.', system: 'Be brief.', model: 'haiku', effort: 'low' };
      assert.deepEqual(await run({ call: 'complete', options }, environment).outcome, {
        deltas: [],
        value: 'hello',
      });
      const asked = relay.model.requests.at(-1)?.json;
      assert.ok(asked !== undefined);
      assert.match(asked.model, /haiku/);
      assert.match(JSON.stringify(asked.system), /Be brief\./);
      assert.ok(lastUserTexts(asked).includes('Say hello.'));
    });

    test('every text arrives as it was sent, both ways', async () => {
      say({ kind: 'text', text: text.split(/(?=\p{L}|\p{Extended_Pictographic})/u) });
      const { deltas, value, error } = await outcome('stream', { prompt: `.${text}`, system: text });
      assert.equal(error, undefined);
      assert.equal((value as Details).value, text);
      assert.equal(deltas.join(''), text);
      const asked = relay.model.requests.at(-1)?.json;
      assert.ok(asked !== undefined && lastUserTexts(asked).includes(`.${text}`));
      assert.ok(JSON.stringify(asked.system).includes(JSON.stringify(text).slice(1, -1)));
    });

    test('completeWithDetails: what the relay and its ledger know of the answer', async () => {
      say({ kind: 'text', text: 'cut', stopReason: 'max_tokens' });
      const { value } = await outcome('completeWithDetails', { prompt: 'hi', model: 'sonnet' });
      const details = value as Details;
      assert.deepEqual([details.value, details.model, details.stopReason], ['cut', 'sonnet', 'max_tokens']);
      assert.match(details.resolvedModel, /^claude-sonnet-/);
      const row = await ledgerRow(relay, details.requestId);
      assert.deepEqual(
        [details.usage.inputTokens, details.usage.outputTokens],
        [row['tokens_in'], row['tokens_out']],
      );
    });

    test('json: the parsed value, with and without a fence', async () => {
      const value = { name: 'Ä\n```', list: [1, null, 'x'] };
      for (const text of [
        ` \n${JSON.stringify(value, null, 2)}\n`,
        `\`\`\`json\r\n${JSON.stringify(value, null, 2)}\r\n\`\`\`\n`,
      ]) {
        say({ kind: 'text', text });
        assert.deepEqual(await outcome('complete', { prompt: 'hi', outputFormat: 'json' }), {
          deltas: [],
          value,
        });
      }
    });

    test('schema: the value that the relay has checked, or its error', async () => {
      const schema = {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
        additionalProperties: false,
      };
      const answer = (input: object): void =>
        // A schema is asked for as the input of a tool of the CLI's own.
        relay.model.setReply((request) => ({
          kind: 'tool_use',
          name: request.json?.tools?.[0]?.name ?? '',
          input,
        }));
      answer({ city: 'Zürich' });
      assert.deepEqual(await outcome('complete', { prompt: 'Which?', schema }), {
        deltas: [],
        value: { city: 'Zürich' },
      });
      answer({ city: 8000 });
      const { error } = await outcome('complete', { prompt: 'Which?', schema });
      assert.equal(error?.code, 'invalid_output');
    });

    test('json: an answer that is not JSON is an error that carries it', async () => {
      for (const [text, stopReason] of [
        ['Sure! {"a": 1}', 'end_turn'],
        ['```json\n{"a": 1,', 'max_tokens'],
      ] as const) {
        say({ kind: 'text', text, stopReason });
        const { error } = await outcome('complete', { prompt: 'hi', outputFormat: 'json' });
        assert.deepEqual([error?.code, error?.text, error?.stopReason], ['not_json', text, stopReason]);
        assert.match(String(error?.requestId), /^req_/);
        assert.equal(String(error?.message).includes('max_tokens'), stopReason === 'max_tokens');
      }
    });

    test('stream: the pieces as they come, then the whole', async () => {
      say({ kind: 'text', text: ['one ', 'two ', 'three'], deltaDelayMs: 20 });
      const { deltas, value } = await outcome('stream', { prompt: 'count' });
      assert.equal(deltas.join(''), 'one two three');
      assert.ok(deltas.length > 1);
      assert.equal((value as Details).value, 'one two three');
      assert.equal((value as Details).stopReason, 'end_turn');
    });

    test('stream: leaving the loop ends the turn', async () => {
      say({ kind: 'hang', after: 'text', text: 'once' });
      const asked = relay.model.requests.length;
      const left = await run({ client, call: 'stream', options: { prompt: 'hi' }, leaveAfter: 1 }).outcome;
      assert.deepEqual(left.deltas, ['once']);
      assert.equal(left.error?.code, 'aborted');
      await idle();
      assert.equal(relay.model.requests.length, asked + 1);
    });

    for (const call of ['complete', 'stream'] as const) {
      test(`${call}: an abort ends the call and the turn`, async () => {
        say({ kind: 'hang', after: 'text', text: 'once' });
        const asked = relay.model.requests.length;
        // Without retries there is no idempotency key, for whose sake the relay would wait for one.
        const running = run({ client: { ...client, maxRetries: 0 }, call, options: { prompt: 'hi' } });
        await eventually('the model was asked', () => relay.model.requests.length > asked);
        if (call === 'stream') await running.begun;
        running.abort();
        const { error } = await running.outcome;
        assert.equal(error?.code, 'aborted');
        await idle();
        assert.equal(relay.model.requests.length, asked + 1, 'and is not tried again');
      });

      test(`${call}: so does its time`, async () => {
        say({ kind: 'hang', after: 'text', text: 'once' });
        const timed = { ...client, timeoutMs: 2500, maxRetries: 0 };
        const { error } = await run({ client: timed, call, options: { prompt: 'hi' } }).outcome;
        assert.equal(error?.code, 'client_timeout');
        assert.match(error.message, /2500 ms|2\.5 s/);
        await idle();
      });
    }

    test('models and usage', async () => {
      const { value: models } = await outcome('models', {});
      assert.deepEqual(
        models,
        ['opus', 'sonnet', 'haiku'].map((id) => ({ id, displayName: id })),
      );
      const key = relay.command('genkey', `usage-${name.replaceAll(/\W+/g, '-')}`, '7');
      say({ kind: 'text', text: 'hello' });
      const own = { url: relay.url, key };
      await run({ client: own, call: 'complete', options: { prompt: 'hi', model: 'haiku' } }).outcome;
      await eventually('the ledger has it', async () => {
        const { value } = await run({ client: own, call: 'usage' }).outcome;
        const usage = value as {
          limits: { keyDaily: { limit: number; used: number }; concurrency: { limit: number } };
          fetchLimits: object;
          last30Days: { requests: number; models: Record<string, { inputTokens: number }> };
          plan: null;
        };
        assert.deepEqual([usage.limits.keyDaily.limit, usage.limits.keyDaily.used], [7, 1]);
        assert.equal(usage.plan, null);
        return (usage.last30Days.models['haiku']?.inputTokens ?? 0) > 0;
      });
    });

    test('fetchPage: what the guard refuses is an error with its code, and every option is understood', async () => {
      const options = {
        url: 'http://127.0.0.1:80/',
        format: 'markdown',
        maxBytes: 1000,
        strip: false,
        pageTimeoutMs: 2500,
        acceptLanguage: 'de',
        userAgent: 'test',
      };
      const { error } = await outcome('fetchPage', options);
      assert.deepEqual([error?.code, error?.status], ['blocked_address', 403]);
      assert.match(String(error?.requestId), /^req_/);
      assert.equal((await outcome('fetchPage', 'ftp://example.com/')).error?.code, 'blocked_scheme');
      assert.equal((await outcome('fetchPage', 'no url')).error?.code, 'invalid_url');
    });

    test('what the relay refuses is an error with its code, at once', async () => {
      const asked = relay.model.requests.length;
      const cases = [
        [{ prompt: ' ' }, 'bad_request', 400],
        [{ prompt: 'hi', model: 'gpt' }, 'bad_request', 400],
        [{ prompt: 'x'.repeat(1_100_000) }, 'payload_too_large', 413],
      ] as const;
      for (const [options, code, status] of cases) {
        const { error } = await outcome('complete', options);
        assert.deepEqual([error?.code, error?.status], [code, status]);
      }
      assert.equal(relay.model.requests.length, asked);
    });

    test('a wrong key is told once, and so is one without permission', async () => {
      const label = `models-${name.replaceAll(/\W+/g, '-')}`;
      const key = relay.command('claude-relay', 'key', 'create', label, '--routes', 'fetch');
      const wrong = { url: relay.url, key: `${relay.key.slice(0, -1)}!` };
      const before = rows();
      const options = { prompt: 'hi' };
      const refused = await run({ client: wrong, call: 'complete', options }).outcome;
      assert.deepEqual([refused.error?.code, refused.error?.status], ['unauthorized', 401]);
      const forbidden = await run({ client: { url: relay.url, key }, call: 'stream', options }).outcome;
      assert.deepEqual([forbidden.error?.code, forbidden.error?.status], ['forbidden', 403]);
      await sleep(600);
      assert.ok(rows() - before <= 2);
    });

    test("the model's own failures have the relay's codes", async () => {
      say({ kind: 'error', status: 400, type: 'invalid_request_error', message: 'not like this' });
      assert.equal((await outcome('complete', { prompt: 'hi' })).error?.code, 'bad_request');
      say({ kind: 'stream_error', type: 'api_error', message: 'broken', afterText: 'It begins' });
      const { deltas, error } = await outcome('stream', { prompt: 'hi' });
      assert.deepEqual([deltas, error?.code], [['It begins'], 'upstream_error']);
      assert.match(String(error?.requestId), /^req_/);
    });
  });
}
