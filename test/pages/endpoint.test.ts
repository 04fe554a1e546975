/** POST /v1/fetch of a whole relay, on a network of the test: the corpus, the slots, and what it leaves in its log. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/relay.ts';
import { makeCertificates } from './certificates.ts';
import { corpusUrls, outcomeOf } from './corpus.ts';
import { makeNamespaces, ready } from './namespaces.ts';
import { asker, networkMissing } from './network.ts';
import { rawHost } from './raw-replies.ts';
import type { Answer, Seen } from './relay.ts';

/** What is read of a line of the log. */
type Line = { host?: string; error?: string; queue_ms?: number };

describe('POST /v1/fetch, on a network of the test', { skip: networkMissing() }, () => {
  let ask: (message: object) => Promise<unknown>;
  let askInternet: typeof ask;
  let close: () => Promise<void>;
  before(async () => {
    const namespaces = makeNamespaces();
    ({ close } = namespaces);
    const file = (name: string): string => join(import.meta.dirname, name);
    const certificates = makeCertificates(namespaces.folder, 'DNS:*.site.com');
    const internet = namespaces.start('net', file('internet.ts'), {
      INTERNET: JSON.stringify({ certificates }),
    });
    const settings = { FETCH_RPM: '0', FETCH_DAILY: '0', FETCH_GLOBAL_DAILY: '0', FETCH_CONCURRENCY: '3' };
    const relay = namespaces.start('app', file('relay.ts'), { SETTINGS: JSON.stringify(settings) });
    [askInternet, ask] = [asker(internet), asker(relay)];
    await Promise.all([ready(internet), ready(relay)]);
  });
  after(() => close());

  const fetchPage = async (body: Record<string, unknown>): Promise<Answer> =>
    (await ask({ type: 'post', body })) as Answer;
  const outcome = (answer: Answer): string =>
    'left' in answer ? 'left' : answer.status === 200 ? 'ok' : String(answer.body['error']);
  const seen = async (): Promise<Seen> => (await ask({ type: 'observe' })) as Seen;

  test('an answer has all its fields', async () => {
    const answer = await fetchPage({ url: 'http://www.site.com/' });
    assert.ok('body' in answer);
    const { elapsed_ms: elapsed, ...rest } = answer.body;
    assert.deepEqual([answer.status, typeof elapsed], [200, 'number']);
    assert.deepEqual(rest, {
      ok: true,
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

  test('a fetch of each row of the corpus ends as expected, without a connection to this host', async () => {
    const wrong: string[] = [];
    for (const { id, url, expected } of corpusUrls) {
      const answer = await fetchPage({ url });
      const got = outcome(answer);
      // What may be fetched is dialled: that is a page, or a host that does not speak HTTP.
      const dialled = ['ok', 'connect_error', 'upstream_protocol', 'tls_error'].includes(got);
      if ((dialled ? 'allow' : got) !== outcomeOf(expected)) wrong.push(`${id}: ${got}`);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual((await seen()).strays, [], 'a connection to this host');
  });

  test('the relay’s own port is blocked under every address of this host', async () => {
    const { port } = new URL((await seen()).url);
    for (const host of ['127.0.0.1', '[::1]', '0.0.0.0', '10.77.0.2', '2130706433']) {
      assert.equal(outcome(await fetchPage({ url: `http://${host}:${port}/v1/fetch` })), 'blocked_address');
    }
  });

  /** Connections to pages. */
  const open = async (): Promise<number> =>
    ((await askInternet({ type: 'observe' })) as { open: number }).open;
  /** Two fetches that have every slot of their key, and get no answer until they leave. */
  const fillSlots = async (): Promise<{ leave: () => Promise<unknown>; outcomes: Promise<string[]> }> => {
    const url = 'http://quiet.site.com/silent';
    const fetches = [1, 2].map(() => ask({ type: 'post', body: { url, timeout_ms: 30_000 }, leaves: true }));
    await eventually('both are under way', async () => (await open()) === 2);
    return {
      leave: () => ask({ type: 'leave' }),
      outcomes: Promise.all(fetches).then((answers) => (answers as Answer[]).map(outcome)),
    };
  };

  test('a caller that leaves frees its slot and its connection', async () => {
    const { leave, outcomes } = await fillSlots();
    const next = fetchPage({ url: 'http://www.site.com/', timeout_ms: 30_000 });
    await leave();
    assert.equal(outcome(await next), 'ok');
    assert.deepEqual(await outcomes, ['left', 'left']);
    await eventually('their connections are closed', async () => (await open()) === 0);
  });

  test('a fetch that waits for a slot ends at its own deadline', async () => {
    const { leave, outcomes } = await fillSlots();
    const waiting = await fetchPage({ url: 'http://www.site.com/', timeout_ms: 500 });
    assert.equal(outcome(waiting), 'timeout');
    await eventually('its line tells how long it waited', async () =>
      (await seen()).log.split('\n').some((line) => {
        const { host, error, queue_ms: queueMs } = line === '' ? {} : (JSON.parse(line) as Line);
        return host === 'www.site.com' && error === 'timeout' && Number(queueMs) >= 490;
      }),
    );
    await leave();
    assert.deepEqual(await outcomes, ['left', 'left']);
  });

  test('the log holds the host and the outcome, and no path, query or word of a page', async () => {
    await fetchPage({
      url: 'http://www.site.com/redirect?status=302&to=%2FMARKER-PATH%3FMARKER-QUERY%23MARKER-HASH',
    });
    await fetchPage({
      url: 'http://www.site.com/redirect?status=302&to=http%3A%2F%2FMARKER-name.internal%2F',
    });
    await fetchPage({ url: 'http://user:MARKER-pass@www.site.com/MARKER-PATH' });
    await fetchPage({ url: `http://${rawHost('SSH banner')}/MARKER-PATH` });
    let log = '';
    let lines: string[] = [];
    await eventually('the last line is printed', async () => {
      ({ log } = await seen());
      lines = log.split('\n').filter((line) => line.includes('"host":'));
      return lines.at(-1)?.includes(rawHost('SSH banner')) === true;
    });
    const outcomes = lines.slice(-4).map((line) => {
      const { host, error } = JSON.parse(line) as Line;
      return [host, error];
    });
    assert.deepEqual(outcomes, [
      ['www.site.com', undefined],
      ['www.site.com', 'blocked_hostname'],
      ['www.site.com', 'blocked_userinfo'],
      [rawHost('SSH banner'), 'upstream_protocol'],
    ]);
    assert.doesNotMatch(log, /MARKER|hello|secret-banner|redirect\?/i);
  });
});
