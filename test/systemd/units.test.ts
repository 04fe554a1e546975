/** The unit files and the property list, read by `systemd-analyze` and Python's plistlib. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { relayAgent } from '../../src/service/launchd.ts';
import { relayUnit, type Host } from '../../src/service/relay-unit.ts';
import type { Unit } from '../../src/service/state.ts';
import { commandWord } from '../../src/service/template.ts';
import { tunnelUnit } from '../../src/service/tunnel-service.ts';
import { needs } from '../support/needs.ts';
import { root } from '../support/relay.ts';

const skip = needs('systemd-analyze');

let scratch: string;
let host: Host;
const settings = { HOME: '/home/me', DATA_DIR: '/home/me/my data' };
const config = loadConfig({ env: settings });
const unsealed = loadConfig({ env: { ...settings, SEAL: 'off' } });
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'units-test-'));
  host = {
    root,
    file: '/home/me/100% "mine"/$HOME/config.env',
    home: '/home/me',
    environment: { PATH: '/home/me/my bin:/usr/bin', NODE_COMPILE_CACHE: '/home/me/.cache/claude-relay' },
    cacheDir: '/home/me/.cache/claude-relay',
  };
});
after(() => rmSync(scratch, { recursive: true }));

const relay = (version: number, namespaces: boolean, its = config): string =>
  relayUnit(
    { config: its, host },
    {
      version,
      environment: { XDG_RUNTIME_DIR: '/run/user/1000' },
      namespaces,
      lingerEnabled: false,
    },
  );
const tunnel = (unit: Unit, values: Record<string, string>): string =>
  tunnelUnit({ unit, values }, config, ['/home/me/claude-relay/config.env'], true);
const word = commandWord('/bin/true');

const units: Record<string, () => string> = {
  // `OpenFile=` is of 253; an older analyzer takes it for a mistake.
  'claude-relay.service': () => relay(252, true),
  'claude-relay-ngrok.service': () =>
    tunnel('claude-relay-ngrok.service', { ngrok: word, public_url: word, local: word }),
  'claude-relay-cloudflared.service': () =>
    tunnel('claude-relay-cloudflared.service', { cloudflared: word, settings: word }),
};

function analyze(...args: string[]): { status: number | null; text: string } {
  const runtime = join(scratch, 'runtime');
  mkdirSync(runtime, { recursive: true, mode: 0o700 });
  const env = { ...process.env, HOME: scratch, XDG_RUNTIME_DIR: runtime };
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8', env });
  return { status, text: stdout + stderr };
}

describe('systemd', { skip }, () => {
  for (const [name, text] of Object.entries(units)) {
    test(`${name} passes systemd-analyze verify`, () => {
      const file = join(scratch, name);
      writeFileSync(file, text());
      const { status, text: said } = analyze('verify', '--user', '--man=no', file);
      // What else it says is about units of this machine.
      assert.deepEqual(
        said.split('\n').filter((line) => line.includes('claude-relay')),
        [],
      );
      assert.equal(status, 0, said);
      // The control: it does see one.
      writeFileSync(file, text().replace(/^KillMode=.*|^Restart=.*/m, 'Restart=perhaps'));
      assert.match(analyze('verify', '--user', '--man=no', file).text, /perhaps/);
      rmSync(file);
    });
  }

  test('docs/operations.md reports the exposure level of each unit', () => {
    const document = readFileSync(join(root, 'docs/operations.md'), 'utf8');
    const all: Record<string, () => string> = {
      ...units,
      'claude-relay.service with SEAL=off': () => relay(252, true, unsealed),
      'claude-relay.service without namespaces': () => relay(252, false),
    };
    for (const [name, text] of Object.entries(all)) {
      const file = join(scratch, name.split(' ')[0] ?? '');
      writeFileSync(file, text());
      const { text: said } = analyze('security', '--user', '--offline=true', '--no-pager', file);
      const level = /Overall exposure level for .*: ([\d.]+)/.exec(said)?.[1];
      assert.ok(level !== undefined, said);
      const told = document
        .split('\n')
        .find((line) => line.startsWith(`| ${name.replace('.service', '.service`').replace(/^/, '`')} `));
      // What a directive weighs differs a little between versions of the tool.
      const difference = Math.abs(Number(told?.split('|')[2]) - Number(level));
      assert.ok(difference <= 0.5, `${name}: ${level}, and the document says: ${told}`);
    }
  });
});

test('a unit is valid for a checkout with special characters in its path', { skip }, () => {
  for (const name of [
    'a b',
    '50%% off',
    '$HOME',
    '${HOME}',
    "o'brien",
    'a "b"',
    'back\\slash',
    'ünï 日本',
    ';#*(~',
  ]) {
    const checkout = join(scratch, name);
    mkdirSync(join(checkout, 'bin'), { recursive: true });
    writeFileSync(join(checkout, 'bin/claude-relay'), '', { mode: 0o755 });
    const file = join(scratch, 'claude-relay.service');
    const systemd = { version: 252, environment: {}, namespaces: true, lingerEnabled: false };
    writeFileSync(file, relayUnit({ config, host: { ...host, root: checkout } }, systemd));
    const { status, text: said } = analyze('verify', '--user', '--man=no', file);
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /claude-relay/);
  }
});

test('a unit quotes paths with spaces, quotes, % and $', () => {
  const text = relay(252, true);
  assert.match(text, /--config "\/home\/me\/100%% \\"mine\\"\/\$\$HOME\/config\.env" serve$/m);
  assert.match(
    text,
    /^ReadWritePaths="\/home\/me\/my data" "\/home\/me\/\.cache\/claude-relay" "-\/home\/me\/\.claude"$/m,
  );
  assert.throws(() => commandWord('/a\nExecStart=/bin/evil'), /cannot hold/);
});

test('the unit opens the manager’s socket from systemd 253 on', () => {
  assert.match(relay(253, true), /^NotifyAccess=main\nOpenFile=\/run\/user\/1000\/systemd\/notify:notify$/m);
  assert.match(relay(252, true), /^NotifyAccess=all\n#.*\nExecStartPre=/m);
});

test('the unit’s stop time exceeds the drain, and its bounds follow the settings', () => {
  const large = loadConfig({
    env: { HOME: '/home/me', DRAIN_TIMEOUT: '600', GLOBAL_CONCURRENCY: '20', WARM_SPARES: '4' },
  });
  const unit = (its: typeof config): string =>
    relayUnit(
      { config: its, host },
      {
        version: 252,
        environment: {},
        namespaces: true,
        lingerEnabled: false,
      },
    );
  const number = (its: typeof config, name: string): number =>
    Number(new RegExp(`^${name}=(\\d+)`, 'm').exec(unit(its))?.[1]);
  for (const its of [config, large])
    assert.ok(number(its, 'TimeoutStopSec') >= its.drainTimeoutMs / 1000 + 20);
  for (const name of ['MemoryMax', 'TasksMax'])
    assert.ok(number(large, name) > number(config, name) * 2, name);
});

test('the unit without namespaces lacks only the directives that need them', () => {
  const names = (text: string): string[] => [...text.matchAll(/^(\w+)=/gm)].map(([, name = '']) => name);
  const [whole, less] = [names(relay(252, true, unsealed)), names(relay(252, false))];
  assert.deepEqual(
    less,
    whole.filter((name) => less.includes(name)),
  );
  assert.deepEqual(
    whole.filter((name) => !less.includes(name)),
    'PrivateUsers CapabilityBoundingSet ProtectSystem ProtectHome ReadWritePaths InaccessiblePaths PrivateTmp PrivateDevices ProtectClock ProtectKernelModules ProtectControlGroups ProtectHostname ProtectKernelTunables ProtectKernelLogs'.split(
      ' ',
    ),
  );
});

test('a tunnel’s unit hides the keys, the settings and the login', () => {
  const hidden = /^InaccessiblePaths=(.*)$/m.exec(units['claude-relay-ngrok.service']?.() ?? '')?.[1] ?? '';
  for (const path of [
    '/home/me/my data',
    '/home/me/claude-relay/config.env',
    '/home/me/.claude',
    '/home/me/.ssh',
  ]) {
    assert.ok(hidden.includes(`"-${path}"`), path);
  }
});

test(
  'the property list starts the relay at login and restarts it after a failure',
  { skip: needs('python3') },
  () => {
    const file = join(scratch, 'claude-relay.plist');
    const odd = { ...host, root: '/Users/me/<b> & "c"', file: '/Users/me/config.env' };
    writeFileSync(file, relayAgent({ config, host: odd }));
    const script = 'import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))';
    const agent: unknown = JSON.parse(execFileSync('python3', ['-c', script, file], { encoding: 'utf8' }));
    assert.deepEqual(agent, {
      Label: 'claude-relay',
      ProgramArguments: ['/Users/me/<b> & "c"/bin/claude-relay', '--config', '/Users/me/config.env', 'serve'],
      EnvironmentVariables: host.environment,
      RunAtLoad: true,
      KeepAlive: { SuccessfulExit: false },
      ThrottleInterval: 10,
      ExitTimeOut: 50,
      Umask: 0o077,
      StandardOutPath: '/home/me/Library/Logs/claude-relay.log',
      StandardErrorPath: '/home/me/Library/Logs/claude-relay.log',
    });
  },
);

test('the unit allows the namespaces and calls of the seal only where there is one', () => {
  const seals = /^RestrictNamespaces=user net mnt pid ipc uts cgroup$|^SystemCallFilter=capset mount /gm;
  const blocks = /^(?:Protect(?:Hostname|KernelTunables|KernelLogs)|RestrictSUIDSGID)=yes$/gm;
  const count = (text: string): number[] => [seals, blocks].map((lines) => text.match(lines)?.length ?? 0);
  assert.deepEqual(count(relay(252, true)), [2, 0]);
  assert.deepEqual(count(relay(252, true, unsealed)), [0, 4]);
  assert.deepEqual(count(relay(252, false)), [0, 1]);
});
