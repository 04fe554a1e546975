/** Idempotency-Key: a repeat never spends twice, whenever it comes and whatever became of the first connection. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Reply } from './support/failing-model.ts';
import { readEvents } from './support/events.ts';
import {
  clis,
  eventually,
  ledgerRow,
  query,
  sleep,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
} from './support/relay.ts';

async function start(t: TestContext, options: TestRelayOptions = {}): Promise<TestRelay> {
  const relay = await startTestRelay(options);
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

function gate(): { reply: () => Promise<Reply>; open: (reply?: Reply) => void } {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  return { reply: () => promise, open: (reply = { kind: 'text', text: 'once' }) => resolve(reply) };
}

function poster(
  relay: TestRelay,
): (body: object, name: string, init?: { signal?: AbortSignal }) => Promise<Response> {
  return (body, name, init = {}) => relay.post(body, { ...init, headers: { 'idempotency-key': name } });
}

describe('a repeat', { concurrency: 2 }, () => {
  for (const cli of clis) {
    test(`joins what runs and gets what was answered, on ${cli.version}`, async (t) => {
      const { reply, open } = gate();
      const relay = await start(t, { claudeBin: cli.path, reply, settings: { PER_KEY_DAILY: '10' } });
      const post = poster(relay);
      const first = post({ prompt: 'x' }, 'a');
      await eventually('the model is asked', () => relay.model.requests.length === 1, 30_000);
      const joined = post({ prompt: 'x' }, 'a');
      await sleep(200);
      open();
      const answers = [await first, await joined, await post({ prompt: 'x' }, 'a')];
      const texts = await Promise.all(answers.map((each) => each.text()));
      assert.equal(new Set(texts).size, 1, 'byte for byte');
      assert.deepEqual(
        answers.map((each) => [each.status, each.headers.get('idempotent-replayed')]),
        [
          [200, null],
          [200, 'true'],
          [200, 'true'],
        ],
      );
      assert.equal(relay.model.requests.length, 1);
      assert.equal(answers[2]?.headers.get('x-ratelimit-remaining-requests'), '9', 'it uses no limit');
      const rows = await Promise.all(
        answers.map((each) => ledgerRow(relay, each.headers.get('request-id') ?? '')),
      );
      assert.ok(Number(rows[0]?.['tokens_in']) > 0);
      for (const row of rows.slice(1)) assert.deepEqual([row['status'], row['tokens_in']], [200, 0]);

      // Another key, another route and another Idempotency-Key are other requests.
      relay.model.setReply(() => ({ kind: 'text', text: 'another' }));
      assert.match(await (await post({ prompt: 'x' }, 'b')).text(), /another/);
      const other = relay.command('genkey', 'other');
      const foreign = await relay.post(
        { prompt: 'x' },
        { headers: { authorization: `Bearer ${other}`, 'idempotency-key': 'a' } },
      );
      assert.match(await foreign.text(), /another/);
    });
  }

  test('with another body is refused', async (t) => {
    const relay = await start(t);
    const post = poster(relay);
    assert.equal((await post({ prompt: 'x' }, 'a')).status, 200);
    const refused = await post({ prompt: 'y' }, 'a');
    assert.equal(refused.status, 422);
    assert.match(await refused.text(), /"idempotency_mismatch"/);
    for (const name of ['', ' ', 'x'.repeat(256)]) {
      const wrong = await post({ prompt: 'x' }, name);
      assert.equal(wrong.status, 400, name);
      await wrong.text();
    }
    assert.equal(relay.model.requests.length, 1);
  });

  test('of a stream gets what was sent, and then what comes', async (t) => {
    const words = ['one ', 'two ', 'three ', 'four'];
    const last = Promise.withResolvers<void>();
    const relay = await start(t, {
      reply: () => ({
        kind: 'text',
        text: words,
        beforeDelta: (index) => (index === words.length - 1 ? last.promise : undefined),
      }),
    });
    const post = poster(relay);
    const body = { prompt: 'x', stream: true };
    const first = readEvents(await post(body, 'a'));
    const second = readEvents(await post(body, 'a'));
    const third = post(body, 'a', { signal: AbortSignal.timeout(300) }).then((response) => response.text());
    await assert.rejects(third, 'one that leaves takes nothing from the others');
    last.resolve();
    const [whole, joined] = [await first, await second];
    assert.equal(joined.text.replaceAll(': ping\n\n', ''), whole.text.replaceAll(': ping\n\n', ''));
    assert.equal(whole.events.at(-1)?.data['text'], words.join(''));
    const replayed = await post(body, 'a');
    assert.equal(replayed.headers.get('idempotent-replayed'), 'true');
    assert.deepEqual((await readEvents(replayed)).events, whole.events);
    assert.equal(relay.model.requests.length, 1);
  });

  test('after a lost connection finds the run again; without one it is ended after its grace', async (t) => {
    const { reply, open } = gate();
    const relay = await start(t, { reply });
    const post = poster(relay);
    await assert.rejects(post({ prompt: 'x' }, 'a', { signal: AbortSignal.timeout(3000) }));
    await eventually('the model is asked', () => relay.model.requests.length === 1, 30_000);
    const repeat = post({ prompt: 'x' }, 'a');
    open();
    assert.match(await (await repeat).text(), /once/);
    assert.equal(relay.model.requests.length, 1);
    await eventually('both are in the record', () => query(relay, 'SELECT 1 FROM requests').length === 2);
    const [gone] = query(relay, 'SELECT * FROM requests WHERE client_gone = 1');
    assert.deepEqual([gone?.['status'], gone?.['error']], [0, 'client_closed_request']);
    assert.ok(Number(gone?.['tokens_in']) > 0, 'what it used is counted with the one that asked');

    relay.model.setReply(() => ({ kind: 'hang', after: 'accept' }));
    await assert.rejects(post({ prompt: 'x' }, 'b', { signal: AbortSignal.timeout(3000) }));
    await eventually('the model is asked again', () => relay.model.requests.length === 2, 30_000);
    await sleep(15_000);
    assert.ok(relay.children().length > 0, 'it has its grace');
    await eventually('it is ended', () => relay.children().length === 0, 60_000);
    relay.model.setReply(() => ({ kind: 'text', text: 'anew' }));
    assert.match(await (await post({ prompt: 'x' }, 'b')).text(), /anew/);
  });

  test('of what spent nothing runs anew; of a failure that spent, it is the failure', async (t) => {
    let reply: Reply = { kind: 'error', status: 529, type: 'overloaded_error', message: 'full' };
    const relay = await start(t, { reply: () => reply, settings: { PER_KEY_RPM: '3' } });
    const post = poster(relay);
    assert.equal((await post({ prompt: 'x' }, 'a')).status, 503);
    reply = { kind: 'text', text: 'now' };
    assert.match(await (await post({ prompt: 'x' }, 'a')).text(), /now/);
    reply = { kind: 'stream_error', type: 'api_error', message: 'broken', afterText: 'half' };
    for (const replayed of [null, 'true']) {
      const failed = await post({ prompt: 'x' }, 'b');
      const body = (await failed.json()) as Record<string, unknown>;
      assert.deepEqual([failed.status, body['error']], [502, 'upstream_error']);
      assert.equal(body['request_id'], failed.headers.get('request-id'));
      assert.equal(failed.headers.get('idempotent-replayed'), replayed);
    }
    assert.equal(relay.model.requests.length, 3);
    const limited = await post({ prompt: 'x' }, 'c');
    assert.equal(limited.status, 429);
    assert.equal((await post({ prompt: 'x' }, 'c')).headers.get('idempotent-replayed'), null);
    // Validation comes before anything is remembered.
    assert.equal((await post({ prompt: '' }, 'd')).status, 400);
    assert.equal((await post({ prompt: '' }, 'd')).headers.get('idempotent-replayed'), null);
  });

  test('of a job is the same job', async (t) => {
    const relay = await start(t);
    const post = poster(relay);
    const body = { prompt: 'x', async: true };
    const jobs = await Promise.all([post(body, 'a'), post(body, 'a')]);
    const ids = await Promise.all(
      jobs.map(async (response) => ((await response.json()) as { job: { id: string } }).job.id),
    );
    assert.equal(ids[0], ids[1]);
    assert.deepEqual(
      jobs.map((response) => response.status),
      [202, 202],
    );
    assert.equal((await post({ ...body, prompt: 'y' }, 'a')).status, 422);
    await eventually('it was asked once', () => relay.model.requests.length === 1, 30_000);
  });
});

describe('the retry of an official client', { concurrency: 2 }, () => {
  const message = { model: 'haiku', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hi' }] };

  test('spends once when its own timeout was too short', async (t) => {
    const relay = await start(t, {
      reply: async () => {
        await sleep(4000);
        return { kind: 'text', text: 'once' };
      },
    });
    const clients: Record<string, () => Promise<unknown>> = {
      anthropic: () =>
        new Anthropic({
          baseURL: relay.url,
          apiKey: relay.key,
          maxRetries: 4,
          timeout: 3000,
        }).messages.create(message, { headers: { 'idempotency-key': randomUUID() } }),
      openai: () =>
        new OpenAI({
          baseURL: `${relay.url}/v1`,
          apiKey: relay.key,
          maxRetries: 4,
          timeout: 3000,
        }).chat.completions.create(message, { headers: { 'idempotency-key': randomUUID() } }),
    };
    let asked = 0;
    for (const [name, call] of Object.entries(clients)) {
      assert.match(JSON.stringify(await call()), /once/, name);
      asked += 1;
      assert.equal(relay.model.requests.length, asked, name);
    }
  });
});
