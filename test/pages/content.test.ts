import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/relay.ts';
import { checkRows } from '../support/rows.ts';
import type { PageResult } from '../../src/pages/fetch.ts';
import { networkMissing, startNetwork, type Network } from './network.ts';
import { rawHost } from './raw-replies.ts';
import { encodings } from './site.ts';

describe('pages, on a network of the test', { skip: networkMissing() }, () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network.close());

  const page = async (path: string, request: Record<string, unknown> = {}): Promise<PageResult> => {
    const fetched = await network.fetch({ url: `http://www.site.com${path}`, ...request });
    assert.ok(fetched.ok, JSON.stringify(fetched));
    return fetched.result;
  };
  const code = async (path: string): Promise<string> => {
    const fetched = await network.fetch({ url: `http://www.site.com${path}` });
    return fetched.ok ? 'ok' : fetched.code;
  };

  test('an answer has all its fields', async () => {
    const { elapsed_ms: elapsed, ...rest } = await page('/');
    assert.ok(Number.isInteger(elapsed));
    assert.deepEqual(rest, {
      status: 200,
      final_url: 'http://www.site.com/',
      truncated: false,
      html: '<p>hello</p>',
      content_type: 'text/html; charset=utf-8',
      charset: 'utf-8',
      redirects: [],
      bytes: { wire: 12, decoded: 12, output: 12 },
      json_ld: [],
      about: {},
    });
  });

  test('strip removes scripts, styles, comments and drawings, and keeps JSON-LD', async () => {
    const stripped = await page('/article');
    assert.doesNotMatch(stripped.html ?? '', /tracking|color: red|a comment|<svg/);
    assert.match(stripped.html ?? '', /<script type="application\/ld\+json">\{"@type"/);
    assert.deepEqual(stripped.json_ld, ['{"@type":"Article","name":"<b>x</b>"}']);
    const whole = await page('/article', { strip: false });
    assert.match(whole.html ?? '', /tracking[^]*color: red[^]*a comment[^]*<svg/);
    assert.equal(whole.bytes.output, whole.bytes.decoded);
  });

  test('text and Markdown hold the main content', async () => {
    const { text, html } = await page('/article', { format: 'text' });
    assert.match(text ?? '', /^Heading\n\nA paragraph, long enough, with bold words and a link, /);
    assert.doesNotMatch(text ?? '', /Home|Footer|tracking/);
    assert.equal(html, undefined);
    const { markdown } = await page('/article', { format: 'markdown' });
    assert.match(
      markdown ?? '',
      /^# Heading\n\nA paragraph, long enough, with \*\*bold\*\* words and a \[link\]\(http:\/\/www\.site\.com\/link\)/,
    );
    for (const format of ['html', 'text', 'markdown', 'metadata']) {
      const { about } = await page('/article', { format });
      assert.deepEqual(about, { title: 'OG title', language: 'en', excerpt: 'What it is' });
    }
    const cut = await page('/article', { format: 'text', max_bytes: 20 });
    assert.deepEqual([cut.text, cut.truncated], ['Heading\n\nA paragraph', true]);
  });

  test('metadata has the fields that the page declares', async () => {
    const { metadata } = await page('/article', { format: 'metadata' });
    assert.deepEqual(metadata, {
      title: 'A & B',
      description: 'What it is',
      canonical: 'http://www.site.com/article',
      language: 'en',
      open_graph: { title: 'OG title', image: '/i.png' },
      feeds: [{ url: 'http://www.site.com/feed.xml', type: 'application/rss+xml', title: 'Feed' }],
      json_ld: ['{"@type":"Article","name":"<b>x</b>"}'],
    });
  });

  test('a page is cut at max_bytes, between two characters', async () => {
    const long = await page('/long');
    assert.deepEqual(
      [long.truncated, long.bytes.output, Buffer.byteLength(long.html ?? '')],
      [true, 500_000, 500_000],
    );
    for (const size of [1, 4, 7, 400, 799]) {
      const { html = '', truncated } = await page('/emoji', { max_bytes: size });
      assert.deepEqual([html, truncated], ['🎉'.repeat(Math.floor(size / 4)), true]);
    }
    assert.equal((await page('/emoji', { max_bytes: 800 })).truncated, false);
  });

  test('text after ten megabytes of script comes back', async () => {
    assert.deepEqual((await page('/script-then-text')).html, '<p>after</p>');
  });

  test('JSON-LD behind the cut is collected', async () => {
    const { truncated, json_ld: jsonLd } = await page('/json-ld-last');
    assert.deepEqual([truncated, jsonLd], [true, ['{"@type":"Article","name":"<b>x</b>"}']]);
  });

  test('each content coding is decoded', () =>
    checkRows(
      Object.entries({
        '/identity': 'abc',
        '/gzip': 'abc',
        '/x-gzip': 'abc',
        '/br': 'abc',
        '/deflate': 'abc',
        '/deflate-raw': 'abc',
        '/gzip-members': 'abcdef',
        '/gzip-garbage': 'abc',
        '/gzip-no-trailer': 'abc',
      }),
      ([path]) => path,
      async ([path, text]) => assert.equal((await page(path)).html, text),
    ));

  test('a gzip body that breaks off comes back truncated', async () => {
    const { html, truncated } = await page('/gzip-cut');
    assert.equal(truncated, true);
    assert.match(html ?? '', /^<!doctype html>/);
  });

  test('a page that is not HTML comes back unchanged', () =>
    checkRows(
      Object.entries({
        '/json': '{"a": 1, "b": "<script>"}',
        '/feed.xml': '<?xml version="1.0"?><rss><!-- x --></rss>',
        '/text': 'plain <script>',
        '/untyped-text': 'just text',
      }),
      ([path]) => path,
      async ([path, text]) => {
        const { body, html } = await page(path, { format: 'text' });
        assert.deepEqual([body, html], [text, undefined]);
      },
    ));

  test('a missing or malformed type is sniffed, and the last of two types applies', async () => {
    assert.equal((await page('/untyped-html')).html, '<!doctype html><p>x');
    assert.equal((await page('/malformed-type')).html, '<html>x');
    assert.equal((await page('/two-types')).html, '<p>x');
    assert.equal(await code('/untyped-binary'), 'unsupported_content_type');
  });

  test('a type that is not text is refused by its headers, before its body', async () => {
    await checkRows(
      [
        ...['application/pdf', 'image/png', 'image/svg+xml', 'video/mp4', 'application/zip'],
        ...['application/msword', 'text/event-stream', 'multipart/x-mixed-replace'],
      ],
      (type) => type,
      async (type) =>
        assert.equal(await code(`/type?type=${encodeURIComponent(type)}`), 'unsupported_content_type'),
    );
    await eventually('the connections are closed', async () => (await network.internet()).open === 0);
    assert.equal((await network.internet()).bodiesRead, 0);
    // The same server counts a body that somebody reads.
    await page('/type?type=text/plain');
    assert.equal((await network.internet()).bodiesRead, 1);
  });

  test('text comes back under each type that can hold text', async () => {
    for (const type of [
      'application/octet-stream',
      'application/javascript',
      'application/yaml',
      'application/x-ndjson',
      'application/vnd.oai.openapi+json;version=3.1',
    ]) {
      const { body, content_type: sent } = await page(`/type?type=${encodeURIComponent(type)}`);
      assert.deepEqual([body, sent], ['body', type]);
    }
  });

  test('each encoding is read by the header, then by the meta tag', () =>
    checkRows(
      Object.entries(encodings),
      ([name]) => name,
      async ([name, { text }]) => {
        const query = `/charset?bytes=${name}`;
        const byHeader = await page(`${query}&header=${name}`);
        assert.deepEqual([byHeader.html, byHeader.charset], [text, name]);
        const byMeta = await page(`${query}&meta=${name}`);
        assert.deepEqual([byMeta.html, byMeta.charset], [`<meta charset="${name}">${text}`, name]);
        const both = await page(`${query}&header=${name}&meta=utf-8`);
        assert.deepEqual([both.html, both.charset], [`<meta charset="utf-8">${text}`, name]);
      },
    ));

  test('a byte order mark decides the encoding, and is removed', async () => {
    for (const mark of ['utf-8', 'utf-16le', 'utf-16be']) {
      const { html, charset } = await page(`/bom?mark=${mark}`);
      assert.deepEqual([html, charset], ['é', mark]);
    }
  });

  test('a page that names no encoding is read as UTF-8 if it can be, else as windows-1252', async () => {
    const { html, charset } = await page('/charset?bytes=windows-1252');
    assert.deepEqual([html, charset], ['€’é', 'windows-1252']);
    assert.equal((await page('/emoji')).charset, 'utf-8');
  });
});

const secrets = {
  HTTP_PROXY: 'http://127.0.0.1:3128',
  HTTPS_PROXY: 'http://127.0.0.1:3128',
  ALL_PROXY: 'http://127.0.0.1:3128',
};

for (const environment of [
  {},
  {
    ...secrets,
    http_proxy: secrets.HTTP_PROXY,
    https_proxy: secrets.HTTP_PROXY,
    NODE_USE_ENV_PROXY: '1',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    UNDICI_USE_MILO: '1',
    NODE_OPTIONS: '--insecure-http-parser --tls-min-v1.0 --no-warnings',
  },
]) {
  const which = Object.keys(environment).length === 0 ? 'an empty' : 'a hostile';
  describe(`TLS and transport in ${which} environment`, { skip: networkMissing() }, () => {
    let network: Network;
    before(async () => {
      network = await startNetwork({ environment, ...(which === 'a hostile' ? { proxyPort: 3128 } : {}) });
    });
    after(() => network.close());

    const code = async (url: string): Promise<string> => {
      const fetched = await network.fetch({ url });
      return fetched.ok ? `ok ${fetched.result.status}` : fetched.code;
    };
    const expected = {
      'http://www.site.com/': 'ok 200',
      'https://www.site.com/': 'ok 200',
      'https://example.com./': 'ok 200',
      'https://93.184.216.34/': 'ok 200',
      'https://expired.site.com/': 'tls_error',
      'https://wrong-name.site.com/': 'tls_error',
      'https://self-signed.site.com/': 'tls_error',
      'https://other.org/': 'tls_error',
      'https://1.1.1.1/': 'tls_error',
      'https://93.184.217.2/': 'tls_error',
      'https://www.site.com:8080/': 'tls_error',
      [`http://${rawHost('NUL in a header')}/`]: 'upstream_protocol',
      'http://127.0.0.1/': 'blocked_address',
    };
    test(`valid TLS is accepted and every other certificate refused in ${which} environment`, () =>
      checkRows(
        Object.entries(expected),
        ([url]) => url,
        async ([url, outcome]) => assert.equal(await code(url), outcome),
      ));

    test(`TLS offers HTTP/1.1 and no client certificate, and no proxy is used, in ${which} environment`, async () => {
      const { offeredProtocols } = await network.internet();
      assert.ok(offeredProtocols.length >= 3);
      for (const offered of offeredProtocols)
        assert.match(offered, /^(www\.site\.com|example\.com|-) http\/1\.1 0$/);
      assert.deepEqual(await network.strays(), []);
    });
  });
}
