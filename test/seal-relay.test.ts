/** A whole relay that is sealed: what it reports, that it answers, and what it leaves behind. As root, and as an ordinary user. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { checkSeal } from '../src/claude/seal/checks.ts';
import { chooseSeal } from '../src/claude/seal/seal.ts';
import { needs, notAsOrdinaryUser, ordinaryUser, runsAll } from './support/needs.ts';
import { newest } from './support/real-cli.ts';
import { eventually, startTestRelay, type TestRelay } from './support/relay.ts';

const skip = needs('/proc/self/ns/net', 'ip', 'unshare', 'nsenter', 'bwrap');
const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const networkOf = (pid: number | string): string => readlinkSync(`/proc/${pid}/ns/net`);
/** What a process has open; nothing once it has gone. */
function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function isCli(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === realpathSync(newest);
  } catch {
    return false;
  }
}

const sealDirectories = ({ scratch }: Pick<TestRelay, 'scratch'>): string[] =>
  readdirSync(scratch).filter((name) => /^relay-\d+-(?:seal|outside)-/.test(name));

describe('a sealed relay', { skip }, () => {
  for (const [who, uid] of [
    ['the user of the test', undefined],
    ['an ordinary user', ordinaryUser],
  ] as const) {
    test(
      `as ${who}, it reports its seal, and answers fresh and hot`,
      { skip: uid !== undefined && notAsOrdinaryUser() },
      async () => {
        const relay = await startTestRelay({
          settings: { SEAL: 'auto', HOT_PROCESSES: '1' },
          ...(uid === undefined ? {} : { uid }),
        });
        open.push(() => relay.stop());
        const ready = (await (await fetch(`${relay.url}/ready`)).json()) as Record<string, unknown>;
        assert.deepEqual(ready['seal'], {
          mode: 'auto',
          network: 'namespace',
          files: 'bwrap',
          missing: [],
        });
        assert.match(relay.output().stderr, /are sealed: network by namespace, files by bwrap\.$/m);
        for (const start of ['spawn', 'hot']) {
          const { status, body } = await relay.complete({ prompt: 'Say hello.' });
          assert.deepEqual([status, body['text']], [200, 'hello'], JSON.stringify(body));
          await eventually(`a record of ${start}`, () =>
            relay.output().stdout.includes(`"start":"${start}"`),
          );
        }
        const [cli] = relay.children();
        assert.notEqual(networkOf(cli ?? assert.fail('no process rests')), networkOf('self'));
      },
    );
  }

  test('a relay that was killed leaves no directory of its seal after the next start and stop', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'seal-relay-'));
    open.push(() => rmSync(scratch, { recursive: true, force: true }));
    mkdirSync(join(scratch, 'home'));
    const options = { scratch, proof: false, until: 'listening', settings: { SEAL: 'auto' } } as const;
    const killed = await startTestRelay(options);
    await killed.stop('SIGKILL');
    assert.equal(sealDirectories(killed).length, 1);
    const next = await startTestRelay({ ...options, key: killed.key });
    const [mine, ...others] = sealDirectories(next);
    assert.match(mine ?? '', new RegExp(`^relay-${next.process.pid}-seal-`));
    assert.deepEqual(others, []);
    await next.stop();
    assert.deepEqual(sealDirectories(next), []);
  });

  test('a seal whose network is gone makes no socket, and says what to do', async () => {
    const home = mkdtempSync(join(tmpdir(), 'seal-relay-'));
    open.push(() => rmSync(home, { recursive: true, force: true }));
    const hostEnv = { HOME: home, PATH: process.env['PATH'], ANTHROPIC_API_KEY: 'sk-ant-stub' };
    const seal = await chooseSeal({ mode: 'required', claudeBin: newest, hostEnv });
    seal.close();
    await assert.rejects(seal.listen(), {
      name: 'SealMissing',
      message: /^No socket can be made in the seal's network: .+\. Start the relay again\.$/,
    });
  });

  test('a directory that the starter of the relay left open reaches no process', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'seal-relay-'));
    open.push(() => rmSync(outside, { recursive: true, force: true }));
    const settings = { SEAL: 'auto', WARM_SPARES: '1' };
    const start = async (proof: boolean): Promise<TestRelay> => {
      const relay = await startTestRelay({ leftOpen: outside, proof, settings });
      open.push(() => relay.stop());
      await eventually('a spare waits', () => relay.children().some(isCli));
      return relay;
    };
    const relay = await start(true);
    const own = relay.process.pid ?? assert.fail();
    assert.deepEqual(
      [own, ...relay.children()].filter((pid) => openFiles(pid).includes(outside)),
      [],
    );
    // Without the proof, the relay is started in another way, which leaves it open: so it would reach them.
    const control = await start(false);
    assert.ok(control.children().some((pid) => isCli(pid) && openFiles(pid).includes(outside)));
  });

  test('many seals and their checks leave no file descriptor and no directory', async () => {
    const home = mkdtempSync(join(tmpdir(), 'seal-relay-'));
    open.push(() => rmSync(home, { recursive: true, force: true }));
    const hostEnv = { HOME: home, PATH: process.env['PATH'], ANTHROPIC_API_KEY: 'sk-ant-stub' };
    const left = (): number[] => [
      readdirSync('/proc/self/fd').length,
      readdirSync(tmpdir()).filter((name) => name.startsWith(`relay-${process.pid}-`)).length,
    ];
    const round = async (): Promise<void> => {
      const seal = await chooseSeal({ mode: 'required', claudeBin: newest, hostEnv });
      const server = await seal.listen();
      const checks = await checkSeal(seal, hostEnv);
      assert.deepEqual(
        checks.filter(({ ok }) => !ok),
        [],
      );
      server?.close();
      seal.close();
    };
    await round();
    const before = left();
    const rounds = runsAll ? 50 : 5;
    for (let count = 0; count < rounds; count += 1) await round();
    assert.deepEqual(left(), before);
  });
});
