/** CORS: pages of the owner's origins read every answer of a route with a key; no other page reads anything. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';

const origin = 'https://app.example.com';
const other = 'http://localhost:3000';

const corsOf = ({ headers }: Response): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary'));
const readable = (of: string): object => ({
  vary: 'origin',
  'access-control-allow-origin': of,
  'access-control-expose-headers': '*',
});

describe('CORS', () => {
  let relay: InProcessRelay;
  let off: InProcessRelay;
  before(async () => {
    relay = await startInProcess({ settings: { CORS_ORIGINS: `${origin}, ${other}` } });
    off = await startInProcess();
  });
  after(() => Promise.all([relay.stop(), off.stop()]));

  const ask = (on: InProcessRelay, path: string, headers: Record<string, string>): Promise<Response> =>
    fetch(`${on.url}${path}`, {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'POST', ...headers },
    });

  test('a preflight of an allowed origin needs no key, and allows the headers that it asks for', async () => {
    for (const path of ['/v1/messages', '/v1/chat/completions', '/chat/completions', '/v1/complete']) {
      const answer = await ask(relay, path, {
        origin,
        'access-control-request-headers': 'authorization,content-type,x-stainless-lang',
      });
      assert.deepEqual([answer.status, await answer.text()], [204, '']);
      assert.deepEqual(corsOf(answer), {
        ...readable(origin),
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'authorization,content-type,x-stainless-lang',
        'access-control-max-age': '600',
      });
      assert.equal(answer.headers.get('content-type'), null);
    }
    const job = await ask(relay, '/v1/jobs/job_1', { origin: other });
    assert.equal(job.headers.get('access-control-allow-methods'), 'GET, HEAD, DELETE');
    // Without it, a page would not see why there is no such path.
    const lacking = await ask(relay, '/v1/embeddings', { origin });
    assert.equal(lacking.headers.get('access-control-allow-methods'), 'GET, POST, DELETE');
  });

  test('an answer, a stream, a refusal and an unknown path can be read by an allowed origin', async () => {
    const headers = { origin: other };
    const answers = [
      await relay.post({ prompt: 'hi' }, { headers }),
      await relay.post({ prompt: 'hi', stream: true }, { headers }),
      await relay.post({}, { headers }),
      await relay.post({}, { headers: { ...headers, authorization: 'Bearer wrong' } }),
      await fetch(`${relay.url}/v1/embeddings`, { headers }),
      await fetch(`${relay.url}/v1/messages`, { headers }),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 400, 401, 404, 405],
    );
    for (const answer of answers) {
      assert.deepEqual(corsOf(answer), readable(other));
      await answer.text();
    }
  });

  test('another origin reads nothing', async () => {
    for (const stranger of [
      'https://evil.example',
      'null',
      `${origin}.evil.example`,
      'http://app.example.com',
    ]) {
      const preflight = await ask(relay, '/v1/messages', { origin: stranger });
      assert.deepEqual([preflight.status, corsOf(preflight)], [405, { vary: 'origin' }]);
      const answer = await relay.post({ prompt: 'hi' }, { headers: { origin: stranger } });
      assert.deepEqual([answer.status, corsOf(answer)], [200, { vary: 'origin' }]);
    }
  });

  test('a route without a key has no CORS, because it says more to programs on this machine', async () => {
    for (const path of ['/ready', '/health', '/openapi.json']) {
      assert.deepEqual(corsOf(await fetch(`${relay.url}${path}`, { headers: { origin } })), {});
      assert.equal((await ask(relay, path, { origin })).status, 405);
    }
  });

  test('no answer has a CORS header by default', async () => {
    const preflight = await ask(off, '/v1/messages', { origin });
    assert.deepEqual([preflight.status, corsOf(preflight)], [405, {}]);
    assert.deepEqual(corsOf(await off.post({ prompt: 'hi' }, { headers: { origin } })), {});
  });
});
