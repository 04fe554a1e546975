/** What an organisation's settings do under the lock, and what the CLI asks its vendor's host next to the request to the model. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { dummyLogins } from '../src/claude/lock.ts';
import { compareSent } from '../src/claude/proof/compare-sent.ts';
import { startApiHost, type ApiHost } from './support/api-host.ts';
import { makeOwnerHome, type OwnerHome } from './support/owner-home.ts';
import { clis, eventually, root, startTestRelay, type TestRelay } from './support/relay.ts';
import { startTestRunner } from './support/runner.ts';

const command = { hooks: [{ type: 'command', command: 'true' }] };
const hooks = { SessionStart: [command], UserPromptSubmit: [command], Stop: [command] };
const settingsRequest = 'GET api.anthropic.com/api/claude_code/settings';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

function ownerHome(login: (typeof dummyLogins)[number]): OwnerHome {
  const owner = makeOwnerHome(login);
  open.push(() => owner.remove());
  return owner;
}

async function apiHost(managedSettings?: object): Promise<ApiHost> {
  const host = await startApiHost(managedSettings);
  open.push(() => host.close());
  return host;
}

async function startRelay(options: Parameters<typeof startTestRelay>[0]): Promise<TestRelay> {
  const relay = await startTestRelay(options);
  open.push(() => relay.stop());
  return relay;
}

async function lockDetail(relay: TestRelay): Promise<string> {
  const response = await fetch(`${relay.url}/ready`, { headers: { authorization: `Bearer ${relay.key}` } });
  const { checks } = (await response.json()) as { checks: { name: string; detail?: string }[] };
  return checks.find(({ name }) => name === 'lock_proved')?.detail ?? '';
}

const proofs = (relay: TestRelay): number =>
  relay.output().stdout.split('"msg":"the lock is proved"').length - 1;

for (const cli of clis) {
  test(`a hook of the organisation ends readiness until a restart, on Claude Code ${cli.version}`, async () => {
    const owner = ownerHome('setup-token');
    const host = await apiHost({ hooks });
    const options = { claudeBin: cli.path, home: owner.home, env: { ...owner.env, ...host.env } };
    const relay = await startRelay(options);
    const { status, body } = await relay.complete({ prompt: 'hello' });
    assert.equal(status, 502, JSON.stringify(body));
    assert.match(String(body['message']), /ran a hook/);
    await eventually('no process is left', () => relay.children().length === 0);
    const asked = host.asked.length;
    for (const _again of [1, 2]) {
      const refused = await relay.complete({ prompt: 'hello' });
      assert.equal(refused.status, 503, JSON.stringify(refused.body));
      assert.equal(refused.headers.get('x-should-retry'), 'false');
    }
    assert.match(await lockDetail(relay), /ran a hook \(.+\).+restart the relay$/);
    assert.equal(host.asked.length, asked, 'no process was started again');
    assert.equal(proofs(relay), 1, 'it is not proved in a circle');
    assert.equal(host.model.requests.length, 0, 'the model was not asked');
    await relay.stop();

    // The owner has acted: the organisation runs no hook on this seat any more. Its other settings stay in force.
    // What 2.1.197 kept of the old ones a run of `claude` replaces.
    rmSync(join(owner.home, '.claude/remote-settings.json'), { force: true });
    const without = await apiHost({ env: { HARMLESS: '1' } });
    const again = await startRelay({ ...options, env: { ...options.env, ...without.env } });
    const answer = await again.complete({ prompt: 'hello' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.ok(without.asked.includes(settingsRequest));
  });
}

test('a hook that runs while a spare waits ends readiness before any request', async () => {
  const owner = ownerHome('api-key');
  const relay = await startRelay({
    claudeBin: join(root, 'test/fixtures/cli/hooks-while-waiting.sh'),
    home: owner.home,
    // Another key than the proof's, by which the fixture knows a spare.
    env: { ...owner.env, ANTHROPIC_API_KEY: 'sk-ant-other-stub' },
    settings: { WARM_SPARES: '1' },
  });
  await eventually('the hook is noticed', async () =>
    /ran a hook \(SessionStart/.test(await lockDetail(relay)),
  );
  assert.equal((await relay.complete({ prompt: 'hello' })).status, 503);
  await eventually('no process is left', () => relay.children().length === 0);
  assert.equal(relay.model.requests.length, 0);
  assert.equal(proofs(relay), 1);
});

describe('requests of the CLI to its vendor', () => {
  const documented = new Set(
    [...readFileSync(join(root, 'SECURITY.md'), 'utf8').matchAll(/^\| `((?:GET|POST) \S+)`/gm)].map(
      ([, ask]) => ask,
    ),
  );
  for (const cli of clis) {
    for (const login of dummyLogins) {
      test(`SECURITY.md names all that Claude Code ${cli.version} asks with ${login}`, async () => {
        const owner = ownerHome(login);
        const host = await apiHost();
        const runner = await startTestRunner({
          claudeBin: cli.path,
          home: owner.home,
          env: { ...owner.env, ...host.env },
        });
        open.push(() => runner.close());
        const own = login === 'stored-login' ? 'GET api.anthropic.com/api/oauth/profile' : settingsRequest;
        // 2.1.197 asks next to its request: a quick answer can end the process before.
        host.model.setReply(async () => {
          await eventually(`the control: ${own} is asked`, () => host.asked.includes(own));
          return { kind: 'text', text: 'hello' };
        });
        assert.equal((await runner.ask({})).answer().text, 'hello');
        assert.deepEqual(
          host.asked.filter((ask) => !documented.has(ask)),
          [],
        );
        const [request] = host.model.requests;
        assert.ok(request);
        const system = ['Be brief.'];
        const messages = [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] as const;
        const { lost, added } = compareSent({ system, messages }, system, request);
        // The line for the accounting is longer there than at another host.
        assert.deepEqual({ lost, added }, { lost: [], added: [] });
        // 2.1.300 describes the host in a separate field, in a mode other than the default.
        assert.ok(!request.body.includes(owner.home), 'the home directory is in the request');
      });
    }
  }
});
