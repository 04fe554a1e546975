import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { networkMissing, startNetwork, type Network } from './network.ts';
import { rawHost, rawReplies, type RawReply } from './raw-replies.ts';

describe('hostile servers, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network.close());

  for (const [name, reply] of Object.entries<RawReply>(rawReplies)) {
    test(name, async (t) => {
      const idle = await network.app();
      const started = Date.now();
      const timeoutMs = reply.timeoutMs ?? 10_000;
      const fetched = await network.fetch({
        url: `http://${rawHost(name as keyof typeof rawReplies)}/`,
        timeout_ms: timeoutMs,
      });
      const { peakRss, worstLag } = await network.app();
      const grownMiB = Math.max(0, peakRss - idle.rss) / 2 ** 20;
      t.diagnostic(
        `${Date.now() - started} ms, +${grownMiB.toFixed(0)} MiB, ${worstLag.toFixed(0)} ms without a turn`,
      );

      if (reply.code !== undefined) {
        assert.equal(fetched.ok ? `ok ${fetched.result.status}` : fetched.code, reply.code);
      }
      if (!fetched.ok) {
        assert.ok(reply.html === undefined && reply.truncated === undefined, `${name}: ${fetched.code}`);
        assert.doesNotMatch(fetched.message, /secret-banner|SSH|SMTP|ERR|aaaa|45\.60/);
      } else {
        if (reply.html !== undefined) assert.equal(fetched.result.html, reply.html);
        if (reply.truncated !== undefined) assert.equal(fetched.result.truncated, reply.truncated);
        assert.equal(fetched.result.status, reply.status ?? 200);
        assert.ok(Buffer.byteLength(fetched.result.html ?? '') <= 500_000);
        assert.ok(fetched.result.bytes.wire <= 5_000_000 && fetched.result.bytes.decoded <= 10_000_000);
      }
      // Far above what a busy machine adds to the deadline, far below a reply that is read to its end.
      assert.ok(Date.now() - started < timeoutMs + 10_000);
      assert.ok(grownMiB < 64, `${grownMiB} MiB more`);
    });
  }

  test('a page that cannot be read as an article is refused, and nothing else waits for it', async (t) => {
    const hostile = network.fetch({ url: 'http://www.site.com/deep', format: 'text', timeout_ms: 30_000 });
    const beside = network.fetch({ url: 'http://other.site.com/' });
    assert.ok((await beside).ok);
    const fetched = await hostile;
    const { worstLag } = await network.app();
    t.diagnostic(`${worstLag.toFixed(0)} ms without a turn`);
    assert.equal(!fetched.ok && fetched.code, 'page_too_complex');
    assert.ok(worstLag < 2000);
  });

  test('eight pages of ten megabytes each, of one tag that does not end, take the memory of a few', async (t) => {
    const idle = await network.app();
    const pages = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        network.fetch({ url: `http://big-${index}.site.com/endless-tag`, timeout_ms: 30_000 }),
      ),
    );
    const { peakRss } = await network.app();
    for (const page of pages) assert.equal(page.ok && page.result.bytes.decoded, 9_900_006);
    const grownMiB = Math.max(0, peakRss - idle.rss) / 2 ** 20;
    t.diagnostic(`+${grownMiB.toFixed(0)} MiB`);
    assert.ok(grownMiB < 256, `${grownMiB} MiB more`);
  });

  test('nothing is left open', async () => {
    assert.equal((await network.internet()).open, 0);
    assert.deepEqual(await network.strays(), []);
  });
});
