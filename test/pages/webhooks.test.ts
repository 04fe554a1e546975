/** Webhooks of a whole relay, on a network of the test: where they may go, hostile receivers, and `kill -9`. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Webhook } from 'standardwebhooks';
import { eventually } from '../support/relay.ts';
import { makeCertificates } from './certificates.ts';
import { makeNamespaces, ready } from './namespaces.ts';
import { asker, networkMissing } from './network.ts';
import type { Received, ReceiverSeen } from './receiver.ts';
import type { Answer, Seen } from './relay.ts';

type Job = {
  id: string;
  status: string;
  url: string;
  webhook: { state: string; attempts: number; last_error?: string };
};

describe('webhooks, on a network of the test', { skip: networkMissing() }, () => {
  let ask: (message: object) => Promise<unknown>;
  let askReceiver: typeof ask;
  let close: () => Promise<void>;
  before(async () => {
    const namespaces = makeNamespaces();
    ({ close } = namespaces);
    const file = (name: string): string => join(import.meta.dirname, name);
    const certificates = makeCertificates(namespaces.folder, 'DNS:*.site.com');
    const receiver = namespaces.start('net', file('receiver.ts'), {
      INTERNET: JSON.stringify({ certificates }),
    });
    const relay = namespaces.start('app', file('relay.ts'), {
      NODE_EXTRA_CA_CERTS: certificates.authority,
      SETTINGS: JSON.stringify({ GLOBAL_CONCURRENCY: '4', PER_KEY_CONCURRENCY: '4' }),
    });
    [askReceiver, ask] = [asker(receiver), asker(relay)];
    await Promise.all([ready(receiver), ready(relay)]);
  });
  after(() => close());

  const command = (...args: string[]): Promise<string> => ask({ type: 'command', args }) as Promise<string>;
  const seen = (): Promise<ReceiverSeen> => askReceiver({}) as Promise<ReceiverSeen>;
  /** What came to a URL without its scheme. */
  const received = async (url: string): Promise<Received[]> =>
    (await seen()).received.filter((each) => each.url === url);
  const jobOf = (answer: unknown, status: number): Job => {
    assert.ok('body' in (answer as Answer));
    const { body, status: got } = answer as { body: { job: Job }; status: number };
    assert.equal(got, status, JSON.stringify(body));
    return body.job;
  };
  /** Submits a job that calls the URL, without its scheme. */
  const submit = async (url: string, key?: string, prompt = 'hi'): Promise<Job> => {
    const body = { prompt, async: true, webhook: `https://${url}` };
    return jobOf(await ask({ type: 'post', path: '/v1/complete', body, key }), 202);
  };
  const look = async ({ url }: Job, key?: string): Promise<Job['webhook']> =>
    jobOf(await ask({ type: 'get', path: url, key }), 200).webhook;
  /** The webhook of a job after so many attempts. */
  const afterAttempts = async (job: Job, attempts: number, key?: string): Promise<Job['webhook']> => {
    let webhook = job.webhook;
    await eventually(`${attempts} attempts`, async () => {
      webhook = await look(job, key);
      return webhook.attempts >= attempts;
    });
    return webhook;
  };
  const noStrays = async (): Promise<void> => {
    assert.deepEqual((await seen()).strays, []);
    assert.deepEqual(((await ask({ type: 'observe' })) as Seen).strays, []);
  };

  test('the receiver gets one signed POST, and nothing that it has not to know', async () => {
    const job = await submit('hooks.site.com/ok?a=b');
    assert.deepEqual(await afterAttempts(job, 1), { state: 'delivered', attempts: 1 });
    const [one, ...others] = await received('hooks.site.com/ok?a=b');
    assert.ok(one !== undefined && others.length === 0);
    const { method, headers, body } = one;
    assert.equal(method, 'POST');
    assert.deepEqual(
      Object.keys(headers).sort((a, b) => a.localeCompare(b)),
      [
        'connection',
        'content-length',
        'content-type',
        'host',
        'user-agent',
        'webhook-id',
        'webhook-signature',
        'webhook-timestamp',
      ],
    );
    const secret = await command('key', 'show', 'test', '--webhook-secret');
    const event = new Webhook(secret).verify(body, headers) as Record<string, unknown>;
    assert.deepEqual(
      [event['type'], event['data'], headers['webhook-id']],
      ['job.completed', { id: job.id, status: 'done' }, job.id],
    );
    assert.deepEqual(Object.keys(event), ['type', 'timestamp', 'data']);
  });

  test('a name with an address that is not public is not connected to', async () => {
    const names = [
      ...['loopback', 'loopback6', 'mapped', 'metadata', 'mixed', 'mixed6', 'alias-private', 'neighbour'],
      ...['last-of-20', 'no4'],
    ];
    const jobs = await Promise.all(names.map((name) => submit(`${name}.site.com/ok`)));
    const ends = await Promise.all(jobs.map((job) => afterAttempts(job, 1)));
    assert.deepEqual(
      ends.map(({ last_error: error }, index) => `${names[index]} ${error}`),
      names.map((name) => `${name} blocked_address`),
    );
    await noStrays();
  });

  test('a name that becomes private between two attempts is not connected to', async () => {
    const job = await submit('rebind.site.com/500');
    assert.equal((await afterAttempts(job, 1)).last_error, 'http_500');
    const again = await afterAttempts(job, 2);
    assert.deepEqual([again.state, again.last_error], ['pending', 'blocked_address']);
    assert.equal((await received('rebind.site.com/500')).length, 1);
    await noStrays();
  });

  test('a redirect is a failed attempt, and is not followed', async () => {
    for (const [path, error] of [
      ['redirect', 'http_307'],
      ['redirect-private', 'http_302'],
    ] as const) {
      const webhook = await afterAttempts(await submit(`hooks.site.com/${path}`), 1);
      assert.deepEqual([webhook.state, webhook.last_error], ['pending', error]);
    }
    assert.deepEqual(await received('hooks.site.com/target'), []);
    await noStrays();
  });

  test('a receiver that answers 410 is not called again, and one with a bad certificate gets nothing', async () => {
    const gone = await afterAttempts(await submit('hooks.site.com/410'), 1);
    assert.deepEqual(gone, { state: 'failed', attempts: 1, last_error: 'http_410' });
    const expired = await afterAttempts(await submit('expired.site.com/ok'), 1);
    assert.equal(expired.last_error, 'tls_error');
    assert.deepEqual(await received('expired.site.com/ok'), []);
  });

  test('a receiver that never answers or drips holds up no other key, and ends in time', async () => {
    const key = await command('key', 'create', 'slow');
    const slow = await Promise.all(['silent', 'drip'].map((path) => submit(`hooks.site.com/${path}`, key)));
    await eventually('two are under way', async () => (await seen()).open === 2);
    const other = await afterAttempts(await submit('hooks.site.com/other'), 1);
    assert.deepEqual(other, { state: 'delivered', attempts: 1 });
    for (const job of slow) assert.equal((await afterAttempts(job, 1, key)).last_error, 'timeout');
    await eventually('their connections are closed', async () => (await seen()).open === 0);
  });

  test('a reply without an end is accepted, and its connection is closed', async () => {
    const webhook = await afterAttempts(await submit('hooks.site.com/huge'), 1);
    assert.deepEqual(webhook, { state: 'delivered', attempts: 1 });
    await eventually('the connection is closed', async () => (await seen()).open === 0);
  });

  test('a relay that is killed delivers after its next start what it had not, once, and fails the job under way', async () => {
    await afterAttempts(await submit('hooks.site.com/before-kill'), 1);
    const job = await submit('hooks.site.com/500-once');
    await afterAttempts(job, 1);
    const running = await submit('hooks.site.com/running', undefined, 'no answer');
    await ask({ type: 'restart' });
    await eventually('it is delivered', async () => (await received('hooks.site.com/500-once')).length === 2);
    await eventually(
      'the other is called',
      async () => (await received('hooks.site.com/running')).length > 0,
    );
    await eventually('the new relay logs it', async () =>
      ((await ask({ type: 'observe' })) as Seen).log.includes(job.id),
    );
    const [first, second] = await received('hooks.site.com/500-once');
    assert.deepEqual([first?.body, first?.headers['webhook-id']], [second?.body, job.id]);
    const secret = await command('key', 'show', 'test', '--webhook-secret');
    assert.ok(new Webhook(secret).verify(second?.body ?? '', second?.headers ?? {}));
    const [lost] = await received('hooks.site.com/running');
    const { type, data } = new Webhook(secret).verify(lost?.body ?? '', lost?.headers ?? {}) as Record<
      string,
      unknown
    >;
    assert.deepEqual([type, data], ['job.failed', { id: running.id, status: 'failed' }]);
    await ask({ type: 'restart' });
    await afterAttempts(await submit('hooks.site.com/last'), 1);
    assert.equal((await received('hooks.site.com/500-once')).length, 2);
    assert.equal((await received('hooks.site.com/before-kill')).length, 1);
    assert.equal((await received('hooks.site.com/running')).length, 1);
  });
});
