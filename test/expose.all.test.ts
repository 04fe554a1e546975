/** `claude-relay expose`: each tunnel tool as it behaves when it is missing, not set up, refused, or fine; and what is checked of the public URL. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { loadConfig } from '../src/config.ts';
import { parseTarget } from '../src/pages/guard/url.ts';
import { publicNames } from '../src/service/public-names.ts';
import { root, startTestRelay, type TestRelay } from './support/relay.ts';
import { serviceUser, type Said, type ServiceUser } from './support/service.ts';

let user: ServiceUser;
let relay: TestRelay;
let edge: Server;
let publicUrl: string;
/** What stands between the internet and the relay. */
let behaviour: 'forwards' | 'hides itself' | 'lets everybody in' | 'serves something else' = 'forwards';
let forwardedFor: string[] = [];

before(async () => {
  user = await serviceUser({ NGROK_DOMAIN: 'me.ngrok-free.app', TRUST_PROXY: 'loopback' });
  relay = await startTestRelay({
    until: 'listening',
    settings: { PORT: String(user.port), DATA_DIR: user.dataDir },
  });
  for (const tool of ['ngrok', 'tailscale', 'cloudflared']) {
    const script = join(root, 'test/fixtures/service', `${tool}.sh`);
    user.program(tool, `#!/bin/sh\nSTAND_IN_STATE='${user.state}' exec sh '${script}' "$@"\n`);
  }
  // The provider's edge: it reaches the relay while the tunnel is up, and says who asked.
  edge = createServer((incoming, outgoing) => {
    if (behaviour !== 'forwards' && behaviour !== 'hides itself') {
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

function expose(
  tool: string,
  args: readonly string[] = [],
  env: Record<string, string | undefined> = {},
): Promise<Said> {
  return user.run('bin/claude-relay', ['--config', user.configFile, 'expose', tool, ...args], env);
}
const here = (): string[] => ['--url', publicUrl, '--wait', '20'];
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
    'ngrok: not installed',
    'ngrok',
    undefined,
    [],
    /ngrok is not installed: .* https:\/\/ngrok\.com\/download/,
    withoutTools,
  ],
  [
    'ngrok: no configuration',
    'ngrok',
    'ngrok-no-config',
    [],
    /ngrok is not set up .*ngrok config add-authtoken/,
  ],
  [
    'ngrok: not authenticated',
    'ngrok',
    'ngrok-no-token',
    [],
    /ngrok is not set up .*ngrok config add-authtoken/,
  ],
  [
    'ngrok: served elsewhere',
    'ngrok',
    'ngrok-taken',
    [],
    /taken away again\.\nAnother agent serves this domain already[^]*ERR_NGROK_334/,
  ],
  [
    'ngrok: somebody else’s domain',
    'ngrok',
    'ngrok-foreign',
    [],
    /reserved for another account[^]*ERR_NGROK_320/,
  ],
  ['tailscale: not installed', 'tailscale', undefined, [], /tailscale is not installed/, withoutTools],
  ['tailscale: no daemon', 'tailscale', 'ts-no-daemon', [], /tailscaled is not running/],
  [
    'tailscale: not authenticated',
    'tailscale',
    'ts-logged-out',
    [],
    /not connected \(NeedsLogin\): log in with `sudo tailscale up`/,
  ],
  [
    'tailscale: Funnel not allowed',
    'tailscale',
    'ts-no-funnel',
    [],
    /Funnel is not turned on[^]*https:\/\/login\.tailscale\.com\/f\/funnel\?node=/,
  ],
  ['tailscale: not the operator', 'tailscale', 'ts-not-operator', [], /sudo tailscale set --operator=\$USER/],
  [
    'tailscale: the port is in use',
    'tailscale',
    'ts-other',
    [],
    /serves http:\/\/127\.0\.0\.1:3000 on port 443 already.*--https-port 8443 or 10000/,
  ],
  [
    'cloudflared: not installed',
    'cloudflared',
    undefined,
    hostname,
    /cloudflared is not installed/,
    withoutTools,
  ],
  ['cloudflared: no name', 'cloudflared', undefined, [], /Give the public name.*--hostname/],
  [
    'cloudflared: not a name',
    'cloudflared',
    undefined,
    ['--hostname', 'https://x'],
    /--hostname must be a host name/,
  ],
  [
    'cloudflared: not authenticated',
    'cloudflared',
    'cf-no-login',
    hostname,
    /cloudflared is not logged in: cloudflared tunnel login/,
  ],
  ['cloudflared: the name is taken', 'cloudflared', 'cf-record', hostname, /has a DNS record already/],
  ['cloudflared: made elsewhere', 'cloudflared', 'cf-elsewhere', hostname, /made on another machine/],
];

describe('what is in the way is said, and nothing is exposed', () => {
  for (const [name, tool, fact, args, message, env] of cases) {
    test(name, async () => {
      if (fact !== undefined) user.let(fact);
      // A wait that is over at once where the tunnel never comes.
      const { status, stderr } = await expose(tool, [...args, '--url', publicUrl, '--wait', '3'], env);
      assert.equal(status, 1, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace');
      assert.ok(!isUp());
      assert.ok(!existsSync(user.unit(`claude-relay-${tool}.service`)));
    });
  }
});

describe('fine', () => {
  for (const [tool, args, own] of [
    ['ngrok', [], 'https://me.ngrok-free.app'],
    ['tailscale', [], 'https://box.tail0000.ts.net'],
    ['cloudflared', hostname, 'https://relay.example.com'],
  ] as const) {
    test(`${tool}: --dry-run says what would be done, and exposes nothing`, async () => {
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

    test(`${tool}: up, checked, up again, off`, async () => {
      for (const round of ['first', 'again']) {
        const { status, stderr } = await expose(tool, [...args, ...here()]);
        assert.equal(status, 0, `${round}: ${stderr}`);
        assert.ok(
          stderr.includes(`ok   ${publicUrl}/health answers, and without a valid key it is 401`),
          stderr,
        );
        assert.match(stderr, new RegExp(`to take it away again: bin/claude-relay expose ${tool} --off`));
        assert.ok(isUp());
        assert.ok(forwardedFor.includes(user.url), 'the tunnel leads to the relay');
      }
      const { stdout } = await user.run('bin/claude-relay', ['--config', user.configFile, 'doctor']);
      assert.match(stdout, /^ok {3}tunnel: (?!none)/m, 'the doctor sees it');
      const names = publicNames(loadConfig({ env: { HOME: user.home }, file: user.configFile }));
      const rules = { ports: [443], selfNames: names, denied: () => false };
      assert.throws(() => parseTarget(own, rules), { code: 'blocked_hostname' }, 'no page fetch goes there');
      const unit = user.unit(`claude-relay-${tool}.service`);
      assert.equal(existsSync(unit), tool !== 'tailscale');
      assert.equal((await expose(tool, ['--off'])).status, 0);
      assert.ok(!isUp());
      assert.ok(!existsSync(unit));
    });
  }

  test('where there is no systemd, the command for a terminal is printed', async () => {
    user.let('no-bus');
    const { status, stderr } = await expose('ngrok', here());
    assert.equal(status, 1);
    assert.ok(stderr.includes(`ngrok http --url=https://me.ngrok-free.app ${user.url}`), stderr);
    assert.ok(!isUp());
  });
});

describe('the public URL is checked', () => {
  test('one that lets everybody in is taken down', async () => {
    behaviour = 'lets everybody in';
    const { status, stderr } = await expose('ngrok', here());
    assert.equal(status, 1);
    assert.match(
      stderr,
      /is open: \/v1\/models answers 200 to a stranger\.\nThe tunnel was taken away again\./,
    );
    assert.ok(!isUp());
  });

  test('one that leads elsewhere is said to', async () => {
    behaviour = 'serves something else';
    const { status, stderr } = await expose('check', ['--url', publicUrl, '--wait', '0']);
    assert.equal(status, 1);
    assert.match(stderr, /does not reach the relay: \/health: status 200/);
  });

  test('a proxy of one’s own', async () => {
    writeFileSync(join(user.state, 'edge'), user.url);
    const { status, stderr } = await expose('check', ['--url', publicUrl]);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /without a valid key it is 401/);
    assert.doesNotMatch(stderr, /shows its details/);
    behaviour = 'hides itself';
    const hidden = await expose('check', ['--url', publicUrl]);
    assert.equal(hidden.status, 0, hidden.stderr);
    assert.match(hidden.stderr, /Warning: .*\/ready shows its details to strangers/);
  });
});

describe('what should be mended first', () => {
  test('no key, limits that are off, a proxy that is not trusted', async () => {
    const file = join(user.state, '../careless.env');
    writeFileSync(
      file,
      `PORT=${user.port}\nGLOBAL_DAILY=0\nPER_KEY_RPM=0\nDATA_DIR=${join(user.state, 'empty')}\n`,
    );
    const { stderr } = await user.run('bin/claude-relay', [
      '--config',
      file,
      'expose',
      'tailscale',
      '--dry-run',
    ]);
    assert.ok(!existsSync(join(user.state, 'empty')), 'to look for keys makes nothing');
    for (const part of [
      'there is no key yet',
      'limits are off',
      'PER_KEY_RPM, GLOBAL_DAILY',
      'TRUST_PROXY=loopback',
    ])
      assert.ok(stderr.includes(part), part);
    const careful = await expose('tailscale', ['--dry-run']);
    assert.doesNotMatch(careful.stderr, /Warning/);
  });

  test('wrong settings are not in the way of taking it away', async () => {
    assert.equal((await expose('cloudflared', [...hostname, ...here()])).status, 0);
    const file = join(user.state, '../wrong.env');
    writeFileSync(file, 'PORT=none\n');
    const off = await user.run('bin/claude-relay', ['--config', file, 'expose', 'cloudflared', '--off']);
    assert.equal(off.status, 0, off.stderr);
    assert.ok(!isUp());
    assert.ok(!existsSync(join(user.home, '.config/claude-relay')));
  });

  test('a relay that does not run', async () => {
    const file = join(user.state, '../elsewhere.env');
    writeFileSync(file, `PORT=1\nDATA_DIR=${user.dataDir}\n`);
    const { status, stderr } = await user.run('bin/claude-relay', ['--config', file, 'expose', 'ngrok']);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /does not answer on http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)\. Start it first: \.\/install\.sh/,
    );
  });

  test('NGROK_DOMAIN that is missing, or is none', async () => {
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
