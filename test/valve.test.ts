/** The valve with the real CLIs over TLS: they reach their API under its own name, through the valve and the proxy of the host. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { startApiHost, type ApiHost } from './support/api-host.ts';
import { makeOwnerHome } from './support/owner-home.ts';
import { clis, eventually } from './support/relay.ts';
import { startTestRunner, type TestRunner } from './support/runner.ts';
import type { DummyLogin } from '../src/claude/lock.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

type Options = Partial<Parameters<typeof startTestRunner>[0]> & { login: DummyLogin; claudeBin: string };

async function startOn(host: ApiHost, { login, ...options }: Options): Promise<TestRunner> {
  open.push(() => host.close());
  const owner = makeOwnerHome(login);
  open.push(() => owner.remove());
  const runner = await startTestRunner({
    ...options,
    home: owner.home,
    env: { ...owner.env, ...host.env },
  });
  open.push(() => runner.close());
  return runner;
}

for (const { path: claudeBin, version } of clis) {
  for (const login of ['stored-login', 'api-key'] as const) {
    test(`20 requests use one process and one connection, on Claude Code ${version} with ${login}`, async () => {
      const host = await startApiHost({ env: { HARMLESS: '1' } });
      const { ask, broken } = await startOn(host, { claudeBin, login, hot: 3 });
      const starts: string[] = [];
      for (let count = 0; count < 20; count += 1) {
        const asked = await ask({});
        assert.equal(asked.answer().text, 'hello');
        starts.push(asked.start);
      }
      assert.deepEqual(starts, ['spawn', ...Array.from({ length: 19 }, () => 'hot')]);
      assert.equal(host.model.requests.length, 20);
      assert.equal(host.messageSockets.size, 1);
      const own = login === 'stored-login' ? 'oauth/profile' : 'claude_code/settings';
      const sideRequest = `GET api.anthropic.com/api/${own}`;
      assert.ok(host.asked.includes(sideRequest), `${sideRequest} in ${host.asked.join()}`);
      assert.deepEqual(broken, []);
    });
  }

  test(`slow settings of the organisation arrive while a spare warms up, on Claude Code ${version}`, async () => {
    // Shows that they are in force: the CLI reports the hook with the first prompt.
    const hooks = { UserPromptSubmit: [{ hooks: [{ type: 'command', command: 'true' }] }] };
    const host = await startApiHost({ hooks }, { settingsDelayMs: 1500 });
    const { runner, ask, broken } = await startOn(host, { claudeBin, login: 'setup-token', spares: 1 });
    runner.reconcile();
    await eventually('the spare is warm', () => runner.spares().warm === 1);
    await eventually('the settings are sent', () => host.settingsSent() > 0);
    assert.equal(host.model.requests.length, 0);
    const { start } = await ask({});
    assert.equal(start, 'claim');
    assert.match(broken.join(), /UserPromptSubmit/);
  });

  test(`an answer that breaks off over TLS ends the turn before its time limit, on Claude Code ${version}`, async () => {
    const host = await startApiHost(undefined, { reply: () => ({ kind: 'drop', after: 'text' }) });
    const { ask } = await startOn(host, { claudeBin, login: 'api-key', hot: 1 });
    const { error } = await ask({});
    assert.match(error().message, /connection to the model was lost/);
    assert.equal(host.model.requests.length, 1);
  });
}
