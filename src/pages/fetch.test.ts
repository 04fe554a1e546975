/** What needs no network; the rest is in test/pages. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { createFetcher, type PageFetcher } from './fetch.ts';
import { pageRequest } from './request.ts';

/** A name server that never answers. */
const silent = createSocket('udp4');
let queries = 0;
silent.on('message', () => {
  queries += 1;
});
before(() => new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve)));
after(() => silent.close());

const create = (): PageFetcher =>
  createFetcher({
    ports: [80],
    denyCidrs: [],
    selfNames: ['Relay.Site.com.'],
    ipv6: true,
    nameServers: [`127.0.0.1:${silent.address().port}`],
    userAgent: 'test/1',
  });
const forever = new AbortController().signal;
const request = (url: string, timeout = 5000) => pageRequest.parse({ url, timeout_ms: timeout });

test('a blocked URL asks no name server and opens no connection', async () => {
  const server = createServer(() => assert.fail('connected'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const fetcher = create();
  for (const [url, code] of [
    ['http://127.0.0.1/', 'blocked_address'],
    ['http://relay.site.com/', 'blocked_hostname'],
    ['http://localhost/', 'blocked_hostname'],
    ['http://example.com:81/', 'blocked_port'],
    ['ftp://example.com/', 'blocked_scheme'],
    ['', 'invalid_url'],
  ] as const) {
    await assert.rejects(fetcher.fetchPage(request(url), forever), { code });
  }
  assert.equal(queries, 0);
  server.close();
  await fetcher.close();
});

test('a public name that the relay gets while it runs is blocked from then on', async () => {
  const names: string[] = [];
  const fetcher = createFetcher({
    ports: [80],
    denyCidrs: [],
    selfNames: names,
    ipv6: true,
    userAgent: 'test/1',
  });
  names.push('late.site.com');
  await assert.rejects(fetcher.fetchPage(request('http://late.site.com/'), forever), {
    code: 'blocked_hostname',
  });
  await fetcher.close();
});

test('a fetch ends at its deadline, when its caller leaves, and when the relay stops', async () => {
  const fetcher = create();
  await assert.rejects(fetcher.fetchPage(request('http://example.com/', 100), forever), { code: 'timeout' });
  const gone = new AbortController();
  setTimeout(() => gone.abort(new Error('gone')), 50);
  await assert.rejects(fetcher.fetchPage(request('http://example.com/'), gone.signal), /gone/);
  const last = assert.rejects(fetcher.fetchPage(request('http://example.com/'), forever), {
    code: 'shutting_down',
  });
  await fetcher.close();
  await last;
  await assert.rejects(fetcher.fetchPage(request('http://example.com/'), forever), { code: 'shutting_down' });
});

test('a fetch that has ended leaves no outcome in memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const fetcher = create();
  const outcome = async (): Promise<WeakRef<object>> =>
    new WeakRef(
      await fetcher.fetchPage(request('http://127.0.0.1/'), forever).catch((error: object) => error),
    );
  const left = await outcome();
  await setImmediate();
  collect();
  assert.equal(left.deref(), undefined);
  await fetcher.close();
});

test('an invalid network in the settings throws an error that names it', () => {
  assert.throws(
    () =>
      createFetcher({
        ports: [80],
        denyCidrs: ['10.0.0.0/99'],
        selfNames: [],
        ipv6: true,
        userAgent: 'test/1',
      }),
    /"10\.0\.0\.0\/99"/,
  );
});
