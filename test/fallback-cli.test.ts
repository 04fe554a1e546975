/** The fallback with the real Claude Code: whose login asks, and that the CLI itself never asks another model. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startApiHost } from './support/api-host.ts';
import type { Reply, ReplyFunction } from './support/failing-model.ts';
import { makeOwnerHome } from './support/owner-home.ts';
import { clis, startTestRelay, type TestRelay, type TestRelayOptions } from './support/relay.ts';

const failures: Record<string, Reply> = {
  overloaded: { kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' },
  'rate limited': { kind: 'error', status: 429, type: 'rate_limit_error', message: 'Too many requests.' },
  unknown: { kind: 'error', status: 404, type: 'not_found_error', message: 'model: claude-opus-5-5' },
  forbidden: { kind: 'error', status: 403, type: 'permission_error', message: 'model: not allowed' },
  'out of service': { kind: 'error', status: 503, type: 'api_error', message: 'Service unavailable' },
  refused: { kind: 'text', text: '', stopReason: 'refusal' },
};

/** The model fails in a way that the prompt names; any other model than Opus answers. */
const failsAsAsked: ReplyFunction = ({ json, body }) => {
  const [, failure] = Object.entries(failures).find(([name]) => body.includes(`fail: ${name}`)) ?? [];
  return failure !== undefined && json?.model.includes('opus') === true
    ? failure
    : { kind: 'text', text: 'hello' };
};

/** A relay in an organisation whose settings name other models for Opus. */
async function startTempted(t: TestContext, options: TestRelayOptions) {
  const owner = makeOwnerHome('setup-token');
  const host = await startApiHost({ fallbackModel: ['haiku', 'sonnet'] }, { reply: failsAsAsked });
  const relay = await startTestRelay({
    ...options,
    proof: false,
    home: owner.home,
    env: { ...owner.env, ...host.env },
  });
  t.after(async () => {
    await relay.stop();
    await host.close();
    owner.remove();
  });
  const models = (): string[] => host.model.requests.map(({ json }) => json?.model ?? '');
  return { relay, models };
}

for (const cli of clis) {
  describe(`Claude Code ${cli.version} asks no other model`, () => {
    test('however the model fails, again and again, and whatever an organisation sets', async (t) => {
      const { relay, models } = await startTempted(t, { claudeBin: cli.path });
      const often = ['overloaded', 'overloaded', 'overloaded', 'rate limited', 'unknown'];
      for (const failure of [...often, ...Object.keys(failures)]) {
        const before = models().length;
        const { body } = await relay.complete({ prompt: `fail: ${failure}`, model: 'opus' });
        assert.notEqual(body['text'], 'hello', failure);
        assert.ok(models().length > before, `${failure}: the model was asked`);
      }
      assert.deepEqual(
        models().filter((model) => !model.includes('opus')),
        [],
      );
    });

    test('and without this part of the lock it does, which ends the turn with an error', async (t) => {
      const scratch = mkdtempSync(join(tmpdir(), 'unlocked-'));
      t.after(() => rmSync(scratch, { recursive: true, force: true }));
      const unlocked = join(scratch, 'claude');
      const script = `#!/bin/bash
        unset CLAUDE_CODE_NO_MODEL_FALLBACK CLAUDE_CODE_MAX_RETRIES
        exec "${cli.path}" "\${@/#--fallback-model=*/--fallback-model=haiku}"\n`;
      writeFileSync(unlocked, script, { mode: 0o755 });
      const { relay, models } = await startTempted(t, { claudeBin: unlocked });
      const { status, body } = await relay.complete({ prompt: 'fail: overloaded', model: 'opus' });
      assert.ok(
        models().some((model) => model.includes('haiku')),
        models().join(),
      );
      assert.equal(status, 502, JSON.stringify(body));
      assert.match(String(body['message']), /^Another model \(claude-haiku/);
    });
  });

  describe(`the second login on Claude Code ${cli.version}`, () => {
    for (const login of ['setup-token', 'stored-login'] as const) {
      test(`asks instead of the ${login} of the plan, and at no other time`, async (t) => {
        let usedUp = false;
        const owner = makeOwnerHome(login);
        const relay: TestRelay = await startTestRelay({
          claudeBin: cli.path,
          home: owner.home,
          env: { ...owner.env, FALLBACK_ANTHROPIC_API_KEY: secondKey },
          settings: { FALLBACK_USD_DAILY: '5', HOT_PROCESSES: '2', WARM_SPARES: '1', LOG_LEVEL: 'trace' },
          reply: ({ headers }) => (usedUp && headers['x-api-key'] === undefined ? planRefusal() : hello),
        });
        t.after(async () => {
          await relay.stop();
          owner.remove();
        });
        relay.command('claude-relay', 'key', 'set', 'test', '--fallback', 'api');
        const ask = async (from: string | undefined): Promise<void> => {
          const { status, body, headers } = await relay.complete({ prompt: 'hi', model: 'opus' });
          assert.deepEqual(
            [status, body['text'], body['fallback_from']],
            [200, 'hello', from],
            JSON.stringify(body),
          );
          assert.equal(headers.get('x-relay-fallback-from'), from ?? null);
        };
        for (const _hot of [1, 2]) await ask(undefined);
        usedUp = true;
        for (const _hot of [1, 2, 3]) await ask('plan');
        const logins = relay.model.requests.map(
          ({ headers }) => headers['x-api-key'] ?? headers.authorization,
        );
        const plan = login === 'setup-token' ? 'Bearer sk-ant-oat01-stub' : 'Bearer sk-ant-oat01-stored-stub';
        assert.deepEqual(logins, [plan, plan, plan, secondKey, secondKey, secondKey]);
        for (const { headers } of relay.model.requests) {
          assert.ok(headers['x-api-key'] === undefined || headers.authorization === undefined, 'one login');
        }
        const [first, ...others] = relay.model.requests.map(({ json }) => json);
        for (const other of others)
          assert.deepEqual(ofEveryLogin(other), ofEveryLogin(first), 'nothing else differs');
        const { stdout, stderr } = relay.output();
        assert.doesNotMatch(stdout + stderr, /second-stub/);
      });
    }
  });
}

const secondKey = 'sk-ant-api03-second-stub';
const hello: Reply = { kind: 'text', text: 'hello' };

function planRefusal(): Reply {
  return {
    kind: 'error',
    status: 429,
    type: 'rate_limit_error',
    message: "This request would exceed your account's rate limit.",
    headers: {
      'anthropic-ratelimit-unified-status': 'rejected',
      'anthropic-ratelimit-unified-reset': String(Math.ceil(Date.now() / 1000) + 7200),
      'anthropic-ratelimit-unified-representative-claim': 'five_hour',
    },
  };
}

/** A body without what depends on the login or the turn: the account, the CLI's line for the accounting, and the time in the cache. */
function ofEveryLogin(body: object | undefined): unknown {
  const text = JSON.stringify({ ...body, metadata: undefined });
  return JSON.parse(text.replaceAll(/x-anthropic-billing-header:[^"]*|"ttl":"1h",|,"ttl":"1h"/g, ''));
}
