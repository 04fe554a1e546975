/** POST /v1/fetch from outside: its contract, its budget apart from the completions', and what it leaves in the log. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually, startTestRelay, type TestRelay } from './support/relay.ts';

describe('POST /v1/fetch', () => {
  let relay: TestRelay;
  let canary: Server;
  let touched = 0;
  before(async () => {
    canary = createServer((_request, response) => response.end('canary'));
    canary.on('connection', () => (touched += 1));
    await new Promise<void>((resolve) => {
      canary.listen(0, '127.0.0.1', resolve);
    });
    relay = await startTestRelay({
      proof: false,
      settings: {
        ...{ FETCH_RPM: '8', FETCH_DAILY: '9', PER_KEY_RPM: '3', WARM_SPARES: '0' },
        NGROK_DOMAIN: 'Relay.Owner-Site.app',
      },
    });
  });
  after(async () => {
    await relay.stop();
    canary.close();
  });

  const fetchPage = (body: unknown, key = relay.key): Promise<Response> =>
    relay.post(body, { path: '/v1/fetch', headers: { authorization: `Bearer ${key}` } });

  test('a fetch of the host’s own address is refused without a connection, and the message holds no address', async () => {
    const { port } = canary.address() as AddressInfo;
    const targets = [
      [`http://127.0.0.1:8080/`, 'blocked_address'],
      [`http://[::1]:8080/secret-path?secret-query`, 'blocked_address'],
      [`http://127.0.0.1:${port}/`, 'blocked_address'],
      ['http://localhost/', 'blocked_hostname'],
      // The relay's own public name.
      ['https://relay.owner-site.app/v1/models', 'blocked_hostname'],
    ] as const;
    for (const [url, code] of targets) {
      const response = await fetchPage({ url });
      const body = (await response.json()) as { error: string; message: string };
      assert.equal(response.status, 403, JSON.stringify(body));
      assert.equal(body.error, code);
      assert.doesNotMatch(body.message, /127\.|::1|secret/);
    }
    assert.equal(touched, 0);
  });

  test('an invalid request gets 400 and a message that names the field', async () => {
    const rows: [unknown, RegExp][] = [
      [{ url: 'http://example.com/', colour: 'red' }, /"colour"/],
      [{ url: 'http://example.com/', max_bytes: 3_000_000 }, /"max_bytes" must be at most 2000000/],
      [{ url: 'http://example.com/', timeout_ms: 31_000 }, /"timeout_ms" must be at most 30000/],
      [
        { url: 'http://example.com/', format: 'pdf' },
        /"format" must be one of html, text, markdown, metadata/,
      ],
      [{ url: 'http://example.com/', user_agent: 'a\r\nb' }, /"user_agent" must be 1 to 300 printable ASCII/],
      [{}, /"url"/],
    ];
    for (const [body, message] of rows) {
      const response = await fetchPage(body);
      assert.equal(response.status, 400);
      assert.match(((await response.json()) as { message: string }).message, message);
    }
  });

  test('a body above the fixed limit of the route gets 413, and no setting is named', async () => {
    const response = await fetchPage({ url: 'http://example.com/', padding: 'x'.repeat(33_000) });
    const { message } = (await response.json()) as { message: string };
    assert.deepEqual([response.status, message], [413, 'The request body is larger than 32768 bytes.']);
  });

  test('fetches and completions have separate budgets', async () => {
    const key = relay.command('genkey', 'budget');
    const refused: (string | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      const response = await fetchPage({ url: 'http://127.0.0.1/' }, key);
      refused.push(
        response.status === 429 ? ((await response.json()) as { limit: string }).limit : undefined,
      );
      if (i === 0) assert.equal(response.headers.get('x-ratelimit-limit-requests'), '8');
    }
    assert.deepEqual(refused, [...Array.from({ length: 8 }, () => undefined), 'key_rpm', 'key_rpm']);
    for (let i = 0; i < 3; i++) {
      const response = await relay.post({ prompt: 'hi' }, { headers: { authorization: `Bearer ${key}` } });
      assert.equal(response.status, 200, 'fetches spent the completions’ minute');
    }
  });

  test('a key without the route fetch gets 403', async () => {
    const key = relay.command('claude-relay', 'key', 'create', 'talk-only', '--routes', 'complete');
    const response = await fetchPage({ url: 'http://example.com/' }, key);
    assert.equal(response.status, 403);
    assert.equal(((await response.json()) as { error: string }).error, 'forbidden');
  });

  test('the log line holds the host and the outcome, and no path or query', async () => {
    await fetchPage({
      url: 'http://user:pass@intranet.example.internal/MARKER-PATH?MARKER-QUERY#MARKER-HASH',
    });
    let line: string | undefined;
    await eventually('its line is printed', () => {
      line = relay
        .output()
        .stdout.split('\n')
        .findLast((text) => text.includes('"host":"intranet.example.internal"'));
      return line !== undefined;
    });
    assert.match(line ?? '', /"error":"/);
    assert.doesNotMatch(relay.output().stdout, /MARKER|user:pass/);
  });
});
