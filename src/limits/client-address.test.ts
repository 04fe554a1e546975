import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientAddress, clientBlock, trustedProxies } from './client-address.ts';

describe('the client address', () => {
  const cases: [string, string | undefined, string | undefined, string[], string][] = [
    ['nobody is trusted', '127.0.0.1', '203.0.113.7', [], '127.0.0.1'],
    ['the socket is not trusted', '198.51.100.1', '203.0.113.7', ['loopback'], '198.51.100.1'],
    ['a tunnel on loopback', '127.0.0.1', '203.0.113.7', ['loopback'], '203.0.113.7'],
    ['loopback over IPv6', '::1', '203.0.113.7', ['loopback'], '203.0.113.7'],
    ['loopback as mapped IPv4', '::ffff:127.0.0.1', '203.0.113.7', ['loopback'], '203.0.113.7'],
    ['a spoofed left part', '127.0.0.1', '1.1.1.1, 203.0.113.7', ['loopback'], '203.0.113.7'],
    ['a spoofed trusted part', '127.0.0.1', '127.0.0.1, 203.0.113.7', ['loopback'], '203.0.113.7'],
    ['two proxies', '127.0.0.1', '203.0.113.7,10.0.0.5', ['loopback', '10.0.0.0/8'], '203.0.113.7'],
    ['only proxies', '127.0.0.1', '10.0.0.6, 10.0.0.5', ['loopback', '10.0.0.0/8'], '10.0.0.6'],
    ['no header', '127.0.0.1', undefined, ['loopback'], '127.0.0.1'],
    ['an empty header', '127.0.0.1', '', ['loopback'], '127.0.0.1'],
    ['rubbish stops the walk', '127.0.0.1', '203.0.113.7, rubbish', ['loopback'], '127.0.0.1'],
    ['a port', '127.0.0.1', '203.0.113.7:4711', ['loopback'], '203.0.113.7'],
    ['IPv6 with a port', '127.0.0.1', '[2001:db8::1]:4711', ['loopback'], '2001:db8::1'],
    ['a single trusted address', '192.0.2.9', '2001:DB8::1', ['192.0.2.9'], '2001:db8::1'],
    ['a trusted IPv6 range', '2001:db8::5', '203.0.113.7', ['2001:db8::/32'], '203.0.113.7'],
    ['no socket address', undefined, '203.0.113.7', ['loopback'], 'unknown'],
  ];
  for (const [what, socket, forwarded, trusted, client] of cases) {
    test(what, () => {
      assert.equal(clientAddress(socket, forwarded, trustedProxies(trusted)), client);
    });
  }
});

for (const wrong of [
  '',
  'example.com',
  '10.0.0.0/33',
  '10.0.0.0/',
  '10.0.0.0/8/8',
  '::/129',
  '10.0.0.0/-1',
]) {
  test(`trustedProxies refuses "${wrong}"`, () => {
    assert.throws(() => trustedProxies([wrong]), {
      message: `Not an IP address or network: ${JSON.stringify(wrong)}`,
    });
  });
}

describe('the block of a client address', () => {
  for (const [address, block] of [
    ['203.0.113.7', '203.0.113.7'],
    ['unknown', 'unknown'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['1:2:3::', '1:2:3:0::/64'],
  ] as const) {
    test(address, () => assert.equal(clientBlock(address), block));
  }
});
