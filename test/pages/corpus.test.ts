import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createAddressJudge } from '../../src/pages/guard/address.ts';
import { parseTarget } from '../../src/pages/guard/url.ts';
import { RelayError } from '../../src/errors.ts';
import { corpusUrls as urls, outcomeOf } from './corpus.ts';
import { networkMissing, startNetwork, testConfig, type Network } from './network.ts';
import { neighbour6 } from './zone.ts';

describe('the corpus through the judge of URLs', () => {
  const rules = { ports: testConfig.ports, selfNames: [], denied: createAddressJudge() };
  const judge = (url: string): string => {
    try {
      parseTarget(url, rules);
      return 'allow';
    } catch (error) {
      return error instanceof RelayError ? error.code : String(error);
    }
  };
  for (const { id, url, expected } of urls.filter(({ category }) => category !== 'dns')) {
    test(id, () => assert.equal(judge(url), outcomeOf(expected), url.slice(0, 200)));
  }
});

describe('the corpus through the fetch, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network.close());

  for (const { id, url, expected } of urls) {
    test(id, async () => {
      const fetched = await network.fetch({ url });
      // What the judge allows is in no published place of this internet, or answers like any page: both are a dial.
      const outcome =
        fetched.ok || ['connect_error', 'upstream_protocol', 'tls_error'].includes(fetched.code)
          ? 'allow'
          : fetched.code;
      assert.equal(outcome, outcomeOf(expected), url.slice(0, 200));
      if (!fetched.ok && outcome !== 'allow') {
        assert.doesNotMatch(
          fetched.message,
          /\d+\.\d+\.\d+\.\d+|::|\bsite\b|localhost|nip\.io/,
          'a message names no address',
        );
      }
    });
  }

  test('what is not public has seen no connection', async () => {
    const allowed = urls
      .filter(({ expected }) => expected === 'allow')
      .map(({ url }) => new URL(url).hostname.replace(/[[\]]/g, ''));
    const strays = (await network.strays()).filter(
      (stray) => !allowed.some((host) => stray.startsWith(`${host}:`)),
    );
    assert.deepEqual(strays, []);
  });

  test('a connection to what is not public would have been seen', async () => {
    const addresses = [
      '127.0.0.1',
      '::1',
      '10.77.0.2',
      '10.77.0.1',
      '192.168.1.1',
      '169.254.169.254',
      neighbour6,
    ];
    for (const address of addresses) await network.touch(address);
    const strays = await network.strays();
    for (const address of addresses) {
      assert.ok(
        strays.some((stray) => stray.endsWith(`${address}:80`)),
        address,
      );
    }
  });
});
