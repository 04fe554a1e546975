/** /mcp: the tools of the relay in the official client, in the protocol of 2025 and of 2026. */
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { Client, StreamableHTTPClientTransport, type CallToolResult } from '@modelcontextprotocol/client';
import type { KeyGrants } from '../src/keys/key.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query } from './support/relay.ts';
import { structuredModel } from './support/weather.ts';

const revisions = { 2025: 'legacy', 2026: { pin: '2026-07-28' } } as const;

let relay: InProcessRelay;
before(async () => {
  relay = await startInProcess({
    settings: {
      ALLOWED_MODELS: 'opus,haiku',
      MAX_INPUT_BYTES: '65536',
      GLOBAL_CONCURRENCY: '2',
      PER_KEY_CONCURRENCY: '2',
      CORS_ORIGINS: 'https://mine.example',
    },
    overrides: { times: { pingAfterMs: 20, graceMs: 1 } },
  });
});
after(() => relay.stop());

type Ask = (
  input: Record<string, unknown>,
  options?: Parameters<Client['callTool']>[1] & { meta?: Record<string, unknown> },
) => Promise<CallToolResult>;

async function connect(
  t: TestContext,
  key: string,
  mode: 'legacy' | { pin: string } = 'legacy',
): Promise<{ client: Client; ask: Ask; seen: Response[] }> {
  const seen: Response[] = [];
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(`${relay.url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${key}` } },
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      seen.push(response);
      return response;
    },
  });
  await client.connect(transport);
  t.after(() => client.close());
  const ask: Ask = (input, { meta, ...options } = {}) =>
    client.callTool(
      { name: 'ask_claude', arguments: input, ...(meta !== undefined && { _meta: meta }) },
      options,
    );
  return { client, ask, seen };
}

function textsOf({ content }: CallToolResult): string[] {
  return content.map((block) => (block.type === 'text' ? block.text : block.type));
}

const key = (label: string, grants: KeyGrants = {}): string => relay.mint(label, grants);

/** One message as it is on the wire. */
function send(body: unknown, headers: Record<string, string> = {}, method = 'POST'): Promise<Response> {
  return fetch(`${relay.url}/mcp`, {
    method,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${relay.key}`,
      ...headers,
    },
    ...(method === 'POST' && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}

for (const [revision, mode] of Object.entries(revisions)) {
  describe(`a client of the protocol of ${revision}`, () => {
    test('lists the tools with the schemas of their routes, and the models of the key', async (t) => {
      const { client } = await connect(t, key(`list-${revision}`, { allowedModels: ['haiku'] }), mode);
      assert.equal(client.getServerVersion()?.name, 'claude-relay');
      const { tools } = await client.listTools();
      assert.deepEqual(
        tools.map(({ name, inputSchema }) => [
          name,
          inputSchema.required,
          inputSchema['additionalProperties'],
        ]),
        [
          ['ask_claude', ['prompt'], false],
          ['fetch_page', ['url'], false],
        ],
      );
      assert.deepEqual(Object.keys(tools[0]?.inputSchema.properties ?? {}), [
        'prompt',
        'system',
        'model',
        'effort',
        'max_tokens',
        'schema',
      ]);
      assert.match(tools[0]?.description ?? '', /Models: haiku\.$/);
    });

    test('sees the tools that its key may use, and is refused the others', async (t) => {
      const ask = await connect(t, key(`ask-${revision}`, { allowedRoutes: ['complete'] }), mode);
      const fetch = await connect(t, key(`fetch-${revision}`, { allowedRoutes: ['fetch'] }), mode);
      const names = async ({ client }: typeof ask): Promise<string[]> =>
        (await client.listTools()).tools.map(({ name }) => name);
      assert.deepEqual(await names(ask), ['ask_claude']);
      assert.deepEqual(await names(fetch), ['fetch_page']);
      const refused = await fetch.ask({ prompt: 'x' });
      assert.deepEqual([refused.isError, textsOf(refused)], [true, ['This key may not use ask_claude.']]);
    });

    test('asks the model, and gets its text and what it used', async (t) => {
      const { ask, seen } = await connect(t, key(`text-${revision}`), mode);
      relay.model.say({ kind: 'text', text: 'Good evening.' });
      const answer = await ask({ prompt: 'Greet me.', system: 'Be formal.', model: 'haiku', effort: 'low' });
      assert.deepEqual([answer.isError, textsOf(answer)], [undefined, ['Good evening.']]);
      const facts = answer._meta?.['claude-relay/answer'] as Record<string, unknown>;
      assert.equal(facts['model'], 'haiku');
      assert.ok(Number((facts['usage'] as Record<string, unknown>)['output_tokens']) > 0);
      const sent = relay.model.requests.at(-1)?.body ?? '';
      for (const text of ['Greet me.', 'Be formal.', '"effort":"low"']) assert.ok(sent.includes(text), text);
      const response = seen.at(-1);
      assert.equal(response?.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      assert.ok(response.headers.has('ratelimit') || response.headers.has('request-id'));
      await eventually(
        'a row of the call',
        () =>
          query(
            relay,
            "SELECT * FROM requests WHERE route = 'mcp_ask_claude' AND request_id = ? AND tokens_out > 0 AND status = 200",
            response.headers.get('request-id') ?? '',
          ).length === 1,
      );
    });

    test('gets a value as structured content if it sends a schema', async (t) => {
      const { ask } = await connect(t, key(`schema-${revision}`), mode);
      relay.model.setReply((request) => structuredModel(request, { n: 5 }));
      const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
      const answer = await ask({ prompt: 'Give a number.', schema });
      assert.deepEqual(answer.structuredContent, { n: 5 });
      assert.deepEqual(textsOf(answer), ['{"n":5}']);
    });

    test('reads what is wrong with a call', async (t) => {
      const { client, ask } = await connect(t, key(`wrong-${revision}`), mode);
      const asked = relay.model.requests.length;
      const rows: [input: Record<string, unknown>, text: RegExp][] = [
        [{}, /^Field "prompt" is required\.$/],
        [{ prompt: ' ' }, /^Field "prompt" must not be empty\.$/],
        [{ prompt: 'x', stream: true }, /^Field "stream" is not a known field\.$/],
        [{ prompt: 'x', model: 'gpt-9' }, /^Field "model" must be one of opus, haiku/],
      ];
      for (const [input, text] of rows) {
        const answer = await ask(input);
        assert.equal(answer.isError, true);
        assert.match(textsOf(answer)[0] ?? '', text);
      }
      const unknown = await client.callTool({ name: 'ask_gpt' });
      assert.deepEqual(
        [unknown.isError, textsOf(unknown)],
        [true, ['There is no tool ask_gpt. Call ask_claude or fetch_page.']],
      );
      assert.equal(relay.model.requests.length, asked);
    });

    test('reads that an address of the host is not fetched', async (t) => {
      const { client } = await connect(t, key(`page-${revision}`), mode);
      const answer = await client.callTool({ name: 'fetch_page', arguments: { url: 'http://127.0.0.1:1/' } });
      assert.equal(answer.isError, true);
      const error = answer._meta?.['claude-relay/error'] as { error: string };
      assert.ok(error.error.startsWith('blocked_'), error.error);
      const long = { url: `http://example.com/${'x'.repeat(33_000)}` };
      const large = await client.callTool({ name: 'fetch_page', arguments: long });
      assert.deepEqual(textsOf(large), ['The request body is larger than 32768 bytes.']);
    });

    test('reads when to try again after a limit', async (t) => {
      const { ask } = await connect(t, key(`rpm-${revision}`, { rpm: 1 }), mode);
      relay.model.say({ kind: 'text', text: 'one' });
      assert.deepEqual(textsOf(await ask({ prompt: 'x' })), ['one']);
      const refused = await ask({ prompt: 'x' });
      assert.match(
        textsOf(refused)[0] ?? '',
        /^This key has used its requests for this minute\. Try again in \d+ s\.$/,
      );
      const error = refused._meta?.['claude-relay/error'] as Record<string, unknown>;
      assert.deepEqual([refused.isError, error['limit']], [true, 'key_rpm']);
      await eventually(
        'the refusal is in the ledger',
        () =>
          query(relay, "SELECT * FROM requests WHERE route = 'mcp_ask_claude' AND limit_hit = 'key_rpm'")
            .length > 0,
      );
    });

    test('cancels a call, which ends the turn and frees the slot', async (t) => {
      const secret = key(`cancel-${revision}`, { concurrency: 1 });
      const { ask } = await connect(t, secret, mode);
      const other = await connect(t, secret, mode);
      relay.model.say({ kind: 'hang', after: 'text', text: 'so far' }, { kind: 'text', text: 'next' });
      const asked = relay.model.requests.length;
      const cancel = new AbortController();
      const cancelled = ask({ prompt: 'x' }, { signal: cancel.signal });
      await eventually('the model is asked', () => relay.model.requests.length === asked + 1);
      // A client that waits for the slot has the same number for its call, and is not cancelled.
      const waiting = other.ask({ prompt: 'y' });
      cancel.abort('no longer wanted');
      await assert.rejects(cancelled);
      assert.deepEqual(textsOf(await waiting), ['next']);
      await eventually('no turn is left', () => relay.model.running() === 0);
      const rows = "SELECT * FROM requests WHERE error = 'client_closed_request' AND key_id = ?";
      const [, id = ''] = secret.split('_');
      await eventually('the end is in the ledger', () => query(relay, rows, id).length === 1);
    });

    test('gets progress if it asks for it, so that its own time limit does not end a long call', async (t) => {
      const { ask } = await connect(t, key(`progress-${revision}`), mode);
      const seen: number[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      relay.model.setReply(async () => {
        await promise;
        return { kind: 'text', text: 'at last' };
      });
      const answer = await ask(
        { prompt: 'x' },
        {
          timeout: 60_000,
          resetTimeoutOnProgress: true,
          onprogress: ({ progress }) => {
            seen.push(progress);
            if (seen.length === 3) resolve();
          },
        },
      );
      assert.deepEqual(textsOf(answer), ['at last']);
      assert.ok(
        seen.every((each, index) => index === 0 || each > Number(seen[index - 1])),
        seen.join(),
      );
    });

    test('repeats a call with its key, and the model is asked once', async (t) => {
      const { ask } = await connect(t, key(`repeat-${revision}`), mode);
      relay.model.say({ kind: 'text', text: 'first' }, { kind: 'text', text: 'second' });
      const meta = { idempotencyKey: 'a' };
      const asked = relay.model.requests.length;
      assert.deepEqual(textsOf(await ask({ prompt: 'x' }, { meta })), ['first']);
      assert.deepEqual(textsOf(await ask({ prompt: 'x' }, { meta })), ['first']);
      assert.equal(relay.model.requests.length, asked + 1);
      assert.match(textsOf(await ask({ prompt: 'y' }, { meta }))[0] ?? '', /^This Idempotency-Key belongs/);
      const wrong = await ask({ prompt: 'x' }, { meta: { idempotencyKey: 'ü' } });
      assert.match(textsOf(wrong)[0] ?? '', /^"_meta\.idempotencyKey" must be 1 to 255 printable ASCII/);
    });
  });
}

describe('POST /mcp', () => {
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  const errorOf = async (response: Response): Promise<{ code: number; message: string }> =>
    ((await response.json()) as { error: { code: number; message: string } }).error;

  test('a wrong key stops a client at once, with a JSON-RPC error', async () => {
    const client = new Client({ name: 'test', version: '1' });
    const url = new URL(`${relay.url}/mcp`);
    const transport = new StreamableHTTPClientTransport(url, {
      requestInit: { headers: { authorization: 'Bearer crk_wrong' } },
    });
    await assert.rejects(client.connect(transport), /401|Unauthorized/i);
    const response = await send(list, { authorization: 'Bearer crk_wrong' });
    assert.deepEqual(
      [response.status, response.headers.get('x-should-retry'), response.headers.get('www-authenticate')],
      [401, 'false', 'Bearer'],
    );
    assert.match((await errorOf(response)).message, /^Send a valid key/);
    const usage = await send(list, {
      authorization: `Bearer ${key('usage-only', { allowedRoutes: ['usage'] })}`,
    });
    assert.deepEqual([usage.status, (await errorOf(usage)).message], [403, 'This key may not use /mcp.']);
    const ok = await send(list, { authorization: '', 'x-api-key': relay.key });
    assert.equal(ok.status, 200);
    await ok.text();
  });

  test('a batch, an invalid message and one that is too large are refused', async () => {
    const rows: [body: unknown, status: number, message: RegExp][] = [
      [[list, list], 400, /not a batch/],
      ['{', 400, /not valid JSON/],
      ['null', 400, /one JSON-RPC message/],
      [{ ...list, params: { text: 'x'.repeat(66_000) } }, 413, /larger than 65536 bytes \(MAX_INPUT_BYTES\)/],
    ];
    for (const [body, status, message] of rows) {
      const response = await send(body);
      assert.equal(response.status, status);
      assert.match((await errorOf(response)).message, message);
    }
  });

  test('a call whose arguments are nested too deep is a tool error that names the place', async () => {
    const schema = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
    const bounded = await startInProcess();
    try {
      const response = await fetch(`${bounded.url}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${bounded.key}`,
        },
        body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask_claude","arguments":{"prompt":"x","schema":${schema}}}}`,
      });
      assert.match(
        await response.text(),
        /schema\.a\.a.* is nested more than 200 levels deep.*"isError":true/,
      );
    } finally {
      await bounded.stop();
    }
  });

  test('GET and DELETE are refused: there is no session', async () => {
    for (const method of ['GET', 'DELETE']) {
      const response = await send(undefined, {}, method);
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST']);
      assert.match((await errorOf(response)).message, /POST only/);
    }
    // A name that the relay never gave is as good as any other.
    const response = await send(list, { 'mcp-session-id': 'unknown' });
    assert.match(await response.text(), /"ask_claude"/);
  });

  test('a page of another origin is refused, also with a key', async () => {
    const refused = await send(list, { origin: 'https://evil.example' });
    assert.equal(refused.status, 403);
    assert.match((await errorOf(refused)).message, /CORS_ORIGINS/);
    const mine = await send(list, { origin: 'https://mine.example' });
    assert.deepEqual(
      [mine.status, mine.headers.get('access-control-allow-origin')],
      [200, 'https://mine.example'],
    );
    await mine.text();
  });

  test('a client that closes the connection ends its call', async () => {
    relay.model.say({ kind: 'hang', after: 'text', text: 'so far' });
    const close = new AbortController();
    const params = { name: 'ask_claude', arguments: { prompt: 'x' } };
    const call = fetch(`${relay.url}/mcp`, {
      method: 'POST',
      signal: close.signal,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'x-api-key': relay.key,
      },
      body: JSON.stringify({ ...list, method: 'tools/call', params }),
    });
    await eventually('the turn runs', () => relay.model.running() === 1);
    close.abort();
    await call.then((response) => response.text()).catch(() => {});
    await eventually('the turn has ended', () => relay.model.running() === 0);
  });
});
