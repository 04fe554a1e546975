/**
 * A turn, in each way that it can end, asked for whole and as a stream, on the three routes: both hold the same. The relay with the
 * code of its turns; the process below them is a script of lines.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { endings, playEnding } from './support/endings.ts';
import { errorOf, routes, type Held, type Json, type Route } from './support/held.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query, type Post } from './support/relay.ts';

const types: Record<string, string> = {
  bad_request: 'invalid_request_error',
  upstream_overloaded: 'overloaded_error',
  upstream_timeout: 'timeout_error',
};

describe('a whole answer and a stream hold the same', () => {
  let relay: InProcessRelay;
  /** With a time limit that silence reaches soon. */
  let impatient: InProcessRelay;
  /** Request ids: of a whole answer, and of the stream of the same turn. */
  const pairs: { name: string; ids: [string, string] }[] = [];
  before(async () => {
    relay = await startInProcess({ settings: { LOG_LEVEL: 'silent' }, reply: playEnding });
    impatient = await startInProcess({
      settings: { LOG_LEVEL: 'silent' },
      reply: playEnding,
      overrides: { times: { requestTimeoutMs: 100 } },
    });
  });
  after(async () => {
    await relay.stop();
    await impatient.stop();
  });

  const idOf = (response: Response): string => response.headers.get('request-id') ?? '';

  const wholeOf = async ({ post }: Post, route: Route, body: Json): Promise<[Held, string]> => {
    const response = await post(body, { path: route.path });
    const answer = (await response.json()) as Json;
    return [response.status === 200 ? route.whole(answer) : { error: errorOf(answer) }, idOf(response)];
  };

  const streamOf = async ({ post }: Post, route: Route, body: Json): Promise<[Held, string]> => {
    const response = await post({ ...body, stream: true }, { path: route.path });
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
        const asked = ending.silent === true ? impatient : relay;
        const [whole, wholeId] = await wholeOf(asked, route, body);
        const [streamed, streamId] = await streamOf(asked, route, body);
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

  test('the records of a whole answer and of its stream are the same', async () => {
    const read = (): Json[] =>
      [relay, impatient].flatMap((each) =>
        query(each, 'SELECT request_id, error, stop_reason, tokens_in, tokens_out FROM requests'),
      );
    await eventually('every request is recorded', () => read().length >= 2 * pairs.length);
    const rows = new Map(read().map(({ request_id: id, ...row }) => [id, row]));
    assert.ok(pairs.length > 80);
    for (const { name, ids } of pairs) {
      const [whole, streamed] = ids.map((id) => rows.get(id));
      assert.deepEqual(streamed, whole, name);
      assert.ok(Number(whole?.['tokens_in']) > 0 || name.includes('before the answer'), name);
    }
  });
});
