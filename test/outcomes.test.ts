/**
 * Every way in which the upstream can answer, fail or fall silent, through the real CLI: what the caller gets, how often the model was
 * asked, and that nothing keeps running.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Reply, type ReplyFunction, lastUserTexts } from './support/failing-model.ts';
import { runsAll } from './support/needs.ts';
import { clis, eventually, ledgerRow, startTestRelay, throwaways, type TestRelay } from './support/relay.ts';

type Case = {
  reply: Reply;
  /** What every further request of the same turn would get: an answer that must not take the place of the first. */
  further?: Reply;
  status: number;
  /** The error code, or the stop reason of an answer. */
  says: string;
  text?: string;
  message?: RegExp;
  /** Requests to the model at most, where that is not one: what the CLI asks again (a refused 400 up to three times) before it says anything. */
  requests?: number;
  /** With `npm run test:all` only: the code behind it is that of another case. */
  again?: true;
};

const other: Reply = { kind: 'text', text: 'another answer' };

function http(status: number, type: string, message = `upstream says ${type}`): Reply {
  return { kind: 'error', status, type, message };
}

/** A stream that fails in the middle; the CLI left to itself would fetch `other` in its place. */
function midStream(type: string, message: string): Pick<Case, 'reply' | 'further'> {
  return { reply: { kind: 'stream_error', type, message, afterText: 'half an ' }, further: other };
}

function stops(stopReason: string, text = `stopped for ${stopReason}`): Case {
  return {
    reply: { kind: 'text', text, stopReason },
    further: other,
    status: 200,
    says: stopReason,
    text,
  };
}

/** What a proxy, a web filter or a captive portal answers in place of the API. */
function page(status: number, title: string): Reply {
  const body = `<!DOCTYPE html><html><head><title>${title}</title></head><body>${title} for jane@example.com</body></html>`;
  return { kind: 'raw', status, headers: { 'content-type': 'text/html' }, body };
}

function notTheApi(reply: Reply): Case {
  return {
    reply,
    status: 502,
    says: 'upstream_error',
    message: /a web filter or a login page/,
  };
}

const allCases: Record<string, Case> = {
  '403, a page of a web filter': notTheApi(page(403, 'Blocked by Acme Web Filter')),
  '401, a page of a captive portal': { ...notTheApi(page(401, 'Log in to the Acme network')), again: true },
  '407, a page of a proxy': { ...notTheApi(page(407, 'Proxy Authentication Required')), again: true },
  '403 of the API': {
    reply: http(403, 'permission_error'),
    status: 503,
    says: 'upstream_auth',
    message: /permissions on the host/,
  },
  '400 that quotes a header of the login': {
    reply: http(400, 'invalid_request_error', 'messages.0.content.0: unexpected x-api-key'),
    status: 400,
    says: 'bad_request',
    requests: 4,
  },
  'a usage limit up to a date': {
    reply: http(
      400,
      'invalid_request_error',
      'You have reached your specified API usage limits. You will regain access on 2999-02-01 at 00:00 UTC.',
    ),
    status: 429,
    says: 'rate_limited',
    message: /until 2999-02-01/,
    requests: 4,
  },
  'a disabled organization': {
    reply: http(400, 'invalid_request_error', 'This organization has been disabled.'),
    status: 503,
    says: 'upstream_auth',
    message: /disabled/,
  },
  '401 of the API': {
    reply: http(401, 'authentication_error'),
    status: 503,
    says: 'upstream_auth',
    message: /log in again on the host/,
  },
  'no credit': {
    reply: http(
      400,
      'invalid_request_error',
      'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
    ),
    status: 503,
    says: 'upstream_auth',
    message: /on the host/,
    requests: 4,
  },
  '429': { reply: http(429, 'rate_limit_error'), status: 429, says: 'rate_limited' },
  '529': {
    reply: http(529, 'overloaded_error', 'Overloaded'),
    status: 503,
    says: 'upstream_overloaded',
  },
  '529 without a body': {
    reply: { kind: 'raw', status: 529, headers: {}, body: '' },
    status: 503,
    says: 'upstream_overloaded',
    again: true,
  },
  '503': {
    reply: http(503, 'overloaded_error', 'Overloaded'),
    status: 503,
    says: 'upstream_overloaded',
    again: true,
  },
  '500': { reply: http(500, 'api_error'), status: 502, says: 'upstream_error' },
  '400': {
    reply: http(400, 'invalid_request_error', 'messages: too odd'),
    status: 400,
    says: 'bad_request',
    message: /: messages: too odd/,
    requests: 4,
  },
  '404': {
    reply: http(404, 'not_found_error', 'model: none'),
    status: 404,
    says: 'not_found',
    message: /model does not exist/,
    requests: 2,
  },
  '413': {
    reply: http(413, 'request_too_large'),
    status: 413,
    says: 'payload_too_large',
    message: /too large/,
  },
  'not the API': {
    reply: { kind: 'raw', status: 200, headers: { 'content-type': 'text/html' }, body: '<p>hello</p>' },
    further: other,
    status: 502,
    says: 'upstream_error',
  },
  // A connection that was cut before a word 2.1.197 may open again at once, without a line about it: twice at most was seen.
  'cut before the headers': {
    reply: { kind: 'drop', after: 'accept' },
    status: 502,
    says: 'upstream_error',
    requests: 3,
  },
  'cut before the first event': {
    reply: { kind: 'drop', after: 'headers' },
    status: 502,
    says: 'upstream_error',
    requests: 3,
  },
  'cut in the middle': {
    reply: { kind: 'drop', after: 'text', text: 'half an ' },
    further: other,
    status: 502,
    says: 'upstream_error',
  },
  'overloaded in the middle': {
    ...midStream('overloaded_error', 'Overloaded'),
    status: 503,
    says: 'upstream_overloaded',
  },
  'failing in the middle': {
    ...midStream('api_error', 'Internal server error'),
    status: 502,
    says: 'upstream_error',
  },
  end_turn: stops('end_turn'),
  'nothing to say': stops('end_turn', ''),
  stop_sequence: { ...stops('stop_sequence'), again: true },
  max_tokens: { ...stops('max_tokens'), again: true },
  refusal: stops('refusal'),
  'refusal without a word': { ...stops('refusal', ''), again: true },
  pause_turn: stops('pause_turn'),
  model_context_window_exceeded: stops('model_context_window_exceeded'),
};

const cases = Object.fromEntries(Object.entries(allCases).filter(([, { again }]) => runsAll || !again));

const silences: Record<string, Reply> = {
  'silent before the headers': { kind: 'hang', after: 'accept' },
  'silent before the first event': { kind: 'hang', after: 'headers' },
  'silent in the middle': { kind: 'hang', after: 'text', text: 'half an ' },
};

/** Answers by the name of the case, which is the prompt; counts the requests for each. */
function byPrompt(asked: Map<string, number>): ReplyFunction {
  return (request) => {
    const prompt =
      request.json === undefined
        ? ''
        : lastUserTexts(request.json).find((text) => cases[text] ?? silences[text]);
    const name = prompt ?? '(a prompt that nobody sent)';
    const before = asked.get(name) ?? 0;
    asked.set(name, before + 1);
    const { reply, further } = cases[name] ?? { reply: silences[name] ?? other };
    return before === 0 ? reply : (further ?? reply);
  };
}

const requestTimeoutS = 5;

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, { concurrency: 2 }, () => {
    describe('each answer of the upstream', () => {
      const asked = new Map<string, number>();
      let relay: TestRelay;
      let impatient: TestRelay;
      let silent: Map<string, ReturnType<TestRelay['complete']>>;
      before(async () => {
        const common = { proof: false, claudeBin: cli.path, reply: byPrompt(asked) };
        relay = await startTestRelay({ ...common, settings: { GLOBAL_CONCURRENCY: '4' } });
        impatient = await startTestRelay({ ...common, settings: { REQ_TIMEOUT: String(requestTimeoutS) } });
        // These wait for the timeout while the others run.
        silent = new Map(Object.keys(silences).map((prompt) => [prompt, impatient.complete({ prompt })]));
      });
      after(() => Promise.all([relay.stop(), impatient.stop()]));

      for (const [prompt, expected] of Object.entries(cases)) {
        test(`upstream: ${prompt} -> ${expected.status} ${expected.says}`, async () => {
          const { status, body, headers } = await relay.complete({ prompt, output_format: 'json' });
          const text = JSON.stringify(body);
          assert.equal(status, expected.status, text);
          if (status === 429) assert.equal(headers.get('retry-after'), String(body['retry_after']));
          if (status === 200) {
            assert.equal(body['stop_reason'], expected.says);
            assert.equal(body['result'], expected.text);
            return;
          }
          assert.equal(body['ok'], false);
          assert.equal(body['error'], expected.says);
          assert.match(String(body['message']), expected.message ?? /./);
          assert.equal(body['request_id'], headers.get('request-id'));
          // Neither the CLI's own sentence nor a part of an answer takes the place of the error.
          assert.doesNotMatch(text, /API Error|half an|another answer|127\.0\.0\.1|Acme|jane/);
        });
      }

      for (const prompt of Object.keys(silences)) {
        test(`upstream: ${prompt} -> 504 after REQ_TIMEOUT`, async () => {
          const { status, body } = (await silent.get(prompt)) ?? assert.fail();
          assert.equal(status, 504, JSON.stringify(body));
          assert.equal(body['error'], 'upstream_timeout');
          assert.match(String(body['message']), new RegExp(`${requestTimeoutS} seconds \\(REQ_TIMEOUT\\)`));
          assert.doesNotMatch(JSON.stringify(body), /half an/);
          const row = await ledgerRow(impatient, String(body['request_id']));
          assert.deepEqual([row['status'], row['error']], [504, 'upstream_timeout']);
        });
      }

      test('the turns leave no process and no directory, and the model was not asked again', async () => {
        for (const each of [relay, impatient]) {
          await eventually('every process is gone', () => each.children().length === 0);
          await eventually('every directory is gone', () => throwaways(each).length === 0);
        }
        const tooOften = Object.entries(cases)
          .map(([name, { requests = 1 }]) => ({ name, requests, seen: asked.get(name) ?? 0 }))
          .filter(({ requests, seen }) => seen < 1 || seen > requests);
        assert.deepEqual(tooOften, []);
      });
    });

    test('a plan limit of one family refuses that family alone', async (t) => {
      const resetsAt = Math.ceil(Date.now() / 1000) + 5 * 86_400;
      const asked: string[] = [];
      const relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        env: { ANTHROPIC_API_KEY: undefined, CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-stub' },
        settings: { ALLOWED_MODELS: 'opus,sonnet,opusplan,best' },
        reply: ({ json }) => {
          const model = json?.model ?? '';
          asked.push(model);
          if (!model.includes('opus')) return { kind: 'text', text: 'served' };
          return {
            ...(http(429, 'rate_limit_error') as Extract<Reply, { kind: 'error' }>),
            headers: {
              'anthropic-ratelimit-unified-status': 'rejected',
              'anthropic-ratelimit-unified-reset': String(resetsAt),
              'anthropic-ratelimit-unified-representative-claim': 'seven_day_opus',
            },
          };
        },
      });
      t.after(() => relay.stop());
      /** `end`: when the wait of the answer is over, in seconds since 1970. */
      const send = async (path: string, model: string) => {
        const body =
          path === '/v1/complete'
            ? { model, prompt: 'hi' }
            : { model, max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
        const before = Date.now() / 1000;
        const response = await relay.post(body, { path });
        const wait = Number(response.headers.get('retry-after'));
        const end = { earliest: before + wait, latest: Date.now() / 1000 + wait };
        return { status: response.status, text: await response.text(), end };
      };
      const first = await send('/v1/complete', 'opus');
      assert.equal(first.status, 429, first.text);
      assert.match(first.text, /used up for opus models until/);
      // `opusplan` is Sonnet here: only the CLI knows.
      for (const model of ['sonnet', 'opusplan']) {
        const other = await send('/v1/complete', model);
        assert.deepEqual([other.status, /served/.test(other.text)], [200, true], other.text);
      }
      // `best` is Opus: the CLI says so once, and then it is known.
      assert.equal((await send('/v1/complete', 'best')).status, 429);
      const before = asked.length;
      for (const path of ['/v1/complete', '/v1/messages', '/v1/chat/completions']) {
        for (const model of ['opus', 'claude-opus-4-1', 'best']) {
          const { status, text, end } = await send(path, model);
          assert.equal(status, 429, `${path} ${model}`);
          assert.ok(end.earliest <= resetsAt + 1 && end.latest >= resetsAt, JSON.stringify(end));
          assert.match(text, /plan is used up for opus models/);
        }
      }
      assert.equal(asked.length, before, 'no request to the model while its family is closed');

      const until = new Date(resetsAt * 1000).toISOString().slice(0, 16);
      const ready = await fetch(`${relay.url}/ready`);
      const { checks } = (await ready.json()) as { checks: { name: string; ok: boolean; detail?: string }[] };
      const plan = checks.find(({ name }) => name === 'plan');
      assert.deepEqual([ready.status, plan?.ok], [200, true], 'the other families are served');
      assert.match(plan?.detail ?? '', new RegExp(`^the plan is used up: opus models until ${until}`));
      const usage = await fetch(`${relay.url}/v1/usage`, {
        headers: { authorization: `Bearer ${relay.key}` },
      });
      const { plan_closed: closed } = (await usage.json()) as {
        plan_closed: { models: string; until: string }[];
      };
      assert.deepEqual(
        closed.map(({ models, until: at }) => [models, at.slice(0, 16)]),
        [['opus', until]],
      );
    });

    test('a used-up plan refuses requests without asking the model, until its reset', async (t) => {
      const limitHeaders = (resetsAt: number): Record<string, string> => ({
        'anthropic-ratelimit-unified-status': 'rejected',
        'anthropic-ratelimit-unified-reset': String(resetsAt),
        'anthropic-ratelimit-unified-representative-claim': 'five_hour',
      });
      let asked = 0;
      let resetsAt = 0;
      let secondsUntil: number | undefined = 20;
      const relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        env: { ANTHROPIC_API_KEY: undefined, CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-stub' },
        settings: { GLOBAL_CONCURRENCY: '1' },
        reply: () => {
          asked += 1;
          if (secondsUntil === undefined) return { kind: 'text', text: 'usable again' };
          resetsAt = Math.ceil(Date.now() / 1000) + secondsUntil;
          return {
            ...(http(429, 'rate_limit_error') as Extract<Reply, { kind: 'error' }>),
            headers: limitHeaders(resetsAt),
          };
        },
      });
      t.after(() => relay.stop());
      const secondsLeft = (): number => resetsAt - Date.now() / 1000;
      /** The wait was computed between the upstream's answer and now. */
      const assertUntilReset = (wait: unknown): void =>
        assert.ok(
          Number(wait) >= secondsLeft() && Number(wait) <= (secondsUntil ?? 0) + 1,
          `${String(wait)} s`,
        );

      const first = await relay.complete({ prompt: 'hi' });
      assert.equal(first.status, 429, JSON.stringify(first.body));
      assert.equal(first.body['limit'], 'plan');
      assertUntilReset(first.body['retry_after']);
      assert.equal(first.headers.get('retry-after'), String(first.body['retry_after']));

      await eventually('the process is gone', () => relay.children().length === 0);
      const askedOnce = asked;
      const second = await relay.complete({ prompt: 'hi' });
      assert.deepEqual([second.status, second.body['limit']], [429, 'plan']);
      const waitS = Number(second.headers.get('retry-after'));
      assertUntilReset(waitS);
      assert.doesNotMatch(second.headers.get('server-timing') ?? '', /spawn|claim|hot/, 'no process');
      assert.equal(asked, askedOnce, 'no request to the model while the plan is known to be used up');
      const ready = await fetch(`${relay.url}/ready`);
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), /the plan is used up: all models until \d{4}-/);

      secondsUntil = undefined;
      // Refused until the reset, and then answered.
      await eventually(
        'the plan is usable again',
        async () => (await relay.complete({ prompt: 'hi' })).body['text'] === 'usable again',
      );
      assert.ok(secondsLeft() <= 0);

      secondsUntil = 7200;
      const long = await relay.complete({ prompt: 'hi' });
      assert.deepEqual([long.status, long.body['limit']], [429, 'plan']);
      assert.equal(long.headers.get('x-should-retry'), 'false');
      assertUntilReset(long.body['retry_after']);
      const refused = await relay.complete({ prompt: 'hi' });
      assert.deepEqual([refused.status, refused.headers.get('x-should-retry')], [429, 'false']);
      assert.match(String(refused.body['message']), /plan/);
    });
  });
}

test('/ready reports a lost login only after a refusal of the login', async (t) => {
  let reply: Reply = other;
  const relay = await startTestRelay({ proof: false, reply: () => reply });
  t.after(() => relay.stop());
  const disabled = http(400, 'invalid_request_error', 'This organization has been disabled.');
  const steps: [Reply, string, boolean][] = [
    [page(403, 'Blocked by Acme Web Filter'), 'upstream_error', true],
    [http(403, 'permission_error'), 'upstream_auth', true],
    [http(400, 'invalid_request_error', 'messages.0: unexpected x-api-key'), 'bad_request', true],
    [disabled, 'upstream_auth', false],
    [page(401, 'Log in to the Acme network'), 'upstream_error', false],
    [other, '', true],
    [http(401, 'authentication_error', 'Invalid bearer token'), 'upstream_auth', false],
  ];
  for (const [next, code, isReady] of steps) {
    reply = next;
    const { body, headers } = await relay.complete({ prompt: 'hi' });
    assert.equal(body['error'] ?? '', code, JSON.stringify(body));
    if (code.startsWith('upstream_')) assert.equal(headers.get('x-should-retry'), 'false');
    const ready = await fetch(`${relay.url}/ready`);
    assert.equal(ready.status, isReady ? 200 : 503, JSON.stringify(body));
  }
});
