/** The seal with the real CLIs: the way that is chosen, and that every kind of login is answered under it. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { dummyCredentials, dummyLogins, type HostEnv } from '../src/claude/lock.ts';
import { proveLock } from '../src/claude/proof/proof.ts';
import { storedLogin } from '../src/claude/seal/missing.ts';
import { chooseSeal, SealMissing, type Seal } from '../src/claude/seal/seal.ts';
import { renewed, startApiHost } from './support/api-host.ts';
import { runsAll } from './support/needs.ts';
import { makeOwnerHome } from './support/owner-home.ts';
import { clis, newest } from './support/real-cli.ts';
import { startTestRunner } from './support/runner.ts';
import { gateway, pathOf, ways, withStoredLogin } from './support/seal-ways.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const filterWay =
  ways.find(({ expected }) => expected.network === 'filter') ?? assert.fail('no way has a filter');

type Sealed = { seal: Seal; path: string };

async function choose(way: (typeof ways)[number], claudeBin: string, hostEnv: HostEnv): Promise<Sealed> {
  const { path, remove } = pathOf(way);
  open.push(remove);
  const seal = await chooseSeal({ mode: 'auto', claudeBin, hostEnv: { ...hostEnv, PATH: path } });
  open.push(() => seal.close());
  return { seal, path };
}

for (const way of ways) {
  describe(`with the programs for ${way.name}`, { skip: way.skip }, () => {
    for (const { path: claudeBin, version } of clis) {
      // Each CLI finds its files in the same way under each seal: the older one shows it under the first.
      const renews = claudeBin === newest || way === ways[0];
      const renewal = `a stored login that has expired is renewed, and kept, on Claude Code ${version}`;
      if (renews)
        test(renewal, async () => {
          for (const namesDirectory of [true, false]) {
            const host = await startApiHost();
            open.push(() => host.close());
            const owner = makeOwnerHome('stored-login');
            open.push(() => owner.remove());
            const config = join(owner.home, '.claude');
            const file = join(config, '.credentials.json');
            const expired = { claudeAiOauth: { ...dummyCredentials, expiresAt: Date.now() - 60_000 } };
            writeFileSync(file, JSON.stringify(expired));
            writeFileSync(join(config, 'settings.json'), '{}');
            // Without its name, the CLI looks for this one next to the directory.
            if (!namesDirectory) copyFileSync(join(config, '.claude.json'), join(owner.home, '.claude.json'));
            const env = {
              ...owner.env,
              ...(namesDirectory ? {} : { CLAUDE_CONFIG_DIR: undefined }),
              ...host.env,
            };
            const { seal, path } = await choose(way, claudeBin, { HOME: owner.home, ...env });
            const { ask, close } = await startTestRunner({
              claudeBin,
              seal,
              home: owner.home,
              env: { ...env, PATH: path },
            });
            open.push(close);
            // Of several processes that find it expired, the first renews it.
            const asked = await Promise.all([ask({}), ask({}), ask({})]);
            for (const each of asked) assert.equal(each.answer().text, 'hello');
            const { claudeAiOauth: kept } = JSON.parse(readFileSync(file, 'utf8'));
            assert.equal(kept.accessToken, renewed.access_token);
            assert.equal(kept.refreshToken, renewed.refresh_token);
            assert.ok(kept.expiresAt > Date.now());
            assert.equal((await ask({})).answer().text, 'hello');
            const renewals = host.asked.filter((line) => line.endsWith('/v1/oauth/token'));
            assert.equal(renewals.length, 1);
          }
        });

      test(`the lock and the seal are proved on Claude Code ${version}`, async () => {
        const owner = makeOwnerHome('api-key');
        open.push(() => owner.remove());
        const hostEnv = { HOME: owner.home, ANTHROPIC_API_KEY: 'sk-ant-stub', ...gateway };
        const { seal, path } = await choose(way, claudeBin, hostEnv);
        const { proved, checks } = await proveLock({ claudeBin, seal, hostEnv: { ...hostEnv, PATH: path } });
        assert.deepEqual(
          checks.filter(({ ok }) => !ok),
          [],
        );
        assert.ok(proved);
        const names = new Set(checks.map(({ name }) => name));
        assert.equal(names.has('sealed-network'), way.expected.network !== undefined);
        assert.equal(names.has('sealed-files'), way.expected.files !== undefined);
        assert.equal(names.has('sealed-sockets'), way.expected.files === 'bwrap');
      });

      test(`the relay chooses that seal, and Claude Code ${version} answers with each login`, async () => {
        const reported = (each: Seal): boolean =>
          each.missing.some(({ fix }) => fix === storedLogin('add').fix);
        for (const login of dummyLogins) {
          const host = await startApiHost();
          open.push(() => host.close());
          const owner = makeOwnerHome(login);
          open.push(() => owner.remove());
          const env = { ...owner.env, ...host.env, ...(way.expected.network === 'filter' ? gateway : {}) };
          const { seal, path } = await choose(way, claudeBin, { HOME: owner.home, ...env });
          const expected = login === 'stored-login' ? withStoredLogin(way.expected) : way.expected;
          assert.deepEqual({ network: seal.network, files: seal.files }, expected);
          // The directory can be written, and lacks most of what the CLI obeys.
          assert.equal(reported(seal), seal.files !== undefined && login === 'stored-login');
          const { ask, broken, close } = await startTestRunner({
            claudeBin,
            seal,
            home: owner.home,
            env: { ...env, PATH: path },
            hot: 1,
          });
          open.push(close);
          for (const start of ['spawn', 'hot']) {
            const asked = await ask({});
            assert.equal(asked.answer().text, 'hello', login);
            assert.equal(asked.start, start);
          }
          assert.deepEqual(broken, []);
        }
      });
    }
  });
}

test('SEAL=required refuses to start without a full seal, and says what to install', async () => {
  const options = { mode: 'required', claudeBin: newest, hostEnv: { PATH: '/nonexistent' } } as const;
  await assert.rejects(chooseSeal(options), (error: Error) => {
    assert.ok(error instanceof SealMissing);
    assert.match(error.message, /apt install bubblewrap/);
    return true;
  });
});

// The CLI tries for 18 s to reach the vendor for an organisation's settings.
if (runsAll)
  test(
    "SEAL=required uses a filter for the vendor's own API, too, and Claude Code answers",
    { skip: filterWay.skip },
    async () => {
      const host = await startApiHost();
      open.push(() => host.close());
      const owner = makeOwnerHome('setup-token');
      open.push(() => owner.remove());
      const { path, remove } = pathOf(filterWay);
      open.push(remove);
      const env = { ...owner.env, ...host.env, PATH: path };
      const options = { claudeBin: newest, hostEnv: { HOME: owner.home, ...env } };
      const auto = await chooseSeal({ mode: 'auto', ...options });
      open.push(() => auto.close());
      assert.equal(auto.network, undefined);
      assert.match(auto.missing[0]?.problem ?? '', /network namespace/);
      const seal = await chooseSeal({ mode: 'required', ...options });
      open.push(() => seal.close());
      assert.equal(seal.network, 'filter');
      const { ask, close } = await startTestRunner({ claudeBin: newest, seal, home: owner.home, env });
      open.push(close);
      assert.equal((await ask({})).answer().text, 'hello');
    },
  );
