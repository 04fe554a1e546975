/** Jobs: 202 at once, the answer later, in memory and for the same key only. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './support/in-process.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { eventually, ledgerRow, query } from './support/relay.ts';

type Job = {
  id: string;
  status: string;
  created_at: string;
  expires_at: string | null;
  url: string;
  response?: { status: number; body: Record<string, unknown> };
};

const hang: ScriptedReply = { kind: 'hang', after: 'accept' };

async function start(t: TestContext, options: InProcessOptions = {}): Promise<InProcessRelay> {
  const relay = await startInProcess(options);
  t.after(() => relay.stop());
  return relay;
}

async function jobOf(response: Response, status: number): Promise<Job> {
  const body = (await response.json()) as { ok: boolean; job: Job };
  assert.equal(response.status, status, JSON.stringify(body));
  assert.equal(body.ok, true);
  return body.job;
}

function ask(relay: InProcessRelay, url: string, method = 'GET', key = relay.key): Promise<Response> {
  return fetch(`${relay.url}${url}`, { method, headers: { 'x-api-key': key } });
}

async function ended(relay: InProcessRelay, url: string): Promise<Job> {
  let job: Job | undefined;
  await eventually('the job has ended', async () => {
    job = await jobOf(await ask(relay, url), 200);
    return !['queued', 'running'].includes(job.status);
  });
  return job as Job;
}

/** A reply that waits until the test opens it. */
function gate(): { reply: () => Promise<ScriptedReply>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<ScriptedReply>();
  return { reply: () => promise, open: () => resolve({ kind: 'text', text: 'in time' }) };
}

describe('jobs', () => {
  test('a job waits, runs and is done, and only its key can see it', async (t) => {
    const { reply, open } = gate();
    const relay = await start(t, {
      reply,
      settings: { GLOBAL_CONCURRENCY: '1', PER_KEY_DAILY: '100' },
    });
    const accepted = await relay.post({ prompt: 'first', async: true });
    const first = await jobOf(accepted, 202);
    assert.equal(accepted.headers.get('location'), first.url);
    assert.equal(accepted.headers.get('retry-after'), '2');
    assert.equal(
      accepted.headers.get('x-ratelimit-remaining-requests'),
      '99',
      'a job counts against the limits',
    );
    assert.match(first.id, /^job_[\da-f]{32}$/);
    assert.equal(first.url, `/v1/jobs/${first.id}`);
    assert.ok(Math.abs(Date.parse(first.created_at) - Date.now()) < 60_000);
    assert.deepEqual([first.status, first.expires_at], ['running', null]);
    const second = await jobOf(await relay.post({ prompt: 'second', async: true }), 202);
    assert.equal(second.status, 'queued', 'jobs wait for a slot like any request');

    const running = await ask(relay, first.url);
    assert.equal(running.headers.get('retry-after'), '2');
    assert.deepEqual(Object.keys(await jobOf(running, 200)), [
      'id',
      'status',
      'created_at',
      'expires_at',
      'url',
    ]);
    const other = relay.mint('other');
    for (const method of ['GET', 'DELETE']) {
      const refused = await ask(relay, first.url, method, other);
      assert.equal(refused.status, 404);
      assert.match(await refused.text(), /"not_found"/);
      assert.equal((await ask(relay, first.url, method, 'nonsense')).status, 401);
    }
    open();
    const done = await ended(relay, first.url);
    assert.equal(done.status, 'done');
    assert.ok(Date.parse(done.expires_at ?? '') > Date.now() + 500_000);
    assert.deepEqual([done.response?.status, done.response?.body['text']], [200, 'in time']);
    assert.equal((await ended(relay, second.url)).status, 'done');

    const row = await ledgerRow(relay, accepted.headers.get('request-id') ?? '');
    assert.deepEqual([row['status'], row['route'], row['error']], [200, 'complete', null]);
    assert.ok(Number(row['tokens_in']) > 0);
    assert.equal(relay.model.requests.length, 2);

    assert.equal((await jobOf(await ask(relay, first.url, 'DELETE'), 200)).status, 'done');
    assert.equal((await ask(relay, first.url)).status, 404, 'a deleted job is forgotten');
  });

  test('the header prefer: respond-async makes a job on every model route', async (t) => {
    const relay = await start(t);
    const message = { model: 'haiku', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
    for (const [path, body] of Object.entries({
      '/v1/complete': { prompt: 'hi' },
      '/v1/messages': message,
      '/v1/chat/completions': message,
    })) {
      const response = await relay.post(body, { path, headers: { prefer: 'wait=1, respond-async' } });
      assert.equal(response.headers.get('preference-applied'), 'respond-async');
      const job = await ended(relay, (await jobOf(response, 202)).url);
      assert.equal(job.status, 'done');
      assert.match(JSON.stringify(job.response?.body), /"hello"/);
    }
    // A stream ignores the preference.
    const stream = await relay.post({ prompt: 'hi', stream: true }, { headers: { prefer: 'respond-async' } });
    assert.equal(stream.status, 200);
    assert.equal(stream.headers.get('preference-applied'), null);
    await stream.text();
  });

  test('a failed job has the error of its dialect, and a request refused at once becomes no job', async (t) => {
    const relay = await start(t, {
      reply: () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'full' }),
      settings: { PER_KEY_RPM: '2' },
    });
    const message = { model: 'haiku', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
    const headers = { prefer: 'respond-async' };
    const native = await ended(relay, (await jobOf(await relay.post({ prompt: 'x', async: true }), 202)).url);
    assert.equal(native.status, 'failed');
    assert.deepEqual([native.response?.status, native.response?.body['error']], [503, 'upstream_overloaded']);
    const anthropic = await relay.post(message, { path: '/v1/messages', headers });
    const failed = await ended(relay, (await jobOf(anthropic, 202)).url);
    assert.equal(failed.response?.status, 529);
    assert.equal((failed.response.body['error'] as { type: string }).type, 'overloaded_error');

    const refused = await relay.post({ prompt: 'x' }, { headers });
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('preference-applied'), null);
    assert.match(await refused.text(), /"key_rpm"/);
    assert.equal((await relay.post({ prompt: '', async: true })).status, 400);
    const row = await ledgerRow(relay, refused.headers.get('request-id') ?? '');
    assert.equal(row['status'], 429);
  });

  test('DELETE cancels a job that runs or waits', async (t) => {
    const relay = await start(t, { reply: () => hang, settings: { GLOBAL_CONCURRENCY: '1' } });
    const accepted = await relay.post({ prompt: 'x', async: true });
    const running = await jobOf(accepted, 202);
    const waiting = await jobOf(await relay.post({ prompt: 'x', async: true }), 202);
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    assert.equal((await jobOf(await ask(relay, waiting.url, 'DELETE'), 200)).status, 'cancelled');
    const cancelled = await jobOf(await ask(relay, running.url, 'DELETE'), 200);
    assert.deepEqual([cancelled.status, cancelled.response], ['cancelled', undefined]);
    assert.equal((await jobOf(await ask(relay, running.url), 200)).status, 'cancelled');
    await eventually('its turn has ended', () => relay.model.running() === 0);
    const row = await ledgerRow(relay, accepted.headers.get('request-id') ?? '');
    assert.deepEqual([row['status'], row['error']], [0, 'client_closed_request']);
    relay.model.say({ kind: 'text', text: 'free' });
    assert.equal((await relay.complete({ prompt: 'hi' })).body['text'], 'free');
    assert.equal(relay.model.requests.length, 2);
  });

  test('a job is forgotten JOB_TTL after its end', async (t) => {
    const relay = await start(t, { overrides: { times: { jobTtlMs: 300 } } });
    const job = await jobOf(await relay.post({ prompt: 'x', async: true }), 202);
    await eventually('the job is forgotten', async () => {
      const response = await ask(relay, job.url);
      await response.text();
      return response.status === 404;
    });
  });
});

test('a relay that stops refuses new jobs and waits for the job that runs', async (t) => {
  const { reply, open } = gate();
  const scratch = mkdtempSync(join(tmpdir(), 'relay-jobs-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const relay = await startInProcess({ reply, scratch, settings: { DRAIN_TIMEOUT: '60' } });
  const accepted = await relay.post({ prompt: 'x', async: true });
  await eventually('the model is asked', () => relay.model.requests.length === 1);
  const stopped = relay.stop();
  assert.equal((await fetch(`${relay.url}/ready`)).status, 503);
  assert.equal((await relay.post({ prompt: 'x', async: true })).status, 503);
  open();
  await stopped;
  const [row] = query(
    relay,
    'SELECT status FROM requests WHERE request_id = ?',
    accepted.headers.get('request-id') ?? '',
  );
  assert.equal(row?.['status'], 200);
});
