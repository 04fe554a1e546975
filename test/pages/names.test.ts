import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/relay.ts';
import { checkRows } from '../support/rows.ts';
import { networkMissing, startNetwork, type Network } from './network.ts';

describe('names, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ caps: { connectMs: 5000, dnsMs: 5000 } });
  });
  after(() => network.close());

  const code = async (url: string): Promise<string> => {
    const fetched = await network.fetch({ url });
    return fetched.ok ? `ok ${fetched.result.status}` : fetched.code;
  };

  const expected: Readonly<Record<string, string>> = {
    'www.site.com': 'ok 200',
    'v6.site.com': 'ok 200',
    '127.0.0.1.nip.io': 'blocked_address',
    'loopback.site.com': 'blocked_address',
    'loopback6.site.com': 'blocked_address',
    'mapped.site.com': 'blocked_address',
    'metadata.site.com': 'blocked_address',
    'mixed.site.com': 'blocked_address',
    'mixed6.site.com': 'blocked_address',
    'last-of-20.site.com': 'blocked_address',
    'fallback-private.site.com': 'blocked_address',
    'neighbour.site.com': 'blocked_address',
    'thousands-bad.site.com': 'blocked_address',
    'thousands.site.com': 'dns_error',
    'too-many.site.com': 'dns_error',
    'many.site.com': 'ok 200',
    'nx.site.com': 'dns_error',
    'servfail.site.com': 'dns_error',
    'empty.site.com': 'dns_error',
    'cname.site.com': 'dns_error',
    'alias.site.com': 'ok 200',
    'alias-private.site.com': 'blocked_address',
    'alias-mixed.site.com': 'blocked_address',
    'no6.site.com': 'ok 200',
    'quiet6.site.com': 'ok 200',
    'no4.site.com': 'blocked_address',
    'slow.site.com': 'dns_error',
    'fallback.site.com': 'ok 200',
    'fallback-slow.site.com': 'ok 200',
    'unreachable.site.com': 'connect_error',
    'silent.site.com': 'timeout',
    'relay.site.com': 'blocked_hostname',
    'RELAY.site.com.': 'blocked_hostname',
    'ip6-localhost': 'blocked_hostname',
  };

  test('a fetch from each kind of name ends as expected', () =>
    checkRows(
      Object.entries(expected),
      ([host]) => host,
      async ([host, outcome]) => assert.equal(await code(`http://${host}/`), outcome),
      { atOnce: true },
    ));

  test('a name is looked up once for each hop, and each answer is used once', async () => {
    assert.equal(await code('http://rebind.site.com/'), 'ok 200');
    assert.equal((await network.internet('rebind.site.com')).queries, 1);
    // The second look-up says 127.0.0.1: no connection of the first fetch is there to be used again.
    assert.equal(await code('http://rebind.site.com/'), 'blocked_address');
    assert.equal((await network.internet('rebind.site.com')).queries, 2);
  });

  test('a redirect to the same name looks it up again', async () => {
    assert.equal(await code('http://rebind.hops.site.com/count?n=1'), 'ok 200');
    assert.equal((await network.internet('rebind.hops.site.com')).queries, 2);
  });

  test('a name in /etc/hosts is blocked without a look-up', async () => {
    assert.equal(await code('http://localhost.localdomain/'), 'blocked_hostname');
    assert.equal((await network.internet('localhost.localdomain')).queries, 0);
  });

  test('silent name servers do not hold up other fetches', async () => {
    const slow = Array.from({ length: 50 }, (_, index) =>
      network.fetch({ url: `http://slow-${index}.site.com/` }),
    );
    const first = await Promise.race([code('http://www.site.com/'), ...slow]);
    assert.equal(first, 'ok 200');
    for (const fetched of await Promise.all(slow)) assert.ok(!fetched.ok);
  });

  test('a host has at most two fetches at a time', async () => {
    const fetches = Array.from({ length: 8 }, () =>
      network.fetch({ url: 'http://polite.site.com/type?type=text/plain' }),
    );
    for (const fetched of await Promise.all(fetches)) assert.ok(fetched.ok);
    assert.equal((await network.internet()).mostAtOnce, 2);
  });

  test('a caller that leaves ends its connection', async () => {
    const fetched = await network.fetch({ url: 'http://www.site.com/type?type=text/plain' }, 50);
    assert.deepEqual([fetched.ok, !fetched.ok && fetched.code], [false, 'Error: gone']);
    await eventually('the connections are closed', async () => (await network.internet()).open === 0);
  });

  test('no name led to a connection to an address that is not public', async () => {
    assert.deepEqual(await network.strays(), []);
  });
});
