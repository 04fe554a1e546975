import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createAddressJudge } from '../../src/pages/guard/address.ts';
import { parseTarget } from '../../src/pages/guard/url.ts';
import { RelayError } from '../../src/errors.ts';
import { checkRows } from '../support/rows.ts';
import { corpusUrls as urls, outcomeOf } from './corpus.ts';
import { networkMissing, startNetwork, testConfig, type Network } from './network.ts';
import { neighbour6 } from './zone.ts';

const categories = Map.groupBy(urls, ({ category }) => category);

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
  for (const [category, rows] of categories) {
    if (category === 'dns') continue;
    test(`the judge of URLs decides each ${category} row of the corpus as expected`, () =>
      checkRows(
        rows,
        ({ id, url }) => `${id} ${url.slice(0, 200)}`,
        ({ url, expected }) => assert.equal(judge(url), outcomeOf(expected)),
      ));
  }
});

describe('the corpus through the fetch, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network.close());

  for (const [category, rows] of categories) {
    test(`a fetch of each ${category} row of the corpus ends as expected`, () =>
      checkRows(
        rows,
        ({ id, url }) => `${id} ${url.slice(0, 200)}`,
        async ({ url, expected }) => {
          const fetched = await network.fetch({ url });
          // What the judge allows is in no published place of this internet, or answers like any page: both are a dial.
          const dialled = ['connect_error', 'upstream_protocol', 'tls_error'];
          const outcome = fetched.ok || dialled.includes(fetched.code) ? 'allow' : fetched.code;
          assert.equal(outcome, outcomeOf(expected));
          if (fetched.ok || outcome === 'allow') return;
          const address = /\d+\.\d+\.\d+\.\d+|::|\bsite\b|localhost|nip\.io/;
          assert.doesNotMatch(fetched.message, address, 'a message names no address');
        },
      ));
  }

  test('no row of the corpus led to a connection to an address that is not public', async () => {
    const allowed = urls
      .filter(({ expected }) => expected === 'allow')
      .map(({ url }) => new URL(url).hostname.replace(/[[\]]/g, ''));
    const strays = (await network.strays()).filter(
      (stray) => !allowed.some((host) => stray.startsWith(`${host}:`)),
    );
    assert.deepEqual(strays, []);
  });

  test('a connection to an address that is not public is seen by this test', async () => {
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
