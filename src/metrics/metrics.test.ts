import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestRecord } from '../ledger/record.ts';
import { openMetrics } from './metrics.ts';

const record: RequestRecord = {
  at: 0,
  request_id: 'req_1',
  key_id: 'k1',
  key_label: 'app',
  route: 'complete',
  host: undefined,
  model: 'opus',
  status: 200,
  error: undefined,
  limit_hit: undefined,
  fallback_from: undefined,
  stop_reason: 'end_turn',
  tokens_in: 1,
  tokens_out: 2,
  cache_read: 3,
  cache_write: 4,
  cost_usd: 0.5,
  start: 'hot',
  queue_ms: 20,
  spawn_ms: 0,
  upstream_ms: 600,
  first_text_ms: 300,
  total_ms: 1000,
  bytes_in: 1,
  bytes_out: 1,
  client_gone: false,
};

/** The samples of a scrape, without buckets. */
async function samples({ registry }: ReturnType<typeof openMetrics>): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split('\n');
  const found = lines.filter((line) => /^\w/.test(line) && !line.includes('_bucket{'));
  return Object.fromEntries(
    found.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const ofRequests = (found: Record<string, number>): [string, number][] =>
  Object.entries(found).filter(([name]) => name.startsWith('relay_requests_total'));

test('a request adds to each of its metrics, in seconds', async () => {
  const metrics = openMetrics(['opus']);
  metrics.request(record);
  metrics.request({ ...record, start: 'spawn' });
  for (const start of ['hot', 'spawn'] as const) metrics.started(start);
  const place = '{route="complete",model="opus"}';
  assert.deepEqual(await samples(metrics), {
    'relay_requests_total{route="complete",model="opus",key="app",outcome="ok"}': 2,
    [`relay_request_seconds_sum${place}`]: 2,
    [`relay_request_seconds_count${place}`]: 2,
    [`relay_first_text_seconds_sum${place}`]: 0.6,
    [`relay_first_text_seconds_count${place}`]: 2,
    [`relay_queue_seconds_sum${place}`]: 0.04,
    [`relay_queue_seconds_count${place}`]: 2,
    [`relay_overhead_seconds_sum${place}`]: 0.8,
    [`relay_overhead_seconds_count${place}`]: 2,
    'relay_tokens_total{key="app",model="opus",type="input"}': 2,
    'relay_tokens_total{key="app",model="opus",type="output"}': 4,
    'relay_tokens_total{key="app",model="opus",type="cache_read"}': 6,
    'relay_tokens_total{key="app",model="opus",type="cache_write"}': 8,
    'relay_cost_usd_total{key="app",model="opus"}': 1,
    'relay_starts_total{kind="hot"}': 1,
    'relay_starts_total{kind="cold"}': 1,
    relay_auth_failures_total: 0,
    relay_ledger_write_failures_total: 0,
  });
});

test('10,000 names of models that are not allowed make one series', async () => {
  const metrics = openMetrics(['opus']);
  for (let i = 0; i < 10_000; i += 1) metrics.request({ ...record, model: `"\n} ${i}` });
  assert.deepEqual(ofRequests(await samples(metrics)), [
    ['relay_requests_total{route="complete",model="(other)",key="app",outcome="ok"}', 10_000],
  ]);
});

test('a label value is escaped', async () => {
  const metrics = openMetrics(['a"b\\c\nd']);
  metrics.request({ ...record, model: 'a"b\\c\nd' });
  assert.match(await metrics.registry.metrics(), /^relay_requests_total\{.*model="a\\"b\\\\c\\nd",/m);
});

test('a number that is not one counts as 0', async () => {
  const metrics = openMetrics(['opus']);
  const wrong = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1];
  for (const each of wrong) {
    metrics.request({
      ...record,
      tokens_in: each,
      cost_usd: each,
      total_ms: each,
      first_text_ms: each,
      queue_ms: each,
    });
  }
  const found = await samples(metrics);
  assert.equal(found['relay_cost_usd_total{key="app",model="opus"}'], 0);
  assert.equal(found['relay_tokens_total{key="app",model="opus",type="input"}'], 0);
  assert.equal(found['relay_tokens_total{key="app",model="opus",type="output"}'], 8);
  assert.equal(found['relay_request_seconds_sum{route="complete",model="opus"}'], 0);
});

test('the counts of keys that are gone move to (revoked), and no sum shrinks', async () => {
  const metrics = openMetrics(['opus']);
  for (let i = 0; i < 100; i += 1)
    metrics.request({ ...record, key_label: `app-${i}`, limit_hit: 'key_rpm' });
  metrics.request({ ...record, key_label: undefined });
  for (const _round of [1, 2]) {
    await Promise.all([1, 2, 3].map(() => metrics.foldRevoked(new Set(['app-7']))));
    assert.deepEqual(Object.fromEntries(ofRequests(await samples(metrics))), {
      'relay_requests_total{route="complete",model="opus",key="(none)",outcome="ok"}': 1,
      'relay_requests_total{route="complete",model="opus",key="(revoked)",outcome="ok"}': 99,
      'relay_requests_total{route="complete",model="opus",key="app-7",outcome="ok"}': 1,
    });
  }
  const found = await samples(metrics);
  assert.equal(found['relay_cost_usd_total{key="(revoked)",model="opus"}'], 49.5);
  assert.equal(found['relay_limit_refusals_total{limit="key_rpm",key="(revoked)"}'], 99);
  metrics.request({ ...record, key_label: 'app-8' });
  await metrics.foldRevoked(new Set(['app-7']));
  assert.equal(
    (await samples(metrics))[
      'relay_requests_total{route="complete",model="opus",key="(revoked)",outcome="ok"}'
    ],
    100,
  );
});
