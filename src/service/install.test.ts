/** An install on a service manager and a relay that are played. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { loadConfig } from '../config.ts';
import { installLaunchd, uninstallLaunchd } from './launchd.ts';
import type { Ran, RunProgram } from './run-program.ts';
import { setupService, type ServiceSetup } from './setup.ts';
import { installSystemd, unitPath } from './systemd.ts';
import type { UserManager } from './user-manager.ts';

let scratch: string;
let relay: Server;
let port: number;
let said: string[];
before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'install-unit-'));
  relay = createServer((_request, response) => response.end('{"ok":true,"checks":[]}'));
  await once(relay.listen(0, '127.0.0.1'), 'listening');
  port = (relay.address() as AddressInfo).port;
});
after(() => {
  relay.close();
  rmSync(scratch, { recursive: true });
});
let home: string;
beforeEach(() => {
  home = join(scratch, 'home of me');
  mkdirSync(home);
  said = [];
});
afterEach(() => rmSync(home, { recursive: true }));

const say = (line: string): void => void said.push(line);

function setup(env: Record<string, string> = {}, manager: Record<string, string> = {}): ServiceSetup {
  const shell = loadConfig({
    env: { HOME: home, CLAUDE_BIN: process.execPath, PORT: String(port), ...env },
  });
  const inManager = { CLAUDE_BIN: process.execPath, PORT: String(port), ...manager };
  return setupService(join(home, 'none.env'), shell, inManager);
}

const ran = (stdout: string, status = 0): Ran => ({ status, stdout, stderr: '', missing: false });

/** A systemd whose service has this state after a restart. */
function systemd(state: string, { namespaces = true } = {}): { run: RunProgram; calls: string[] } {
  const calls: string[] = [];
  let starts = 0;
  const run: RunProgram = (command, args) => {
    const line = [command, ...args].join(' ');
    calls.push(line);
    if (line.includes(' restart ')) starts += 1;
    if (line.includes(' show '))
      return Promise.resolve(ran(`LoadState=loaded\nInvocationID=${starts}\n${state}`));
    if (command === 'systemd-run') return Promise.resolve(ran('', namespaces ? 0 : 1));
    return Promise.resolve(ran(command === 'journalctl' ? 'the log of the service' : ''));
  };
  return { run, calls };
}

function installOn(run: RunProgram, manager: Partial<UserManager> = {}, env = {}): Promise<void> {
  const its = {
    run,
    environment: {},
    version: 252,
    notLingering: undefined,
    lingerEnabled: false,
    ...manager,
  };
  const path = unitPath({ HOME: home }, 'claude-relay.service');
  return installSystemd({ setup: setup({}, env), waitMs: 0, say }, its, path);
}
const active = 'ActiveState=active\nNRestarts=0\n';
const unit = (): string => readFileSync(unitPath({ HOME: home }, 'claude-relay.service'), 'utf8');

test('the PATH of a service has no directory that fnm makes for one shell', () => {
  const installation = join(home, 'fnm/node-versions/v24/installation');
  mkdirSync(join(installation, 'bin'), { recursive: true });
  for (const name of ['node', 'claude']) symlinkSync(process.execPath, join(installation, 'bin', name));
  const shell = join(home, 'fnm_multishells/1_2');
  mkdirSync(dirname(shell));
  symlinkSync(installation, shell);
  const { environment } = setup({ PATH: `${shell}/bin`, CLAUDE_BIN: `${shell}/bin/claude` }).host;
  assert.equal(environment['PATH']?.split(':')[0], realpathSync(join(installation, 'bin')));
  assert.doesNotMatch(environment['PATH'], /fnm_multishells/);
});

describe('an install on systemd', () => {
  test('enables, then restarts the service, and keeps, then updates its unit', async () => {
    const { run, calls } = systemd(active);
    await installOn(run);
    const verbs = ['daemon-reload', 'enable claude-relay.service', 'restart --no-block'];
    const places = verbs.map((verb) => calls.findIndex((call) => call.includes(verb)));
    assert.ok(!places.includes(-1), calls.join('\n'));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    await installOn(run);
    await installOn(run, {}, { DRAIN_TIMEOUT: '77' });
    assert.deepEqual(
      said.map((line) => line.split(' ')[0]),
      ['Wrote', 'Started', 'Kept', 'Started', 'Wrote', 'Started'],
    );
    assert.match(unit(), /^TimeoutStopSec=107$/m);
  });

  test('remembers over an upgrade that it turned lingering on', async () => {
    const { run } = systemd(active);
    await installOn(run, { lingerEnabled: true });
    assert.match(said.join('\n'), /Turned lingering on/);
    await installOn(run);
    assert.match(unit(), /^Linger=enabled-by-install$/m);
  });

  test('leaves lingering that was on as it was', async () => {
    await installOn(systemd(active).run);
    assert.match(unit(), /^Linger=as-it-was$/m);
    assert.doesNotMatch(said.join('\n'), /lingering/);
  });

  test('warns when the user cannot linger or has no namespaces', async () => {
    await installOn(systemd(active, { namespaces: false }).run, { notLingering: 'Access denied' });
    assert.match(said.join('\n'), /Warning: lingering is off \(Access denied\)/);
    assert.match(said.join('\n'), /Warning: this kernel does not give namespaces to ordinary users/);
    assert.doesNotMatch(unit(), /^(PrivateUsers|ProtectSystem|ReadWritePaths)/m);
    assert.match(unit(), /^SystemCallFilter/m);
  });

  for (const [name, state] of [
    ['exits', 'ActiveState=failed\n'],
    ['keeps restarting', 'ActiveState=activating\nNRestarts=1\n'],
  ] as const) {
    test(`fails with the log when the service ${name}, although another relay answers on its port`, async () => {
      await assert.rejects(installOn(systemd(state).run), /did not start[^]*the log of the service/);
    });
  }

  test('fails when the service is not ready in time', async () => {
    await assert.rejects(
      installOn(systemd('ActiveState=activating\n').run),
      /installed but not ready after 0 s/,
    );
  });
});

describe('the setup of a service', () => {
  test('notes settings and variables that only the shell has', () => {
    const { notices } = setup({ PER_KEY_RPM: '7', AWS_REGION: 'x' });
    assert.equal(notices.length, 2);
    assert.match(notices[0] ?? '', /^PER_KEY_RPM is set in this shell only.* Set it in config\.env/);
    assert.match(notices[1] ?? '', /^AWS_REGION is set in this shell only.* docs\/operations\.md/);
  });

  test('requires a fixed port', () => {
    assert.throws(() => setup({}, { PORT: '0' }), /PORT is 0/);
  });
});

describe('an install on launchd', () => {
  /** A launchd that starts and stops the relay that is played. */
  function launchd(): RunProgram {
    let booted = false;
    return async (_command, [verb, target = '']) => {
      if (verb === 'bootout' && booted) {
        booted = false;
        relay.close();
        relay.closeAllConnections();
      }
      if (verb === 'bootstrap') {
        booted = true;
        await once(relay.listen(port, '127.0.0.1'), 'listening');
      }
      const exists = !target.endsWith('/claude-relay') || booted;
      return ran(booted ? '\tstate = running\n' : '', exists ? 0 : 113);
    };
  }

  test('refuses a port that another program uses, starts, upgrades and uninstalls', async () => {
    const run = launchd();
    const install = (): Promise<void> => installLaunchd({ setup: setup(), waitMs: 0, say }, run);
    await assert.rejects(install(), /Port \d+ is in use by another program/);
    relay.close();
    relay.closeAllConnections();
    await install();
    await install();
    const agent = join(home, 'Library/LaunchAgents/claude-relay.plist');
    assert.ok(existsSync(agent));
    assert.equal(await uninstallLaunchd(run, home, say), true);
    assert.ok(!existsSync(agent));
    assert.deepEqual(
      said.map((line) => line.split(' ')[0]),
      ['Wrote', 'Kept', 'Started', 'Kept', 'Started', 'Stopped'],
    );
  });
});
