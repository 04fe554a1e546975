/** With default settings, the many long jobs of one key leave slots and places in the queue to other keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../src/config.ts';
import { startInProcess } from './support/in-process.ts';
import { eventually } from './support/relay.ts';

test('all requests of two keys are answered while another key runs 18 long jobs', async (t) => {
  const { limits } = loadConfig({ env: { HOME: '/nowhere' } });
  const relay = await startInProcess({
    // The limits of the settings' defaults, but for the day.
    settings: { PER_KEY_RPM: '30', DRAIN_TIMEOUT: '0' },
    reply: ({ body }) =>
      body.includes('a long one')
        ? { kind: 'hang', after: 'text', text: '...' }
        : { kind: 'text', text: 'done' },
  });
  t.after(() => relay.stop());
  const [quick, third] = [relay.mint('quick'), relay.mint('third')];
  const ask = (key: string, body: object): Promise<Response> =>
    relay.post(body, { headers: { authorization: `Bearer ${key}` } });

  const long = { prompt: 'a long one' };
  const jobs = await Promise.all(Array.from({ length: 18 }, () => relay.post({ ...long, async: true })));
  assert.deepEqual(
    jobs.map(({ status }) => status),
    Array.from({ length: 18 }, () => 202),
    'all jobs are accepted: two run, and sixteen wait',
  );
  await eventually('two jobs run', () => relay.model.running() === 2);

  const statuses: number[] = [];
  for (let n = 0; n < 19; n += 1) {
    for (const key of [quick, third]) {
      const response = await ask(key, { prompt: 'hi' });
      await response.text();
      statuses.push(response.status);
    }
  }
  assert.deepEqual(
    statuses,
    Array.from({ length: 38 }, () => 200),
  );
  assert.equal(relay.model.running(), 2, 'the two jobs still run');
  const refused = await relay.complete(long);
  assert.deepEqual(
    [refused.status, refused.body['limit']],
    [429, 'queue_full'],
    'half of the queue is its share',
  );

  const response = await fetch(`${relay.url}/v1/usage`, { headers: { 'x-api-key': relay.key } });
  const usage = (await response.json()) as Record<
    'limits' | 'fetch_limits',
    { concurrency: { limit: number } }
  >;
  assert.deepEqual(
    [usage.limits.concurrency.limit, usage.fetch_limits.concurrency.limit],
    [limits.lanes.complete.concurrency - 1, limits.lanes.fetch.concurrency - 1],
  );
});
