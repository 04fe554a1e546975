import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { checkRows } from '../support/rows.ts';
import { networkMissing, startNetwork, type Fetched, type Network } from './network.ts';

describe('redirects, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network.close());

  const site = 'http://www.site.com';
  const to = (location: string, status = 302): string =>
    `${site}/redirect?status=${status}&to=${encodeURIComponent(location)}`;
  const codeOf = (fetched: Fetched): string => (fetched.ok ? `ok ${fetched.result.status}` : fetched.code);

  const blocked: Readonly<Record<string, string>> = {
    'http://127.0.0.1:8080/': 'blocked_address',
    'http://127.0.0.1:6379/': 'blocked_address',
    'http://[::1]/': 'blocked_address',
    'http://2130706433/': 'blocked_address',
    'http://[::ffff:127.0.0.1]/': 'blocked_address',
    '//127.0.0.1/': 'blocked_address',
    '/\\127.0.0.1/': 'blocked_address',
    '\\\\127.0.0.1\\': 'blocked_address',
    'http:127.0.0.1': 'not public',
    'http://loopback.site.com/': 'blocked_address',
    'https://mixed.site.com/': 'blocked_address',
    'http://10.77.0.1/': 'blocked_address',
    'http://10.77.0.2/': 'blocked_address',
    'http://[2a01:4f8:77::1]/': 'blocked_address',
    'http://45.60.251.1/': 'blocked_address',
    'http://localhost/': 'blocked_hostname',
    'http://relay.site.com/v1/fetch': 'blocked_hostname',
    'gopher://127.0.0.1:6379/_INFO': 'blocked_scheme',
    'file:///etc/passwd': 'blocked_scheme',
    'data:text/html,x': 'blocked_scheme',
    'javascript:alert(1)': 'blocked_scheme',
    'http://user:pass@example.com/': 'blocked_userinfo',
    'https://example.com:6379/': 'blocked_port',
    '///127.0.0.1/': 'blocked_address',
    'https:127.0.0.1': 'blocked_address',
    'http://alias-private.site.com/': 'blocked_address',
    'http://①②⑦.0.0.1/': 'blocked_address',
    'http://example.com:70000/': 'bad_redirect',
    'http://256.256.256.256/': 'bad_redirect',
    'http://a..b/': 'bad_redirect',
    '': 'bad_redirect',
  };
  for (const status of [301, 302, 303, 307, 308]) {
    test(`a ${status} to each blocked or invalid place is refused`, () =>
      checkRows(
        Object.entries(blocked),
        ([location]) => location,
        async ([location, code]) => {
          const fetched = await network.fetch({ url: to(location, status) });
          // "http:127.0.0.1" on an http page is a relative path: the answer is the site's own 404.
          assert.equal(codeOf(fetched), code === 'not public' ? 'ok 404' : code);
          if (fetched.ok) return;
          assert.match(fetched.message, location === '' ? /redirects/ : /^After redirect 1: /);
          if (location !== '') assert.equal(fetched.hop, 1);
        },
      ));
  }

  test('a private target is refused after one, two and five redirects', async () => {
    for (const hops of [1, 2, 5]) {
      let url = 'http://169.254.169.254/latest/meta-data/';
      for (let hop = 0; hop < hops; hop += 1) url = to(url);
      const fetched = await network.fetch({ url });
      assert.deepEqual([codeOf(fetched), !fetched.ok && fetched.hop], ['blocked_address', hops]);
    }
  });

  test('five redirects are followed, the sixth is not', async () => {
    const five = await network.fetch({ url: `${site}/count?n=5` });
    assert.ok(five.ok);
    assert.equal(five.result.final_url, `${site}/count?n=0`);
    assert.deepEqual(
      five.result.redirects,
      [4, 3, 2, 1, 0].map((n) => ({ status: 302, url: `${site}/count?n=${n}` })),
    );
    assert.equal(codeOf(await network.fetch({ url: `${site}/count?n=6` })), 'too_many_redirects');
    assert.equal(codeOf(await network.fetch({ url: `${site}/a` })), 'too_many_redirects');
  });

  const followed: Readonly<Record<string, string>> = {
    '/dir/up': `${site}/emoji`,
    '/latin1': `${site}/caf%C3%A9`,
    '/redirect?status=302&to=https%3A%2F%2Fwww.site.com%2F': 'https://www.site.com/',
    '/redirect?status=302&to=%2Femoji%23part': `${site}/emoji`,
    '/redirect?status=302&to=emoji': `${site}/emoji`,
    '/redirect?status=302&to=%2F%2Fother.site.com': 'http://other.site.com/',
    '/redirect?status=302&to=http%3A%2Femoji': `${site}/emoji`,
    '/endless-redirect': `${site}/`,
  };
  test('a redirect in each spelling leads to its page', () =>
    checkRows(
      Object.entries(followed),
      ([path]) => path,
      async ([path, end]) => {
        const fetched = await network.fetch({ url: site + path });
        assert.ok(fetched.ok, JSON.stringify(fetched));
        assert.deepEqual([fetched.result.status, fetched.result.final_url], [200, end]);
      },
    ));

  test('a redirect from https to http is followed', async () => {
    const fetched = await network.fetch({ url: to(`${site}/`).replace('http:', 'https:') });
    assert.equal(fetched.ok && fetched.result.final_url, `${site}/`);
  });

  test('a redirect with two Locations is refused', async () => {
    assert.equal(codeOf(await network.fetch({ url: `${site}/two-locations` })), 'bad_redirect');
  });

  test('a 302 without Location, a 300 and a Refresh are not followed', async () => {
    const lonely = await network.fetch({ url: `${site}/no-location` });
    assert.deepEqual(lonely.ok && [lonely.result.status, lonely.result.html], [302, 'moved']);
    const choices = await network.fetch({ url: `${site}/status-300` });
    assert.deepEqual(choices.ok && [choices.result.status, choices.result.html], [300, 'choose']);
    const refresh = await network.fetch({ url: `${site}/refresh` });
    assert.deepEqual(refresh.ok && [refresh.result.status, refresh.result.redirects], [200, []]);
  });

  test('the next host gets no cookie, referrer or credential', async () => {
    const fetched = await network.fetch({
      url: `${site}/set-cookie`,
      accept_language: 'de',
      user_agent: 'me/1',
    });
    assert.ok(fetched.ok);
    assert.deepEqual(JSON.parse(fetched.result.body ?? ''), {
      accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.1',
      'accept-encoding': 'gzip, deflate, br',
      'accept-language': 'de',
      connection: 'close',
      host: 'other.site.com',
      method: 'GET',
      'user-agent': 'me/1',
    });
  });

  test('no redirect led to a connection to an address that is not public', async () => {
    assert.deepEqual(await network.strays(), []);
  });
});
