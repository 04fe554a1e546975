/** The seal with the real CLIs: the way that is chosen, and that every kind of login is answered under it. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { dummyLogins, type HostEnv } from '../src/claude/lock.ts';
import { proveLock } from '../src/claude/proof/proof.ts';
import { chooseSeal, SealMissing, type Seal } from '../src/claude/seal/seal.ts';
import { startApiHost } from './support/api-host.ts';
import { makeOwnerHome } from './support/owner-home.ts';
import { clis, newest } from './support/real-cli.ts';
import { startTestRunner } from './support/runner.ts';
import { pathOf, ways } from './support/seal-ways.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

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
      test(`the lock and the seal are proved on Claude Code ${version}`, async () => {
        const hostEnv = { HOME: '/nonexistent', ANTHROPIC_API_KEY: 'sk-ant-stub' };
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
        for (const login of dummyLogins) {
          const host = await startApiHost();
          open.push(() => host.close());
          const owner = makeOwnerHome(login);
          open.push(() => owner.remove());
          const env = { ...owner.env, ...host.env };
          const { seal, path } = await choose(way, claudeBin, { HOME: owner.home, ...env });
          assert.deepEqual({ network: seal.network, files: seal.files }, way.expected, seal.missing.join());
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
