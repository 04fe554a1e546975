import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';

import { checkRows } from '../../../test/support/rows.ts';
import { canonicalAddress } from '../../network.ts';
import { createAddressJudge, createHostJudge } from './address.ts';

const denied = createAddressJudge();

/** First and last of each denied block, and what lies just outside it and is public. */
const blocks: readonly (readonly [first: string, last: string, ...outside: string[]])[] = [
  ['0.0.0.0', '0.255.255.255', '1.0.0.0'],
  ['10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
  ['100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
  ['127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
  ['168.63.129.16', '168.63.129.16', '168.63.129.15', '168.63.129.17'],
  ['169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
  ['172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
  ['192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
  ['192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
  ['192.31.196.0', '192.31.196.255', '192.31.195.255', '192.31.197.0'],
  ['192.52.193.0', '192.52.193.255', '192.52.192.255', '192.52.194.0'],
  ['192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
  ['192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
  ['192.175.48.0', '192.175.48.255', '192.175.47.255', '192.175.49.0'],
  ['198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
  ['198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
  ['203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
  ['224.0.0.0', '255.255.255.255', '223.255.255.255'],
  ['::', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2003::1'],
  ['4000::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2000:ffff::1', '2001:200::'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db7:ffff::', '2001:db9::'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:ffff::', '2003::'],
  ['2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff', '2620:4f:7fff::', '2620:4f:8001::'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', '3ffe:ffff::', '3fff:1000::'],
];

test('the judge denies each special block from first to last address, and allows what is just outside', () =>
  checkRows(
    blocks,
    ([first, last]) => `${first} to ${last}`,
    ([first, last, ...outside]) => {
      assert.deepEqual([denied(first), denied(last)], [true, true]);
      for (const address of outside) assert.equal(denied(address), false, address);
    },
  ));

test('the judge denies every denied IPv4 address inside every kind of IPv6 address', () => {
  for (const [first, last] of blocks.filter(([first]) => first.includes('.'))) {
    for (const address of [first, last]) {
      for (const prefix of [
        '::ffff:',
        '::',
        '::ffff:0:',
        '64:ff9b::',
        '64:ff9b:1::',
        '2a01:4f8:1:2:0:5efe:',
        '2a01:4f8:1:2:200:5efe:',
      ]) {
        assert.equal(denied(prefix + address), true, prefix + address);
      }
    }
  }
});

test('the judge denies text that is not an IP address', () => {
  for (const text of [
    '',
    'garbage',
    '127.1',
    '0x7f.1',
    '1.2.3.4:80',
    'example.com',
    '[2606:4700::1]',
    '2606:4700::1%eth0',
    '2606:4700::1/64',
    ' 1.1.1.1',
    '1.1.1.1 ',
  ]) {
    assert.equal(denied(text), true, text);
  }
});

test('the judge denies the whole network of each interface and of each configured network', () => {
  const judge = createAddressJudge({
    interfaces: ['5.9.1.2/24', '2a01:4f8:77::2/64'],
    deny: ['8.8.8.8', ' 9.9.0.0/16', '2606:4700::/32'],
  });
  for (const address of ['5.9.1.200', '2a01:4f8:77::abcd', '8.8.8.8', '9.9.9.9', '2606:4700:4700::1111']) {
    assert.equal(judge(address), true, address);
    assert.equal(denied(address), false, address);
  }
  for (const address of ['5.9.2.1', '2a01:4f8:78::1', '8.8.4.4'])
    assert.equal(judge(address), false, address);
});

test('a configured NAT64 prefix is judged by the IPv4 address inside it', () => {
  const judge = createAddressJudge({ nat64: '64:ff9b::/96', deny: ['8.8.8.8'] });
  assert.equal(denied('64:ff9b::1.1.1.1'), true);
  assert.equal(judge('64:ff9b::1.1.1.1'), false);
  for (const inside of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '8.8.8.8']) {
    assert.equal(judge(`64:ff9b::${inside}`), true, inside);
  }
  assert.equal(judge('64:ff9b:1::1.1.1.1'), true);
});

test('an invalid network throws an error that names it', () => {
  for (const network of [
    '',
    'x',
    '1.2.3.4/33',
    '1.2.3.4/',
    '1.2.3.4/8/8',
    '::/129',
    '::1%lo/64',
    '1.2.3/8',
    '1.2.3.4/1e1',
  ]) {
    assert.throws(
      () => createAddressJudge({ deny: [network] }),
      new RangeError(`Not an IP address or network: ${JSON.stringify(network)}`),
    );
  }
  for (const nat64 of ['64:ff9b::/95', '64:ff9b:1::/96', '10.0.0.0/8']) {
    assert.throws(() => createAddressJudge({ nat64 }), RangeError);
  }
});

test('canonicalAddress gives every spelling of an address the same text', () => {
  assert.equal(canonicalAddress('2606:4700:0:0:0:0:0:1111'), '2606:4700::1111');
  assert.equal(canonicalAddress('::FFFF:1.2.3.4'), '::ffff:102:304');
  assert.equal(canonicalAddress('1.2.3.4'), '1.2.3.4');
});

test('the host judge denies the addresses of this host', () => {
  const judge = createHostJudge({})();
  const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  assert.ok(own.length > 0);
  for (const { address } of own) assert.equal(judge(address), true, address);
});
