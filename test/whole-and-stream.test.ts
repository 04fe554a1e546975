/**
 * A turn, in each way that it can end, asked for whole and as a stream, on the three routes: both hold the same. The relay with the
 * code of its turns; the process below them is a script of lines.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig } from '../src/config.ts';
import { openKeys } from '../src/keys/store.ts';
import { createLog } from '../src/log.ts';
import { startRelay, type Relay } from '../src/relay.ts';
import { openStore } from '../src/store/sqlite.ts';
import { endings, scriptedRunner } from './support/endings.ts';
import { errorOf, routes, type Held, type Json, type Route } from './support/held.ts';
import { eventually, newest, query } from './support/relay.ts';

const types: Record<string, string> = {
  bad_request: 'invalid_request_error',
  upstream_overloaded: 'overloaded_error',
  upstream_timeout: 'timeout_error',
};

describe('a whole answer and a stream hold the same', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'whole-and-stream-'));
  const dataDir = join(scratch, 'data');
  let relay: Relay;
  let key: string;
  /** Request ids: of a whole answer, and of the stream of the same turn. */
  const pairs: { name: string; ids: [string, string] }[] = [];
  before(async () => {
    const store = openStore(dataDir);
    key = openKeys(store).create('test', {}, 'test').token;
    store.close();
    const config = loadConfig({
      env: {
        HOME: scratch,
        PATH: process.env['PATH'],
        DATA_DIR: dataDir,
        PORT: '0',
        PER_KEY_RPM: '0',
        PER_KEY_DAILY: '0',
        GLOBAL_DAILY: '0',
        LOG_LEVEL: 'silent',
      },
      file: join(scratch, 'none'),
    });
    relay = await startRelay({
      config,
      claudeBin: newest,
      log: createLog(config.logLevel),
      overrides: { runner: scriptedRunner() },
    });
    await relay.readiness.settled();
  });
  after(async () => {
    await relay.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const ask = async (path: string, body: Json): Promise<Response> =>
    fetch(`${relay.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  const idOf = (response: Response): string => response.headers.get('request-id') ?? '';

  const wholeOf = async (route: Route, body: Json): Promise<[Held, string]> => {
    const response = await ask(route.path, body);
    const answer = (await response.json()) as Json;
    return [response.status === 200 ? route.whole(answer) : { error: errorOf(answer) }, idOf(response)];
  };

  const streamOf = async (route: Route, body: Json): Promise<[Held, string]> => {
    const response = await ask(route.path, { ...body, stream: true });
    if (response.status !== 200) return [{ error: errorOf((await response.json()) as Json) }, idOf(response)];
    const events = [...(await response.text()).matchAll(/^data: (\{.*\})$/gm)].map(
      ([, data]) => JSON.parse(data ?? '') as Json,
    );
    const failed = events.find((event) => 'error' in event);
    return [failed === undefined ? route.stream(events) : { error: errorOf(failed) }, idOf(response)];
  };

  for (const route of routes) {
    for (const [name, ending] of Object.entries(endings)) {
      // The relay's own API has no tools.
      if (route.path === '/v1/complete' && ending.asks === 'tools') continue;
      test(`${route.path}: ${name}`, async () => {
        const body = route.body(name, ending.asks);
        const [whole, wholeId] = await wholeOf(route, body);
        const [streamed, streamId] = await streamOf(route, body);
        pairs.push({ name: `${route.path}: ${name}`, ids: [wholeId, streamId] });
        assert.deepEqual(streamed, whole);
        if ('error' in whole) {
          const says = route.path === '/v1/messages' ? (types[ending.says] ?? 'api_error') : ending.says;
          // Never a success without the value.
          if (route.path === '/v1/complete' && ending.asks !== undefined)
            assert.equal(whole.error, 'invalid_output');
          else assert.equal(whole.error, says);
        } else {
          assert.equal(whole.stop, (route.stop ?? String)(ending.says));
          if (ending.text !== undefined) assert.equal(whole.text ?? '', ending.text);
        }
      });
    }
  }

  test('so does the record of each', async () => {
    const read = (): Json[] =>
      query({ dataDir }, 'SELECT request_id, error, stop_reason, tokens_in, tokens_out FROM requests');
    await eventually('every request is recorded', () => read().length >= 2 * pairs.length);
    const rows = new Map(read().map(({ request_id: id, ...row }) => [id, row]));
    assert.ok(pairs.length > 80);
    for (const { name, ids } of pairs) {
      const [whole, streamed] = ids.map((id) => rows.get(id));
      assert.deepEqual(streamed, whole, name);
      assert.ok(Number(whole?.['tokens_in']) > 0 || name.includes('before the answer'), name);
      if (name.includes('two more requests')) assert.equal(whole?.['tokens_in'], 75);
    }
  });
});
