/** Idempotency-Key: a repeat never spends twice, whenever it comes and whatever became of the first connection. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { readEvents } from './support/events.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { eventually, ledgerRow, query } from './support/relay.ts';

async function start(t: TestContext, options: InProcessOptions = {}): Promise<InProcessRelay> {
  const relay = await startInProcess(options);
  t.after(() => relay.stop());
  return relay;
}

function gate(): { reply: () => Promise<ScriptedReply>; open: (reply?: ScriptedReply) => void } {
  const { promise, resolve } = Promise.withResolvers<ScriptedReply>();
  return { reply: () => promise, open: (reply = { kind: 'text', text: 'once' }) => resolve(reply) };
}

function poster(
  relay: InProcessRelay,
): (body: object, name: string, init?: { signal?: AbortSignal }) => Promise<Response> {
  return (body, name, init = {}) => relay.post(body, { ...init, headers: { 'idempotency-key': name } });
}

describe('idempotent requests', () => {
  test('a repeat joins the run, and later gets its answer', async (t) => {
    const { reply, open } = gate();
    const relay = await start(t, { reply, settings: { PER_KEY_DAILY: '10' } });
    const post = poster(relay);
    const first = post({ prompt: 'x' }, 'a');
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    const joined = post({ prompt: 'x' }, 'a');
    // A repeat that does not join asks the model again, now or later: the count below would show it.
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
    assert.equal(answers[2]?.headers.get('x-ratelimit-remaining-requests'), '9', 'a repeat uses no limit');
    const rows = await Promise.all(
      answers.map((each) => ledgerRow(relay, each.headers.get('request-id') ?? '')),
    );
    assert.ok(Number(rows[0]?.['tokens_in']) > 0);
    for (const row of rows.slice(1)) assert.deepEqual([row['status'], row['tokens_in']], [200, 0]);

    // Another key, another route and another Idempotency-Key are other requests.
    relay.model.say({ kind: 'text', text: 'another' });
    assert.match(await (await post({ prompt: 'x' }, 'b')).text(), /another/);
    const other = relay.mint('other');
    const foreign = await relay.post(
      { prompt: 'x' },
      { headers: { authorization: `Bearer ${other}`, 'idempotency-key': 'a' } },
    );
    assert.match(await foreign.text(), /another/);
  });

  test('a repeat with another body is refused', async (t) => {
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

  test('a repeat of a stream gets the events so far, and then the events to come', async (t) => {
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
    const leaving = new AbortController();
    const third = await post(body, 'a', { signal: leaving.signal });
    leaving.abort();
    await assert.rejects(third.text(), 'this client has left; the others get everything');
    last.resolve();
    const [whole, joined] = [await first, await second];
    assert.equal(joined.text.replaceAll(': ping\n\n', ''), whole.text.replaceAll(': ping\n\n', ''));
    assert.equal(whole.events.at(-1)?.data['text'], words.join(''));
    const replayed = await post(body, 'a');
    assert.equal(replayed.headers.get('idempotent-replayed'), 'true');
    assert.deepEqual((await readEvents(replayed)).events, whole.events);
    assert.equal(relay.model.requests.length, 1);
  });

  test('a repeat after a lost connection joins the run', async (t) => {
    const { reply, open } = gate();
    const relay = await start(t, { reply });
    const post = poster(relay);
    const lost = new AbortController();
    const first = post({ prompt: 'x' }, 'a', { signal: lost.signal });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    lost.abort();
    await assert.rejects(first);
    const repeat = post({ prompt: 'x' }, 'a');
    open();
    assert.match(await (await repeat).text(), /once/);
    assert.equal(relay.model.requests.length, 1);
    await eventually('both requests are recorded', () => query(relay, 'SELECT 1 FROM requests').length === 2);
    assert.equal(
      query(relay, 'SELECT 1 FROM requests WHERE tokens_in > 0').length,
      1,
      'one request has the token counts',
    );
  });

  test('a run that nobody waits for ends after the grace, and a repeat runs again', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'hang', after: 'accept' }),
      overrides: { times: { graceMs: 200 } },
    });
    const post = poster(relay);
    const lost = new AbortController();
    const first = post({ prompt: 'x' }, 'a', { signal: lost.signal });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    lost.abort();
    await assert.rejects(first);
    await eventually('the request is recorded', () => query(relay, 'SELECT 1 FROM requests').length === 1);
    const [gone] = query(relay, 'SELECT * FROM requests');
    assert.deepEqual(
      [gone?.['status'], gone?.['error'], gone?.['client_gone']],
      [0, 'client_closed_request', 1],
    );
    relay.model.say({ kind: 'text', text: 'again' });
    assert.match(await (await post({ prompt: 'x' }, 'a')).text(), /again/);
  });

  test('a repeat runs again if the failure cost no tokens, and otherwise gets the failure', async (t) => {
    let reply: ScriptedReply = { kind: 'error', status: 529, type: 'overloaded_error', message: 'full' };
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
    // A request that is not valid is not remembered.
    assert.equal((await post({ prompt: '' }, 'd')).status, 400);
    assert.equal((await post({ prompt: '' }, 'd')).headers.get('idempotent-replayed'), null);
  });

  test('a repeat of a job gets the same job', async (t) => {
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
    await eventually('the model is asked once', () => relay.model.requests.length === 1);
  });
});

describe('an official client whose timeout is too short', () => {
  const message = { model: 'haiku', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hi' }] };
  const options = { maxRetries: 4, timeout: 500 };
  const clients: Record<string, (relay: InProcessRelay, fetch: typeof globalThis.fetch) => Promise<unknown>> =
    {
      anthropic: ({ url, key }, fetch) =>
        new Anthropic({ ...options, baseURL: url, apiKey: key, fetch }).messages.create(message, {
          headers: { 'idempotency-key': randomUUID() },
        }),
      openai: ({ url, key }, fetch) =>
        new OpenAI({ ...options, baseURL: `${url}/v1`, apiKey: key, fetch }).chat.completions.create(
          message,
          {
            headers: { 'idempotency-key': randomUUID() },
          },
        ),
    };
  for (const [name, call] of Object.entries(clients)) {
    test(`the ${name} SDK retries with its Idempotency-Key, and the model is asked once`, async (t) => {
      const { reply, open } = gate();
      const relay = await start(t, { reply });
      let tries = 0;
      const answer = await call(relay, (...request) => {
        tries += 1;
        if (tries === 2) open();
        return fetch(...request);
      });
      assert.match(JSON.stringify(answer), /once/);
      assert.ok(tries > 1);
      assert.equal(relay.model.requests.length, 1);
    });
  }
});
