/** `claude-relay expose` with played tunnel tools and a played systemd: each tool missing, not set up, refused and working; and the check of the public URL. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Command } from 'commander';
import { CommandError } from '../src/command-error.ts';
import { tunnelLines } from '../src/commands/doctor/service.ts';
import { addExposeCommand } from '../src/commands/expose.ts';
import { ConfigError, loadConfig } from '../src/config.ts';
import { parseTarget } from '../src/pages/guard/url.ts';
import { publicNames } from '../src/service/public-names.ts';
import { runOnBus } from '../src/service/user-manager.ts';
import { startOwnerRelay, type OwnerRelay } from './support/owner-page.ts';
import { root } from './support/relay.ts';
import { serviceUser, type Said, type ServiceUser } from './support/service.ts';

let user: ServiceUser;
let relay: OwnerRelay;
let edge: Server;
let publicUrl: string;
/** How the server between the internet and the relay behaves. */
let behaviour: 'forwards' | 'hides itself' | 'serves a page' | 'lets everybody in' | 'serves something else' =
  'forwards';
let forwardedFor: string[] = [];

before(async () => {
  relay = await startOwnerRelay({ settings: { TRUST_PROXY: 'loopback' } });
  user = await serviceUser({
    PORT: new URL(relay.url).port,
    DATA_DIR: relay.dataDir,
    NGROK_DOMAIN: 'me.ngrok-free.app',
    TRUST_PROXY: 'loopback',
  });
  for (const tool of ['ngrok', 'tailscale', 'cloudflared']) {
    const script = join(root, 'test/fixtures/service', `${tool}.sh`);
    user.program(tool, `#!/bin/sh\nSTAND_IN_STATE='${user.state}' exec sh '${script}' "$@"\n`);
  }
  // The provider's server: it forwards to the relay while the tunnel is up, and names the caller.
  edge = createServer((incoming, outgoing) => {
    if (behaviour === 'lets everybody in' || behaviour === 'serves something else') {
      const body = behaviour === 'lets everybody in' ? '{"ok":true}' : '<html>hello</html>';
      outgoing.writeHead(200, { 'content-type': 'application/json' }).end(body);
      return;
    }
    const local = isUp() ? readFileSync(join(user.state, 'edge'), 'utf8').trim() : '';
    if (local === '') {
      outgoing.writeHead(404).end('ERR_NGROK_3200');
      return;
    }
    const target = new URL(incoming.url ?? '/', local);
    forwardedFor.push(target.origin);
    const shown = behaviour === 'hides itself' ? {} : { 'x-forwarded-for': '203.0.113.9' };
    if (behaviour === 'serves a page' && target.pathname === '/owner.js') {
      outgoing.writeHead(200).end();
      return;
    }
    const headers = { ...incoming.headers, host: target.host, ...shown };
    const call = request(target, { method: incoming.method ?? 'GET', headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    call.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(call);
  }).listen(0, '127.0.0.1');
  await once(edge, 'listening');
  publicUrl = `http://127.0.0.1:${(edge.address() as AddressInfo).port}`;
});
after(async () => {
  edge.close();
  await relay.stop();
  await user.close();
});

const facts = [
  'ngrok-no-config',
  'ngrok-no-token',
  'ngrok-taken',
  'ngrok-foreign',
  'ts-no-daemon',
  'ts-logged-out',
  'ts-no-funnel',
  'ts-not-operator',
  'ts-other',
  'cf-no-login',
  'cf-record',
  'cf-elsewhere',
  'cf-tunnel',
  'no-bus',
];
afterEach(async () => {
  for (const fact of facts) user.let(fact, false);
  rmSync(join(user.home, '.cloudflared'), { recursive: true, force: true });
  behaviour = 'forwards';
  forwardedFor = [];
  for (const tool of ['ngrok', 'cloudflared']) {
    if (existsSync(user.unit(`claude-relay-${tool}.service`))) await expose(tool, ['--off']);
  }
  rmSync(join(user.state, 'edge'), { force: true });
});

/** Runs the command in this process. */
async function expose(
  tool: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
  file = user.configFile,
): Promise<Said> {
  let stderr = '';
  const program = new Command().exitOverride();
  addExposeCommand(program, {
    configFile: () => file,
    env: { ...user.env, ...env },
    terminal: { out: () => {}, err: (text) => void (stderr += text), gone: () => false },
  });
  try {
    await program.parseAsync(['expose', tool, ...args], { from: 'user' });
    return { status: 0, stdout: '', stderr };
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof ConfigError)) throw error;
    return { status: 1, stdout: '', stderr: stderr + error.message };
  }
}
const here = (): string[] => ['--url', publicUrl, '--wait', '60'];
const isUp = (): boolean => existsSync(join(user.state, 'edge'));
const withoutTools = { PATH: '/usr/bin:/bin' };
const hostname = ['--hostname', 'relay.example.com'];

type Case = [
  name: string,
  tool: string,
  fact: string | undefined,
  args: string[],
  message: RegExp,
  env?: Record<string, string>,
];
const cases: Case[] = [
  [
    'ngrok is not installed',
    'ngrok',
    undefined,
    [],
    /ngrok is not installed: .* https:\/\/ngrok\.com\/download/,
    withoutTools,
  ],
  [
    'ngrok has no configuration',
    'ngrok',
    'ngrok-no-config',
    [],
    /ngrok is not set up .*ngrok config add-authtoken/,
  ],
  [
    'ngrok has no authtoken',
    'ngrok',
    'ngrok-no-token',
    [],
    /ngrok is not set up .*ngrok config add-authtoken/,
  ],
  [
    'another agent serves the ngrok domain',
    'ngrok',
    'ngrok-taken',
    [],
    /The tunnel was removed\.\n[^]*ERR_NGROK_334/,
  ],
  [
    'the ngrok domain belongs to another account',
    'ngrok',
    'ngrok-foreign',
    [],
    /The tunnel was removed\.\n[^]*ERR_NGROK_320/,
  ],
  ['tailscale is not installed', 'tailscale', undefined, [], /tailscale is not installed/, withoutTools],
  ['tailscaled does not run', 'tailscale', 'ts-no-daemon', [], /tailscaled is not running/],
  [
    'tailscale is not logged in',
    'tailscale',
    'ts-logged-out',
    [],
    /not connected \(NeedsLogin\): sudo tailscale up/,
  ],
  [
    'Funnel is not allowed',
    'tailscale',
    'ts-no-funnel',
    [],
    /Funnel is not turned on[^]*https:\/\/login\.tailscale\.com\/f\/funnel\?node=/,
  ],
  [
    'the user cannot change what tailscaled serves',
    'tailscale',
    'ts-not-operator',
    [],
    /sudo tailscale set --operator=\$USER/,
  ],
  [
    'tailscaled uses the port for another program',
    'tailscale',
    'ts-other',
    [],
    /serves http:\/\/127\.0\.0\.1:3000 on port 443 already.*--https-port 8443 or 10000/,
  ],
  [
    'cloudflared is not installed',
    'cloudflared',
    undefined,
    hostname,
    /cloudflared is not installed/,
    withoutTools,
  ],
  ['cloudflared gets no public name', 'cloudflared', undefined, [], /Give the public name.*--hostname/],
  [
    'cloudflared gets an invalid name',
    'cloudflared',
    undefined,
    ['--hostname', 'https://x'],
    /Give the public name.*--hostname/,
  ],
  [
    'cloudflared is not logged in',
    'cloudflared',
    'cf-no-login',
    hostname,
    /cloudflared is not logged in\. Run cloudflared tunnel login/,
  ],
  [
    'the name has another DNS record',
    'cloudflared',
    'cf-record',
    hostname,
    /record with that host already exists/,
  ],
  [
    'the tunnel was created on another machine',
    'cloudflared',
    'cf-elsewhere',
    hostname,
    /created on another machine/,
  ],
];

describe('expose reports what blocks it, and exposes nothing', () => {
  for (const [name, tool, fact, args, message, env] of cases) {
    test(name, async () => {
      if (fact !== undefined) user.let(fact);
      const { status, stderr } = await expose(tool, [...args, '--url', publicUrl, '--wait', '0'], env);
      assert.equal(status, 1, stderr);
      assert.match(stderr, message);
      assert.ok(!isUp());
      assert.ok(!existsSync(user.unit(`claude-relay-${tool}.service`)));
    });
  }
});

describe('expose gives the relay a public URL', () => {
  for (const [tool, args, own] of [
    ['ngrok', [], 'https://me.ngrok-free.app'],
    ['tailscale', [], 'https://box.tail0000.ts.net'],
    ['cloudflared', hostname, 'https://relay.example.com'],
  ] as const) {
    test(`${tool} --dry-run prints the steps and exposes nothing`, async () => {
      const { status, stderr } = await expose(tool, [...args, '--dry-run']);
      assert.equal(status, 0, stderr);
      assert.match(stderr, /would (run|write)/);
      assert.ok(
        stderr.includes(`Nothing was exposed. Without --dry-run the public URL would be ${own}\n`),
        stderr,
      );
      assert.ok(!isUp() && !existsSync(join(user.state, 'cf-tunnel')));
      assert.ok(!existsSync(user.unit(`claude-relay-${tool}.service`)));
    });

    test(`${tool} is started, checked, started again and removed`, async () => {
      for (const round of ['first', 'again']) {
        const { status, stderr } = await expose(tool, [...args, ...here()]);
        assert.equal(status, 0, `${round}: ${stderr}`);
        assert.ok(stderr.includes(`ok   ${publicUrl} leads to the relay, which requires a key`), stderr);
        assert.match(stderr, new RegExp(`to remove it: bin/claude-relay expose ${tool} --off`));
        assert.ok(isUp());
        assert.ok(forwardedFor.includes(relay.url), 'the tunnel leads to the relay');
      }
      const config = loadConfig({ env: user.env, file: user.configFile });
      const [line] = await tunnelLines(config, runOnBus(config.hostEnv));
      assert.equal(line?.state, 'ok');
      assert.notEqual(line.detail, 'none', 'the doctor reports the tunnel');
      const names = publicNames(config);
      const rules = { ports: [443], selfNames: names, denied: () => false };
      assert.throws(() => parseTarget(own, rules), { code: 'blocked_hostname' }, 'no page fetch goes there');
      const unit = user.unit(`claude-relay-${tool}.service`);
      assert.equal(existsSync(unit), tool !== 'tailscale');
      assert.equal((await expose(tool, ['--off'])).status, 0);
      assert.ok(!isUp());
      assert.ok(!existsSync(unit));
    });
  }

  test('expose prints the command for a terminal when the user has no systemd', async () => {
    user.let('no-bus');
    const { status, stderr } = await expose('ngrok', here());
    assert.equal(status, 1);
    assert.ok(stderr.includes(`ngrok http --url=https://me.ngrok-free.app ${relay.url}`), stderr);
    assert.ok(!isUp());
  });
});

describe('expose checks the public URL', () => {
  test('a URL that answers a stranger makes expose remove the tunnel', async () => {
    behaviour = 'lets everybody in';
    const { status, stderr } = await expose('ngrok', here());
    assert.equal(status, 1);
    assert.match(stderr, /is open: \/v1\/models answers 200 to a stranger\.\nThe tunnel was removed\./);
    assert.ok(!isUp());
  });

  test("a URL that leads to the owner's page, or to a part of it, is open", async () => {
    const check = () => expose('check', ['--url', publicUrl, '--wait', '0']);
    for (const way of ['forwards', 'hides itself'] as const) {
      behaviour = way;
      writeFileSync(join(user.state, 'edge'), `http://127.0.0.1:${relay.port}`);
      const { status, stderr } = await check();
      assert.equal(status, 1);
      assert.match(stderr, /is open: it leads to the owner's page: give the tunnel PORT, not ADMIN_PORT\./);
    }
    behaviour = 'serves a page';
    writeFileSync(join(user.state, 'edge'), relay.url);
    const { status, stderr } = await check();
    assert.equal(status, 1);
    assert.match(stderr, /is open: \/owner\.js of the owner's page: status 200 instead of 404\./);
  });

  test('a URL of another server is reported', async () => {
    behaviour = 'serves something else';
    const { status, stderr } = await expose('check', ['--url', publicUrl, '--wait', '0']);
    assert.equal(status, 1);
    assert.match(stderr, /does not reach the relay: \/health: status 200/);
  });

  test('expose check warns about a proxy that hides the caller', async () => {
    writeFileSync(join(user.state, 'edge'), relay.url);
    const { status, stderr } = await expose('check', ['--url', publicUrl]);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /requires a key/);
    assert.doesNotMatch(stderr, /shows its details/);
    behaviour = 'hides itself';
    const hidden = await expose('check', ['--url', publicUrl]);
    assert.equal(hidden.status, 0, hidden.stderr);
    assert.match(hidden.stderr, /Warning: .*\/ready shows its details to strangers/);
  });
});

describe('expose before it starts a tunnel', () => {
  test('warns of limits that are off and a proxy that is not trusted', async () => {
    const file = join(user.state, '../careless.env');
    writeFileSync(
      file,
      `PORT=${new URL(relay.url).port}\nGLOBAL_DAILY=0\nPER_KEY_RPM=0\nDATA_DIR=${join(user.state, 'empty')}\n`,
    );
    const { stderr } = await expose('tailscale', ['--dry-run'], {}, file);
    assert.ok(!existsSync(join(user.state, 'empty')), 'it creates no database');
    for (const part of ['limits are off', 'PER_KEY_RPM, GLOBAL_DAILY', 'TRUST_PROXY=loopback'])
      assert.ok(stderr.includes(part), part);
    const careful = await expose('tailscale', ['--dry-run']);
    assert.doesNotMatch(careful.stderr, /Warning/);
  });

  test('removes a tunnel although the settings are not valid', async () => {
    assert.equal((await expose('cloudflared', [...hostname, ...here()])).status, 0);
    const file = join(user.state, '../wrong.env');
    writeFileSync(file, 'PORT=none\n');
    const off = await expose('cloudflared', ['--off'], {}, file);
    assert.equal(off.status, 0, off.stderr);
    assert.ok(!isUp());
    assert.ok(!existsSync(join(user.home, '.config/claude-relay')));
  });

  test('reports a relay that does not run', async () => {
    const file = join(user.state, '../elsewhere.env');
    writeFileSync(file, `PORT=1\nDATA_DIR=${relay.dataDir}\n`);
    const { status, stderr } = await expose('ngrok', [], {}, file);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /does not answer on http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)\. Start the relay first: \.\/install\.sh/,
    );
  });

  test('reports an NGROK_DOMAIN that is missing or not valid', async () => {
    for (const [domain, message] of [
      ['', /NGROK_DOMAIN is not set.*config\.env/],
      ['https://x.y', /NGROK_DOMAIN must be a host name/],
    ] as const) {
      const { status, stderr } = await expose('ngrok', ['--dry-run'], { NGROK_DOMAIN: domain });
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });
});
