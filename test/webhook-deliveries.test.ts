/** How webhooks are signed, repeated and kept, on a clock and with a receiver of the test. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import pino from 'pino';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { FakeClock } from './support/limits.ts';
import { RelayError } from '../src/errors.ts';
import { openKeys, type Keys } from '../src/keys/store.ts';
import { openStore, type Store } from '../src/store/sqlite.ts';
import { mostPerKey, openOutbox } from '../src/webhooks/outbox.ts';
import { openWebhooks, webhookBounds, type Webhook, type Webhooks } from '../src/webhooks/webhooks.ts';

type Sent = { url: string; headers: Record<string, string>; body: string };

const url = 'https://hooks.example.com/MARKER-path?token=MARKER-token';

let dir: string;
let store: Store;
let clock: FakeClock;
let keys: Keys;
let sent: Sent[];
let log: string;
/** Resolves to the status of the receiver. */
let receive: (sent: Sent, signal: AbortSignal) => number | Promise<number>;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-webhooks-'));
  store = openStore(dir);
  clock = new FakeClock(Date.now());
  keys = openKeys(store, { now: () => clock.wall() });
  sent = [];
  log = '';
  receive = () => 200;
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

/** A relay on the data of the test. */
function open(): Webhooks {
  return openWebhooks({
    outbox: openOutbox(store, () => clock.wall()),
    keys,
    post: async ({ url, headers, body }, signal) => {
      sent.push({ url, headers, body });
      return receive({ url, headers, body }, signal);
    },
    clock,
    log: pino({ base: null }, { write: (line: string) => (log += line) }),
    random: () => 0.5,
  });
}

/** The id of a new key. */
const keyId = (label = 'app'): string => keys.create(label, {}, 'test').key.id;

function ended(webhook: Webhook, status: 'done' | 'failed' | 'cancelled' = 'done'): void {
  webhook.end({ status, at: clock.wall() });
}

/** The one request that was sent since the last call. */
function taken(): Sent {
  const [one, ...others] = sent.splice(0);
  assert.ok(one !== undefined && others.length === 0);
  return one;
}

/** What is not delivered. */
const left = (): string[] =>
  store.db
    .prepare('SELECT job_id, status, attempts FROM webhooks')
    .all()
    .map((row) => Object.values(row).map(String).join(' '));

/** The lines of the log with this message. */
const lines = (msg: string): Record<string, unknown>[] =>
  log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === msg);

/** Until every promise that can settle now has. */
async function settle(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await setImmediate();
}

/** Never answers; ends with the attempt. */
function never(_sent: Sent, signal: AbortSignal): Promise<number> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

test('a delivery is signed as the library of Standard Webhooks verifies it', async () => {
  const webhooks = open();
  const id = keyId();
  for (const status of ['done', 'failed', 'cancelled'] as const) {
    const webhook = webhooks.add(`job_${status}`, id, url);
    assert.deepEqual(webhook.state(), { state: 'pending', attempts: 0 });
    assert.equal(sent.length, 0, 'the job has not ended');
    ended(webhook, status);
    await settle();
    assert.deepEqual(webhook.state(), { state: 'delivered', attempts: 1 });
    const { headers, body } = taken();
    const payload = new StandardWebhook(keys.webhookSecret('app')).verify(body, headers);
    assert.deepEqual(payload, {
      type: `job.${status === 'done' ? 'completed' : status}`,
      timestamp: new Date(clock.wall()).toISOString(),
      data: { id: `job_${status}`, status },
    });
    assert.deepEqual([headers['webhook-id'], headers['content-type']], [`job_${status}`, 'application/json']);
    const other = new StandardWebhook(`whsec_${Buffer.alloc(32).toString('base64')}`);
    assert.throws(() => other.verify(body, headers), 'with another secret');
    assert.throws(() => new StandardWebhook(keys.webhookSecret('app')).verify(`${body} `, headers));
  }
  assert.deepEqual(left(), []);
});

test('a new secret and the one before it both sign until the grace period is over', async () => {
  const webhooks = open();
  const id = keyId();
  const old = keys.webhookSecret('app');
  const renewed = keys.rotateWebhookSecret('app', 60_000, 'key rotate');
  assert.notEqual(renewed, old);
  assert.equal(keys.webhookSecret('app'), renewed);
  const verifies = async (secrets: readonly string[]): Promise<boolean[]> => {
    ended(webhooks.add('job_1', id, url));
    await settle();
    const { headers, body } = taken();
    return secrets.map((secret) => {
      try {
        return new StandardWebhook(secret).verify(body, headers) !== undefined;
      } catch {
        return false;
      }
    });
  };
  assert.deepEqual(await verifies([old, renewed]), [true, true]);
  clock.advance(60_000);
  assert.deepEqual(await verifies([old, renewed]), [false, true]);
  const last = keys.rotateWebhookSecret('app', 0, 'key rotate');
  assert.deepEqual(await verifies([renewed, last]), [false, true]);
});

test('a delivery that fails is repeated after each pause, with the same id and body', async () => {
  const webhooks = open();
  const answers: (number | RelayError)[] = [500, 302, new RelayError('dns_error', 'No.'), 404, 200];
  receive = () => {
    const answer = answers.shift();
    if (answer instanceof RelayError) throw answer;
    return answer ?? assert.fail('it was delivered');
  };
  const webhook = webhooks.add('job_1', keyId(), url);
  ended(webhook);
  await settle();
  for (const [index, error] of ['http_500', 'http_302', 'dns_error', 'http_404'].entries()) {
    assert.deepEqual(webhook.state(), { state: 'pending', attempts: index + 1, last_error: error });
    const pauseMs = webhookBounds.pausesMs[index] ?? 0;
    clock.advance(pauseMs - 1);
    await settle();
    assert.equal(sent.length, index + 1, 'not before its time');
    clock.advance(1);
    await settle();
  }
  assert.deepEqual(webhook.state(), { state: 'delivered', attempts: 5 });
  assert.equal(new Set(sent.map(({ body }) => body)).size, 1);
  assert.deepEqual([...new Set(sent.map(({ headers }) => headers['webhook-id']))], ['job_1']);
  const times = sent.map(({ headers }) => Number(headers['webhook-timestamp']));
  assert.equal(times.at(-1), Math.floor(clock.wall() / 1000), 'each attempt has its own time');
  assert.equal(new Set(sent.map(({ headers }) => headers['webhook-signature'])).size, 5);
  assert.deepEqual([left(), clock.timers], [[], 0]);
});

test('deliveries end with a 410 and with the last attempt, and the log says that they were given up', async () => {
  const webhooks = open();
  const id = keyId();
  receive = ({ body }) => (body.includes('job_gone') ? 410 : 500);
  const gone = webhooks.add('job_gone', id, url);
  ended(gone);
  await settle();
  assert.deepEqual(gone.state(), { state: 'failed', attempts: 1, last_error: 'http_410' });
  const dead = webhooks.add('job_dead', id, url);
  ended(dead);
  for (const pauseMs of [0, ...webhookBounds.pausesMs]) {
    clock.advance(pauseMs);
    await settle();
  }
  assert.deepEqual(dead.state(), { state: 'failed', attempts: 7, last_error: 'http_500' });
  assert.deepEqual([left(), clock.timers], [[], 0]);
  assert.deepEqual(
    lines('a webhook was given up').map(({ level, job, attempt, error }) => [level, job, attempt, error]),
    [
      [40, 'job_gone', 1, 'http_410'],
      [40, 'job_dead', 7, 'http_500'],
    ],
  );
});

test('a receiver that never answers holds up no other key', async () => {
  const webhooks = open();
  const [slow, other] = [keyId('slow'), keyId('other')];
  receive = (each, signal) => (each.body.includes('slow') ? never(each, signal) : 200);
  for (let index = 0; index < mostPerKey; index += 1) ended(webhooks.add(`job_slow${index}`, slow, url));
  await settle();
  assert.equal(sent.length, webhookBounds.atOncePerKey);
  assert.throws(() => webhooks.requireRoom(slow), {
    code: 'rate_limited',
    details: { limit: 'key_webhooks', retryAfter: 60 },
  });
  webhooks.requireRoom(other);
  const webhook = webhooks.add('job_other', other, url);
  ended(webhook);
  await settle();
  assert.deepEqual(webhook.state(), { state: 'delivered', attempts: 1 });
  await webhooks.close(AbortSignal.abort());
  assert.deepEqual(
    [left().length, sent.length],
    [mostPerKey, webhookBounds.atOncePerKey + 1],
    'they are kept, and no further one begins',
  );
});

test('the deliveries of all keys share a bounded number of places, first the key that has fewest', async () => {
  const webhooks = open();
  const busy = webhookBounds.atOnce / webhookBounds.atOncePerKey;
  const ids = Array.from({ length: busy }, (_, index) => keyId(`app-${index}`));
  const answers: ((status: number) => void)[] = [];
  receive = (each, signal) => {
    const { promise, resolve } = Promise.withResolvers<number>();
    answers.push(resolve);
    return Promise.race([promise, never(each, signal)]);
  };
  for (const id of ids) {
    for (let index = 0; index < 3; index += 1) ended(webhooks.add(`job_${id}${index}`, id, url));
  }
  await settle();
  assert.equal(sent.length, webhookBounds.atOnce);
  ended(webhooks.add('job_last', keyId('last'), url));
  await settle();
  assert.equal(sent.length, webhookBounds.atOnce);
  answers[0]?.(200);
  await settle();
  assert.match(sent[webhookBounds.atOnce]?.body ?? '', /job_last/, 'before the others that wait longer');
  await webhooks.close(AbortSignal.abort());
});

test('a key that is disabled or revoked sends nothing, and a revoked one has no secret and no webhook left', async () => {
  const webhooks = open();
  receive = () => 500;
  const [paused, revoked] = [keyId('paused'), keyId('revoked')];
  const webhook = webhooks.add('job_1', paused, url);
  for (const each of [webhook, webhooks.add('job_2', revoked, url)]) ended(each);
  webhooks.add('job_3', revoked, url);
  await settle();
  assert.equal(sent.length, 2);
  keys.change('paused', { disabled: true }, 'key disable');
  keys.revoke('revoked', 'key revoke');
  assert.deepEqual(left(), ['job_1 done 1']);
  assert.deepEqual(
    store.db
      .prepare('SELECT key_id FROM webhook_secrets')
      .all()
      .map((row) => row['key_id']),
    [paused],
  );
  for (const pauseMs of webhookBounds.pausesMs.slice(0, 3)) {
    clock.advance(pauseMs);
    await settle();
  }
  assert.equal(sent.length, 2);
  assert.equal(webhook.state().last_error, 'forbidden');
  assert.deepEqual(
    lines('a webhook was given up').map(({ job, error }) => [job, error]),
    [['job_2', 'unauthorized']],
    'a revoked key does not come back',
  );
  assert.equal(store.db.prepare('SELECT * FROM webhook_secrets WHERE key_id = ?').get(revoked), undefined);
  keys.change('paused', { disabled: null }, 'key enable');
  receive = () => 200;
  clock.advance(webhookBounds.pausesMs[3] ?? 0);
  await settle();
  assert.equal(webhook.state().state, 'delivered');
  assert.throws(() => keys.webhookSecret('revoked'), /There is no key/);
  await webhooks.close(AbortSignal.abort());
});

test('key revoke leaves no byte of a webhook in the files of the database', () => {
  open().add('job_1', keyId(), url);
  keys.revoke('app', 'key revoke');
  for (const file of readdirSync(dir)) assert.ok(!readFileSync(join(dir, file)).includes('MARKER'), file);
});

test('a deleted job begins no attempt: neither before its end, nor from the queue, nor after a pause', async () => {
  const webhooks = open();
  const id = keyId();
  const answers: ((status: number) => void)[] = [];
  receive = () => new Promise((resolve) => answers.push(resolve));
  const [before, first, second, queued] = [1, 2, 3, 4].map((job) => webhooks.add(`job_${job}`, id, url));
  assert.ok(before && first && second && queued);
  before.forget();
  for (const each of [before, first, second, queued]) ended(each);
  await settle();
  assert.equal(sent.length, webhookBounds.atOncePerKey);
  queued.forget();
  second.forget();
  for (const answer of answers) answer(500);
  await settle();
  assert.deepEqual([first.state().attempts, second.state().attempts, clock.timers], [1, 1, 1]);
  first.forget();
  assert.deepEqual([clock.timers, left()], [0, []]);
  clock.advance(86_400_000);
  await settle();
  assert.equal(sent.length, 2);
});

test('the deletion of a job changes nothing once its call is accepted', async () => {
  const webhook = open().add('job_1', keyId(), url);
  ended(webhook);
  await settle();
  webhook.forget();
  assert.deepEqual(webhook.state(), { state: 'delivered', attempts: 1 });
});

test('the next relay delivers what is left, once', async () => {
  const id = keyId();
  receive = ({ body }) => (body.includes('job_delivered') ? 200 : 500);
  const first = open();
  for (const job of ['job_delivered', 'job_retried']) ended(first.add(job, id, url));
  first.add('job_running', id, url);
  await settle();
  clock.forgetTimers();
  sent = [];
  receive = () => 200;
  const at = clock.wall();
  clock.advance(1);
  const second = open();
  second.resume();
  await settle();
  assert.deepEqual(
    sent.map(({ body }) => JSON.parse(body) as unknown),
    (
      [
        ['job_retried', 'done', 'completed', at],
        ['job_running', 'failed', 'failed', at + 1],
      ] as const
    ).map(([job, status, type, time]) => ({
      type: `job.${type}`,
      timestamp: new Date(time).toISOString(),
      data: { id: job, status },
    })),
    'the job that was under way has failed',
  );
  assert.deepEqual(left(), []);
  open().resume();
  await settle();
  assert.equal(sent.length, 2, 'nothing is left');
});

test('attempts before a restart count, and each start makes one more', async () => {
  receive = () => 500;
  const webhook = open().add('job_1', keyId(), url);
  ended(webhook);
  for (const pauseMs of [0, ...webhookBounds.pausesMs.slice(0, 5)]) {
    clock.advance(pauseMs);
    await settle();
  }
  assert.equal(webhook.state().attempts, 6);
  clock.forgetTimers();
  clock.advance(86_400_000);
  open().resume();
  await settle();
  assert.deepEqual([sent.length, left(), clock.timers], [7, [], 0]);
});

test('a relay whose database is locked at its start delivers what is left later, and leaves its jobs alone', async () => {
  const id = keyId();
  open().add('job_earlier', id, url);
  clock.advance(1);
  const webhooks = open();
  const own = webhooks.add('job_own', id, url);
  const other = openStore(dir);
  other.db.exec('BEGIN IMMEDIATE');
  webhooks.resume();
  clock.advance(webhookBounds.rewriteMs);
  await settle();
  assert.equal(sent.length, 0);
  other.close();
  clock.advance(webhookBounds.rewriteMs);
  await settle();
  assert.match(taken().body, /"job.failed".*"job_earlier"/);
  assert.deepEqual(left(), ['job_own null 0']);
  ended(own);
  await settle();
  assert.match(taken().body, /"job.completed".*"job_own"/);
  assert.deepEqual([left(), clock.timers], [[], 0]);
});

test('the end of the relay waits for the attempts under way, and begins no other', async () => {
  let answer = (_status: number): void => assert.fail('nothing was sent');
  receive = () => new Promise((resolve) => (answer = resolve));
  const webhooks = open();
  const id = keyId();
  const webhook = webhooks.add('job_1', id, url);
  ended(webhook);
  const closed = webhooks.close(new AbortController().signal);
  ended(webhooks.add('job_2', id, url));
  answer(500);
  await closed;
  assert.deepEqual(webhook.state(), { state: 'pending', attempts: 1, last_error: 'http_500' });
  assert.deepEqual([sent.length, left(), clock.timers], [1, ['job_1 done 1', 'job_2 done 0'], 0]);
});

test('a signal cuts off the attempts that the end of the relay waits for, without counting them', async () => {
  receive = never;
  const webhooks = open();
  ended(webhooks.add('job_1', keyId(), url));
  const hurry = new AbortController();
  const closed = webhooks.close(hurry.signal);
  hurry.abort();
  await closed;
  assert.deepEqual([left(), clock.timers], [['job_1 done 0'], 0]);
});

test('a database that refuses lets no webhook be accepted, and what was not recorded is recorded later', async () => {
  const webhooks = open();
  const id = keyId();
  const [webhook, deleted] = [webhooks.add('job_1', id, url), webhooks.add('job_2', id, url)];
  keys.webhookSecret('app');
  const other = openStore(dir);
  other.db.exec('BEGIN IMMEDIATE');
  assert.throws(() => webhooks.add('job_3', id, url), { code: 'not_ready' });
  ended(webhook);
  deleted.forget();
  await settle();
  assert.equal(webhook.state().state, 'delivered');
  assert.match(log, /the database is locked/);
  assert.equal(clock.timers, 1, 'whatever the number of writes');
  other.close();
  assert.deepEqual(left(), ['job_1 null 0', 'job_2 null 0']);
  clock.advance(webhookBounds.rewriteMs);
  assert.deepEqual([left(), clock.timers], [[], 0]);
});

test('the log holds the host of each attempt, and neither path, query nor secret', async () => {
  const webhooks = open();
  const id = keyId();
  receive = () => 500;
  ended(webhooks.add('job_1', id, url));
  await settle();
  const { time, ...line } = JSON.parse(log) as Record<string, unknown>;
  assert.equal(typeof time, 'number');
  assert.deepEqual(line, {
    level: 30,
    key_id: id,
    job: 'job_1',
    host: 'hooks.example.com',
    attempt: 1,
    error: 'http_500',
    msg: 'webhook',
  });
  await webhooks.close(AbortSignal.abort());
});
