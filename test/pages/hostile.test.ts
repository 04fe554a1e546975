import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/relay.ts';
import { checkRows } from '../support/rows.ts';
import { networkMissing, startNetwork, type Network } from './network.ts';
import { rawHost, rawReplies, type RawReply } from './raw-replies.ts';

describe('hostile servers, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ caps: { articleMs: 2000 } });
  });
  after(() => network.close());

  type Row = readonly [name: string, reply: RawReply];
  const rows: readonly Row[] = Object.entries(rawReplies);
  const nameOf = ([name]: Row): string => name;
  const check = async ([name, reply]: Row): Promise<void> => {
    const fetched = await network.fetch({
      url: `http://${rawHost(name as keyof typeof rawReplies)}/`,
      timeout_ms: reply.timeoutMs,
    });
    if (reply.code !== undefined) {
      assert.equal(fetched.ok ? `ok ${fetched.result.status}` : fetched.code, reply.code);
    }
    if (fetched.ok) {
      const { html = '', truncated, status, bytes } = fetched.result;
      if (reply.html !== undefined) assert.equal(html, reply.html);
      if (reply.truncated !== undefined) assert.equal(truncated, reply.truncated);
      assert.equal(status, reply.status ?? 200);
      assert.ok(Buffer.byteLength(html) <= 500_000);
      assert.ok(bytes.wire <= 5_000_000 && bytes.decoded <= 10_000_000);
    } else {
      assert.ok(reply.html === undefined && reply.truncated === undefined, fetched.code);
      assert.doesNotMatch(fetched.message, /secret-banner|SSH|SMTP|ERR|aaaa|45\.60/);
    }
  };

  test('each malformed, cut or unusual reply ends as expected', () =>
    checkRows(
      rows.filter(([, { endless }]) => endless !== true),
      nameOf,
      check,
      { atOnce: true },
    ));

  test('each endless reply ends as expected, within bounded memory', () =>
    checkRows(
      rows.filter(([, { endless }]) => endless === true),
      nameOf,
      async (row) => {
        const idle = await network.app();
        await check(row);
        const { peakRss } = await network.app();
        const grownMiB = Math.max(0, peakRss - idle.rss) / 2 ** 20;
        assert.ok(grownMiB < 64, `${grownMiB} MiB more`);
      },
    ));

  test('a page that cannot be read as an article is refused, and does not hold up another fetch', async () => {
    const hostile = network.fetch({ url: 'http://www.site.com/deep', format: 'text' });
    const other = network.fetch({ url: 'http://other.site.com/' });
    const first = await Promise.race([hostile, other]);
    assert.ok(first.ok, 'the other fetch ends first');
    const fetched = await hostile;
    assert.equal(!fetched.ok && fetched.code, 'page_too_complex');
  });

  test('eight pages of one endless tag of ten megabytes use the memory of a few', async (t) => {
    const idle = await network.app();
    const pages = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        network.fetch({ url: `http://big-${index}.site.com/endless-tag` }),
      ),
    );
    const { peakRss } = await network.app();
    for (const page of pages) assert.equal(page.ok && page.result.bytes.decoded, 9_900_006);
    const grownMiB = Math.max(0, peakRss - idle.rss) / 2 ** 20;
    t.diagnostic(`+${grownMiB.toFixed(0)} MiB`);
    assert.ok(grownMiB < 256, `${grownMiB} MiB more`);
  });

  test('no hostile reply leaves a connection open', async () => {
    await eventually('the connections are closed', async () => (await network.internet()).open === 0);
    assert.deepEqual(await network.strays(), []);
  });
});
