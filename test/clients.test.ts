/** Our own clients against the relay, each in every runtime it is for: what they ask, what they give, and how they end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RelayError } from '../src/errors.ts';
import { clientRuntimes, type ClientCall, type ClientProgram } from './support/clients.ts';
import { startCuttingProxy } from './support/cutting-proxy.ts';
import { startInProcess } from './support/in-process.ts';
import { eventually, ledgerRow, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { sentBy } from './support/sent.ts';

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
// One turn, and one place to wait for it: a third request is refused.
const relay = await startInProcess({
  settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '1', FETCH_RPM: '0' },
});
const { model } = relay;
const hello: ScriptedReply = { kind: 'text', text: 'hello' };
/** Begins to answer, and goes on until the turn is ended. */
const once: ScriptedReply = { kind: 'hang', after: 'text', text: 'once' };
const failure = (error: RelayError, afterText?: string): ScriptedReply => ({
  kind: 'relay_error',
  error,
  ...(afterText === undefined ? {} : { afterText }),
});
const proxy = await startCuttingProxy(relay.url);
after(async () => {
  await proxy.close();
  await relay.stop();
  rmSync(project, { recursive: true, force: true });
});

const statuses = (label: string): unknown[] =>
  query(
    relay,
    'SELECT status FROM requests JOIN keys ON keys.id = key_id WHERE label = ? AND client_gone = 0 ORDER BY requests.id',
    label,
  ).map((row) => row['status']);
const idle = (): Promise<void> => eventually('no turn left', () => model.running() === 0);

for (const { name, skip, start } of clientRuntimes(project)) {
  describe(name, { skip }, () => {
    const label = name.replaceAll(/\W+/g, '-');
    const client = { url: relay.url, key: relay.key };
    let program: ClientProgram;
    // The environment as a shell and an SDK would set it. For asyncio there is only a class, which reads it too.
    before(
      () => (program = start({ CLAUDE_RELAY_URL: `${relay.url}/v1/`, CLAUDE_RELAY_KEY: ` ${relay.key}\n` })),
    );
    after(() => program.end());
    const run = (call: ClientCall) => program.run(call);
    const outcome = (call: ClientCall['call'], options: string | Record<string, unknown> = {}) =>
      run({ client, call, options }).outcome;

    test('complete uses the URL and key of the environment and returns the text', async () => {
      model.say(hello);
      const options = { prompt: 'Say hello.', system: 'Be brief.', model: 'haiku', effort: 'low' };
      assert.deepEqual(await run({ call: 'complete', options }).outcome, { deltas: [], value: 'hello' });
      const { body, system, messages } = sentBy(model.requests.at(-1));
      assert.deepEqual(
        [body['model'], system, body['output_config']],
        ['claude-haiku-5', 'Be brief.', { effort: 'low' }],
      );
      assert.deepEqual(messages, [{ role: 'user', content: [{ type: 'text', text: 'Say hello.' }] }]);
    });

    test('hostile texts arrive unchanged in both directions', async () => {
      model.say({ kind: 'text', text: text.split(/(?=\p{L}|\p{Extended_Pictographic})/u) });
      const { deltas, value, error } = await outcome('stream', { prompt: `.${text}`, system: text });
      assert.equal(error, undefined);
      assert.equal((value as Details).value, text);
      assert.equal(deltas.join(''), text);
      const asked = sentBy(model.requests.at(-1));
      assert.deepEqual(asked.messages, [{ role: 'user', content: [{ type: 'text', text: `.${text}` }] }]);
      assert.equal(asked.system, text);
    });

    test('completeWithDetails returns the model, stop reason and usage of the ledger', async () => {
      model.say({ kind: 'text', text: 'cut', stopReason: 'max_tokens' });
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

    test('output format json returns the parsed value, with and without a fence', async () => {
      const value = { name: 'Ä\n```', list: [1, null, 'x'] };
      for (const text of [
        ` \n${JSON.stringify(value, null, 2)}\n`,
        `\`\`\`json\r\n${JSON.stringify(value, null, 2)}\r\n\`\`\`\n`,
      ]) {
        model.say({ kind: 'text', text });
        assert.deepEqual(await outcome('complete', { prompt: 'hi', outputFormat: 'json' }), {
          deltas: [],
          value,
        });
      }
    });

    test("a schema returns the validated value or the relay's error", async () => {
      const schema = {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
        additionalProperties: false,
      };
      model.say({ kind: 'tool_use', name: 'structured_output', input: { city: 'Zürich' } });
      assert.deepEqual(await outcome('complete', { prompt: 'Which?', schema }), {
        deltas: [],
        value: { city: 'Zürich' },
      });
      assert.deepEqual(sentBy(model.requests.at(-1)).tools[0]?.['input_schema'], schema);
      model.say({ kind: 'tool_use', name: 'structured_output', input: { city: 7 } });
      const { error } = await outcome('complete', { prompt: 'Which?', schema });
      assert.equal(error?.code, 'invalid_output');
    });

    test('an answer that is not JSON is a not_json error with its text', async () => {
      for (const [text, stopReason] of [
        ['Sure! {"a": 1}', 'end_turn'],
        ['```json\n{"a": 1,', 'max_tokens'],
      ] as const) {
        model.say({ kind: 'text', text, stopReason });
        const { error } = await outcome('complete', { prompt: 'hi', outputFormat: 'json' });
        assert.deepEqual([error?.code, error?.text, error?.stopReason], ['not_json', text, stopReason]);
        assert.match(String(error?.requestId), /^req_/);
        assert.equal(String(error?.message).includes('max_tokens'), stopReason === 'max_tokens');
      }
    });

    test('stream returns the pieces, then the whole answer', async () => {
      model.say({ kind: 'text', text: ['one ', 'two ', 'three'], deltaDelayMs: 20 });
      const { deltas, value } = await outcome('stream', { prompt: 'count' });
      assert.equal(deltas.join(''), 'one two three');
      assert.ok(deltas.length > 1);
      assert.equal((value as Details).value, 'one two three');
      assert.equal((value as Details).stopReason, 'end_turn');
    });

    test('leaving the loop of a stream ends the turn', async () => {
      model.say(once);
      const asked = model.requests.length;
      const left = await run({ client, call: 'stream', options: { prompt: 'hi' }, leaveAfter: 1 }).outcome;
      assert.deepEqual(left.deltas, ['once']);
      assert.equal(left.error?.code, 'aborted');
      await idle();
      assert.equal(model.requests.length, asked + 1);
    });

    for (const call of ['complete', 'stream'] as const) {
      // Without retries there is no idempotency key, so the relay does not wait for a retry.
      const unrepeated = { client: { ...client, maxRetries: 0 }, call, options: { prompt: 'hi' } };

      test(`an abort ends a ${call} call and its turn`, async () => {
        model.say(once);
        const asked = model.requests.length;
        const running = run({ ...unrepeated, abortable: true });
        await eventually('the model was asked', () => model.requests.length > asked);
        if (call === 'stream') await running.begun;
        running.abort();
        const { error } = await running.outcome;
        assert.equal(error?.code, 'aborted');
        await idle();
        assert.equal(model.requests.length, asked + 1, 'and is not tried again');
      });

      test(`the client's timeout ends the turn of a ${call} call`, async () => {
        model.say(once);
        const { error } = await run({ ...unrepeated, client: { ...unrepeated.client, timeoutMs: 600 } })
          .outcome;
        assert.equal(error?.code, 'client_timeout');
        assert.match(error.message, /600 ms|0\.6 s/);
        await idle();
      });
    }

    test('models lists the allowed models', async () => {
      const { value: models } = await outcome('models', {});
      assert.deepEqual(
        models,
        ['opus', 'sonnet', 'haiku'].map((id) => ({ id, displayName: id })),
      );
    });

    test('fetchPage sends every option, and a refusal by the guard has its code', async () => {
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

    test('a refused request is an error with its code, without a retry', async () => {
      const asked = model.requests.length;
      const cases = [
        [{ prompt: ' ' }, 'bad_request', 400],
        [{ prompt: 'hi', model: 'gpt' }, 'bad_request', 400],
        [{ prompt: 'x'.repeat(1_100_000) }, 'payload_too_large', 413],
      ] as const;
      for (const [options, code, status] of cases) {
        const { error } = await outcome('complete', options);
        assert.deepEqual([error?.code, error?.status], [code, status]);
      }
      assert.equal(model.requests.length, asked);
    });

    test('a wrong key and a key without permission are reported without a retry', async () => {
      const key = relay.mint(`${label}-fetch`, { allowedRoutes: ['fetch'] });
      const options = { prompt: 'hi' };
      const before = proxy.connections();
      const wrong = { url: proxy.url, key: `${relay.key.slice(0, -1)}!` };
      const refused = await run({ client: wrong, call: 'complete', options }).outcome;
      assert.deepEqual([refused.error?.code, refused.error?.status], ['unauthorized', 401]);
      const forbidden = await run({ client: { url: proxy.url, key }, call: 'stream', options }).outcome;
      assert.deepEqual([forbidden.error?.code, forbidden.error?.status], ['forbidden', 403]);
      assert.equal(proxy.connections(), before + 2);
    });

    test("a failure of the model has the relay's code", async () => {
      model.say(failure(new RelayError('bad_request', 'Not like this.')));
      assert.equal((await outcome('complete', { prompt: 'hi' })).error?.code, 'bad_request');
      const broken = new RelayError('upstream_error', 'Broken.', { shouldRetry: false });
      model.say(failure(broken, 'It begins'));
      const { deltas, error } = await outcome('stream', { prompt: 'hi' });
      assert.deepEqual([deltas, error?.code], [['It begins'], 'upstream_error']);
      assert.match(String(error?.requestId), /^req_/);
    });

    test('a temporary failure is retried', async () => {
      const full = new RelayError('upstream_overloaded', 'Full.', { retryAfter: 0 });
      const asked = model.requests.length;
      model.say(failure(full), { kind: 'text', text: ['hel', 'lo'] });
      assert.equal((await outcome('stream', { prompt: 'hi' })).deltas.join(''), 'hello');
      assert.equal(model.requests.length, asked + 2);
    });

    test('a failure that cost tokens is not retried', async () => {
      const asked = model.requests.length;
      const broken = new RelayError('upstream_error', 'Broken.', { shouldRetry: false });
      model.say(failure(broken, 'half'));
      const { error } = await outcome('complete', { prompt: 'hi' });
      assert.deepEqual([error?.code, error?.shouldRetry], ['upstream_error', false]);
      assert.equal(model.requests.length, asked + 1);
    });

    test('a full queue is retried after retry-after, and the retry is answered', async (t) => {
      const key = relay.mint(`${label}-queue`);
      model.say(once);
      // One runs, one waits, and the third is refused because the queue is full.
      const busy = new AbortController();
      t.after(() => busy.abort());
      const ask = (asking: string): Promise<Response> =>
        fetch(`${relay.url}/v1/complete`, {
          method: 'POST',
          headers: { authorization: `Bearer ${asking}`, 'content-type': 'application/json' },
          body: '{"prompt":"hi"}',
          signal: busy.signal,
        });
      const others = [1, 2, 3].map(() => ask(relay.key));
      assert.equal((await Promise.any(others)).status, 429);
      // Each key always has one place in the queue: this key's place is taken, too.
      const own = [1, 2].map(() => ask(key));
      assert.equal((await Promise.any(own)).status, 429);
      const options = { prompt: 'hi' };
      const running = run({ client: { url: relay.url, key }, call: 'complete', options });
      await eventually('it was refused', () => statuses(`${label}-queue`).length === 2);
      model.say(hello);
      busy.abort();
      await Promise.allSettled([...others, ...own]);
      assert.deepEqual(await running.outcome, { deltas: [], value: 'hello' });
      await eventually('all are written', () => statuses(`${label}-queue`).length === 3);
      assert.deepEqual(statuses(`${label}-queue`), [429, 429, 200]);
    });

    test('a limit that lasts longer than maxRetryWait is reported at once', async () => {
      model.say(hello);
      const key = relay.mint(`${label}-minute`, { rpm: 1 });
      const minute = {
        client: { url: relay.url, key, maxRetryWaitMs: 500 },
        call: 'complete',
        options: { prompt: 'hi' },
      } as const;
      assert.equal((await run(minute).outcome).value, 'hello');
      const first = (await run(minute).outcome).error;
      assert.deepEqual([first?.code, first?.status, first?.limit], ['rate_limited', 429, 'key_rpm']);
      assert.ok(Number(first?.retryAfter) > 0.5 && Number(first?.retryAfter) <= 60);

      const day = { url: relay.url, key: relay.mint(`${label}-day`, { dailyLimit: 1 }) };
      const ask = {
        client: { ...day, maxRetryWaitMs: 86_400_000 },
        call: 'complete',
        options: { prompt: 'hi' },
      } as const;
      assert.equal((await run(ask).outcome).value, 'hello');
      const asked = model.requests.length;
      const second = (await run(ask).outcome).error;
      assert.deepEqual(
        [second?.code, second?.limit, second?.shouldRetry],
        ['rate_limited', 'key_daily', false],
      );
      assert.match(String(second?.requestId), /^req_/);
      assert.equal(model.requests.length, asked);
    });

    test('a cut complete call is retried and paid for once, and a stream that has begun is not retried', async () => {
      model.say({ kind: 'text', text: ['hel', 'lo'], deltaDelayMs: 100 });
      const through = { client: { url: proxy.url, key: relay.key }, options: { prompt: 'hi' } };
      const asked = model.requests.length;
      const before = proxy.connections();
      proxy.cutAt(/event: delta/);
      assert.deepEqual(await run({ call: 'complete', ...through }).outcome, { deltas: [], value: 'hello' });
      assert.equal(proxy.connections(), before + 2);
      assert.equal(model.requests.length, asked + 1);
      proxy.cutAt(/event: delta/);
      const { deltas, error } = await run({ call: 'stream', ...through }).outcome;
      assert.equal(error?.code, 'connection_lost');
      assert.ok('hello'.startsWith(deltas.join('')));
      assert.equal(proxy.connections(), before + 3, 'a stream that has begun is not retried');
      await idle();
    });
  });
}
