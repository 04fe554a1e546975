/** `webhook` next to `async`: what is accepted, and what the caller sees. How it is delivered: src/webhooks, test/pages. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { openStore } from '../src/store/sqlite.ts';
import { mostPerKey } from '../src/webhooks/outbox.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import { FakeClock } from './support/limits.ts';
import { eventually, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';

type Hook = { state: string; attempts: number; last_error?: string };
type Job = { id: string; status: string; url: string; webhook?: Hook };
type Sent = { url: string; headers: Readonly<Record<string, string>>; body: string };

const url = 'https://hooks.site.com/MARKER-path?token=MARKER-token';

/** A relay whose receiver answers with a status. */
async function start(
  t: TestContext,
  status: (signal: AbortSignal) => number | Promise<number> = () => 200,
  options: InProcessOptions = {},
): Promise<InProcessRelay & { sent: Sent[] }> {
  const sent: Sent[] = [];
  const post = async (webhook: Sent, signal: AbortSignal): Promise<number> => {
    sent.push(webhook);
    return status(signal);
  };
  const relay = await startInProcess({ ...options, overrides: { ...options.overrides, post } });
  t.after(() => relay.stop());
  return { ...relay, sent };
}

async function ask(relay: InProcessRelay, path: string, method = 'GET'): Promise<Job> {
  const response = await fetch(`${relay.url}${path}`, { method, headers: { 'x-api-key': relay.key } });
  const { job } = (await response.json()) as { job: Job };
  assert.equal(response.status, 200);
  return job;
}

async function submit(relay: InProcessRelay, more: object = {}): Promise<Job> {
  const response = await relay.post({ prompt: 'hi', async: true, webhook: url, ...more });
  assert.equal(response.status, 202);
  return ((await response.json()) as { job: Job }).job;
}

/** The job once its webhook is as expected. */
async function until(relay: InProcessRelay, job: Job, state: string): Promise<Job> {
  let now = job;
  await eventually(`the webhook is ${state}`, async () => {
    now = await ask(relay, job.url);
    return now.webhook?.state === state;
  });
  return now;
}

describe('webhook', () => {
  test('a job calls its URL when it has ended, and shows that', async (t) => {
    const relay = await start(t);
    const accepted = await submit(relay);
    assert.deepEqual(accepted.webhook, { state: 'pending', attempts: 0 });
    const done = await until(relay, accepted, 'delivered');
    assert.deepEqual([done.status, done.webhook], ['done', { state: 'delivered', attempts: 1 }]);
    const [{ url: called, headers, body } = assert.fail('nothing was sent'), ...more] = relay.sent;
    assert.deepEqual([called, more], [url, []]);
    const secret = relay.command('claude-relay', 'key', 'show', 'test', '--webhook-secret');
    const { type, data } = new StandardWebhook(secret).verify(body, headers) as Record<string, unknown>;
    assert.deepEqual([type, data], ['job.completed', { id: done.id, status: 'done' }]);
    assert.match(relay.log(), /"host":"hooks\.site\.com"/);
    assert.ok(!/MARKER/.test(relay.log()) && !relay.log().includes(secret));
    assert.deepEqual(query(relay, 'SELECT * FROM webhooks'), []);
  });

  test('a job without a webhook shows none and calls nothing', async (t) => {
    const relay = await start(t);
    const job = await submit(relay, { webhook: undefined });
    await eventually('the job is done', async () => (await ask(relay, job.url)).status === 'done');
    assert.ok(!('webhook' in (await ask(relay, job.url))));
    assert.deepEqual(relay.sent, []);
  });

  test('the relay refuses a webhook that it would not call, and asks no model', async (t) => {
    const relay = await start(t);
    const long = `https://hooks.site.com/${'x'.repeat(2030)}`;
    for (const [webhook, more, message] of [
      [url, { async: false }, 'Field "webhook" requires "async": true.'],
      ['', {}, /^Field "webhook" must be an https URL on the public internet\. The URL is not an absolute/],
      ['http://hooks.site.com/', {}, /Only https URLs can be called\.$/],
      ['ftp://hooks.site.com/', {}, /Only http and https/],
      ['https://user:MARKER@hooks.site.com/', {}, /must not contain a user name or a password\.$/],
      ['https://127.0.0.1/', {}, /not on the public internet\.$/],
      ['https://2130706433/', {}, /not on the public internet\.$/],
      ['https://[::ffff:10.0.0.1]/', {}, /not on the public internet\.$/],
      ['https://[::1]/', {}, /not on the public internet\.$/],
      ['https://169.254.169.254/latest', {}, /not on the public internet\.$/],
      ['https://localhost/', {}, /local or special network\.$/],
      ['https://n8n.lan/', {}, /local or special network\.$/],
      ['https://hooks.site.com:5678/', {}, /The port of the URL must be one of 80, 443/],
      [long, {}, 'Field "webhook" must have at most 2048 characters.'],
      [`https://hooks.site.com/${'é'.repeat(500)}`, {}, 'Field "webhook" must have at most 2048 characters.'],
      [7, {}, /^Field "webhook" must be a string/],
    ] as const) {
      const response = await relay.post({ prompt: 'hi', async: true, webhook, ...more });
      const body = (await response.json()) as { error: string; message: string };
      assert.deepEqual([response.status, body.error], [400, 'bad_request'], String(webhook));
      if (typeof message === 'string') assert.equal(body.message, message);
      else assert.match(body.message, message);
      assert.ok(!body.message.includes('MARKER'));
    }
    const prefer = await relay.post({ prompt: 'hi', webhook: url }, { headers: { prefer: 'respond-async' } });
    assert.equal(prefer.status, 400, 'the header alone is not enough');
    assert.deepEqual([relay.model.requests, relay.sent], [[], []]);
    assert.deepEqual(query(relay, 'SELECT * FROM webhooks'), []);
  });

  test('a key whose routes are limited needs the right to use webhooks', async (t) => {
    const relay = await start(t);
    const post = (key: string) =>
      relay.post(
        { prompt: 'hi', async: true, webhook: url },
        { headers: { authorization: `Bearer ${key}` } },
      );
    const refused = await post(relay.mint('limited', { allowedRoutes: ['complete', 'fetch'] }));
    assert.equal(refused.status, 403);
    assert.match(await refused.text(), /"forbidden".*may not use \\"webhook\\"/);
    assert.deepEqual([relay.model.requests, relay.sent], [[], []]);
    const accepted = await post(relay.mint('allowed', { allowedRoutes: ['complete', 'webhook'] }));
    assert.equal(accepted.status, 202);
    await eventually('it is called', () => relay.sent.length === 1);
  });

  test('a key that may use webhooks no longer calls nothing until it may again', async (t) => {
    const clock = new FakeClock(Date.now());
    const relay = await start(t, undefined, { overrides: { clock } });
    const model = Promise.withResolvers<ScriptedReply>();
    relay.model.setReply(() => model.promise);
    const job = await submit(relay);
    relay.command('claude-relay', 'key', 'set', 'test', '--routes', 'complete');
    model.resolve({ kind: 'text', text: 'hello' });
    await eventually('an attempt failed', async () => (await ask(relay, job.url)).webhook?.attempts === 1);
    assert.equal((await ask(relay, job.url)).webhook?.last_error, 'forbidden');
    assert.deepEqual(relay.sent, []);
    relay.command('claude-relay', 'key', 'set', 'test', '--routes', 'complete,webhook');
    clock.advance(10_000);
    await until(relay, job, 'delivered');
  });

  test('a key with too many webhooks gets a 429 that names the limit, and asks no model', async (t) => {
    const relay = await start(t);
    const store = openStore(relay.dataDir);
    const insert = store.db.prepare(
      'INSERT INTO webhooks (job_id, key_id, created_at, url) SELECT ?, id, 0, ? FROM keys',
    );
    store.transaction(() => {
      for (let job = 0; job < mostPerKey; job += 1) insert.run(`job_${job}`, url);
    });
    store.close();
    const { status, body } = await relay.complete({ prompt: 'hi', async: true, webhook: url });
    assert.deepEqual([status, body['error'], body['limit']], [429, 'rate_limited', 'key_webhooks']);
    assert.match(String(body['message']), /^This key has 1000 webhooks that are not delivered yet\./);
    assert.deepEqual(relay.model.requests, []);
    await submit(relay, { webhook: undefined });
  });

  test('a job that fails, and one that is cancelled, say so', async (t) => {
    const relay = await start(t);
    relay.model.say({ kind: 'hang', after: 'accept' });
    const cancelled = await submit(relay);
    await ask(relay, cancelled.url, 'DELETE');
    await until(relay, cancelled, 'delivered');
    relay.model.say({ kind: 'hang', after: 'accept' });
    const failed = await submit(relay, { timeout: 1 });
    await until(relay, failed, 'delivered');
    assert.deepEqual(
      relay.sent.map(({ body }) => (JSON.parse(body) as { type: string; data: object }).data),
      [
        { id: cancelled.id, status: 'cancelled' },
        { id: failed.id, status: 'failed' },
      ],
    );
  });

  test('a request that is refused at once calls nothing, and a repeat of one calls once', async (t) => {
    const relay = await start(t, undefined, { settings: { PER_KEY_DAILY: '1' } });
    const repeated = { headers: { 'idempotency-key': 'one' } };
    const body = { prompt: 'hi', async: true, webhook: url };
    const first = (await (await relay.post(body, repeated)).json()) as { job: Job };
    await until(relay, first.job, 'delivered');
    const again = (await (await relay.post(body, repeated)).json()) as { job: Job };
    assert.equal(again.job.id, first.job.id);
    assert.equal((await relay.post(body)).status, 429);
    assert.deepEqual(query(relay, 'SELECT * FROM webhooks'), []);
    assert.equal(relay.sent.length, 1);
  });

  test('a job that is deleted after its end is not called any more', async (t) => {
    const clock = new FakeClock(Date.now());
    const relay = await start(t, () => 500, { overrides: { clock } });
    const job = await submit(relay);
    await eventually('an attempt failed', async () => (await ask(relay, job.url)).webhook?.attempts === 1);
    const { webhook } = await ask(relay, job.url);
    assert.deepEqual(webhook, { state: 'pending', attempts: 1, last_error: 'http_500' });
    assert.equal(query(relay, 'SELECT * FROM webhooks').length, 1);
    await ask(relay, job.url, 'DELETE');
    assert.deepEqual(query(relay, 'SELECT * FROM webhooks'), []);
    clock.advance(86_400_000);
    assert.equal(relay.sent.length, 1, 'an attempt would begin at its time');
  });

  test('a relay that stops calls the URL of the job that ends last, and waits for the receiver', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-webhooks-'));
    t.after(() => rmSync(scratch, { recursive: true }));
    let accepted = 0;
    const slowly = async (): Promise<number> => {
      for (let round = 0; round < 100; round += 1) await setImmediate();
      accepted += 1;
      return 200;
    };
    const relay = await start(t, slowly, { scratch });
    const model = Promise.withResolvers<ScriptedReply>();
    relay.model.setReply(() => model.promise);
    await submit(relay);
    const stopped = relay.stop();
    model.resolve({ kind: 'text', text: 'hello' });
    await stopped;
    assert.match(relay.sent[0]?.body ?? '', /"job.completed"/);
    assert.deepEqual([accepted, relay.sent.length, query(relay, 'SELECT * FROM webhooks')], [1, 1, []]);
  });

  test('a receiver that never answers holds up the stop of a relay for DRAIN_TIMEOUT only', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-webhooks-'));
    t.after(() => rmSync(scratch, { recursive: true }));
    const never = (signal: AbortSignal): Promise<number> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const relay = await start(t, never, { scratch, overrides: { times: { drainTimeoutMs: 100 } } });
    await submit(relay);
    await eventually('an attempt is under way', () => relay.sent.length === 1);
    await relay.stop();
    assert.deepEqual(
      query(relay, 'SELECT status, attempts FROM webhooks').map((row) => Object.values(row)),
      [['done', 0]],
    );
  });

  test('a relay that stops keeps what is not delivered, and the next one delivers it', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'relay-webhooks-'));
    t.after(() => rmSync(scratch, { recursive: true }));
    const first = await start(t, () => 500, { scratch, settings: { DRAIN_TIMEOUT: '0' } });
    const job = await submit(first);
    await eventually('an attempt failed', async () => (await ask(first, job.url)).webhook?.attempts === 1);
    first.model.say({ kind: 'hang', after: 'accept' });
    const running = await submit(first);
    await first.stop();
    const second = await start(t, undefined, { scratch, key: first.key });
    await eventually('both are delivered', () => second.sent.length === 2);
    assert.deepEqual(
      second.sent.map(({ body }) => (JSON.parse(body) as { data: object }).data),
      [
        { id: job.id, status: 'done' },
        { id: running.id, status: 'failed' },
      ],
    );
    await eventually('nothing is left', () => query(second, 'SELECT * FROM webhooks').length === 0);
  });

  test('a request whose webhook cannot be recorded is refused, and its run is cancelled', async (t) => {
    const relay = await start(t);
    const other = openStore(relay.dataDir);
    relay.model.say({ kind: 'hang', after: 'accept' });
    const answer = relay.complete({ prompt: 'hi', async: true, webhook: url });
    while (relay.model.running() === 0) await setImmediate();
    other.db.exec('BEGIN IMMEDIATE');
    const { status, body } = await answer;
    other.close();
    assert.deepEqual([status, body['error']], [503, 'not_ready']);
    assert.match(String(body['message']), /cannot record the webhook/);
    assert.equal(relay.model.running(), 0);
    assert.deepEqual(query(relay, 'SELECT * FROM webhooks'), []);
  });
});
