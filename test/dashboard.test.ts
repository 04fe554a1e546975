/** The owner's listener under attack: who reaches it, and what it takes to change anything. Then the command that opens its page. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { globalAgent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Line } from '../src/commands/doctor/line.ts';
import { openKeys } from '../src/keys/store.ts';
import { systemClock } from '../src/limits/clock.ts';
import { openDailyCounts } from '../src/store/daily.ts';
import { openStore } from '../src/store/sqlite.ts';
import { utcDay } from '../src/time.ts';
import { version } from '../src/installation.ts';
import type { InProcessOptions } from './support/in-process.ts';
import { changeKeys } from './support/ollama-port.ts';
import {
  codeLifeMs,
  ownHeaders,
  startOwnerRelay,
  type OwnerRelay,
  type Session,
} from './support/owner-page.ts';
import { freePort } from './support/ports.ts';
import { rawExchange } from './support/raw.ts';
import { eventually, root, sleep } from './support/relay.ts';

const views = ['now', 'keys', 'use', 'requests', 'trouble', 'doctor'];

describe("the owner's listener", () => {
  let relay: OwnerRelay;
  before(async () => {
    relay = await startOwnerRelay();
  });
  after(() => relay.stop());

  const stateOf = (label: string): string => {
    const store = openStore(relay.dataDir);
    const { key } = openKeys(store).show(label);
    store.close();
    return key.revokedAt !== undefined ? 'revoked' : key.disabledAt === undefined ? 'live' : 'disabled';
  };

  test('every path answers 421 to a request for another name or port', async () => {
    const { path, cookie } = await relay.session();
    const others = [
      'evil.example',
      `evil.example:${relay.port}`,
      '127.0.0.1',
      'localhost',
      `127.0.0.1:${relay.port + 1}`,
      `localhost.evil.example:${relay.port}`,
      `127.0.0.2:${relay.port}`,
      `0.0.0.0:${relay.port}`,
    ];
    // Node refuses a Host that no URL has before the relay looks at it.
    const malformed = [
      `127.0.0.1:${relay.port}.evil.example`,
      `user@127.0.0.1:${relay.port}`,
      `[::ffff:127.0.0.1]:${relay.port}`,
    ];
    const code = relay.code();
    for (const [expected, hosts] of [
      [421, others],
      [400, malformed],
    ] as const) {
      for (const host of hosts) {
        for (const each of [`${path}now`, `${path}nothing`, '/', '/owner.js', `/open?code=${code}`]) {
          const { status, text } = await relay.send(each, { headers: { host, cookie } });
          assert.equal(status, expected, `${host} ${each}`);
          assert.doesNotMatch(text, /<html/);
        }
      }
    }
    // The code is still good: nothing was routed.
    assert.equal((await relay.send(`/open?code=${code}`)).status, 200);
    for (const host of [`localhost:${relay.port}`, `LOCALHOST:${relay.port}`, `[::1]:${relay.port}`]) {
      assert.equal((await relay.send(`${path}now`, { headers: { host, cookie } })).status, 200, host);
    }
    const raw = await rawExchange(`http://127.0.0.1:${relay.port}`, [
      `GET http://127.0.0.1:${relay.port}/owner.js HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n`,
    ]);
    assert.match(raw, /^HTTP\/1\.1 421 /);
  });

  test('a request that a proxy or a tunnel forwards gets a 403', async () => {
    const { path, cookie } = await relay.session();
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'cf-connecting-ip', 'tailscale-user-login']) {
      const { status } = await relay.send(`${path}now`, { headers: { cookie, [name]: '127.0.0.1' } });
      assert.equal(status, 403, name);
    }
  });

  test('every answer forbids framing, foreign scripts, storing and a referrer', async () => {
    const { path, cookie } = await relay.session();
    const headers = { cookie };
    for (const each of [
      '/',
      '/owner.css',
      '/owner.js',
      '/open?code=x',
      ...views.map((view) => path + view),
    ]) {
      const answer = await relay.send(each, { headers });
      const policy = answer.headers['content-security-policy'] ?? '';
      assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/, each);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      const {
        'cache-control': cache,
        'referrer-policy': referrer,
        'x-frame-options': frame,
      } = answer.headers;
      assert.deepEqual([cache, referrer, frame], ['no-store', 'no-referrer', 'DENY'], each);
      assert.doesNotMatch(answer.text, /<[^>]+\s(?:style|on\w+)=/, each);
      assert.doesNotMatch(answer.text, /<script(?![^>]* src="\/owner\.js")/);
    }
  });

  test('a code opens one session, within a minute', async () => {
    const code = relay.code();
    const first = await relay.send(`/open?code=${code}`);
    assert.equal(first.status, 200);
    assert.match(first.headers['set-cookie'] ?? '', /; Path=\/s\/[\w-]{22}; HttpOnly; SameSite=Strict; /);
    const again = await relay.send(`/open?code=${code}`);
    assert.deepEqual([again.status, again.headers['set-cookie']], [401, undefined]);
    assert.match(again.text, /claude-relay dashboard/);

    const old = relay.code(() => Date.now() - codeLifeMs - 1);
    assert.equal((await relay.send(`/open?code=${old}`)).status, 401);
    const asHead = relay.code();
    assert.equal((await relay.send(`/open?code=${asHead}`, { method: 'HEAD' })).status, 401);
    assert.equal((await relay.send(`/open?code=${asHead}`)).status, 200, 'a HEAD uses no code up');
    const several = await Promise.all(
      Array.from({ length: 20 }, () => relay.code()).map((each) =>
        Promise.all([relay.send(`/open?code=${each}`), relay.send(`/open?code=${each}`)]),
      ),
    );
    for (const both of several)
      assert.deepEqual(
        both.map(({ status }) => status).sort((a, b) => a - b),
        [200, 401],
      );
  });

  test('a code for another port opens nothing', async () => {
    const code = relay.code(Date.now, relay.port + 1);
    assert.equal((await relay.send(`/open?code=${code}`)).status, 401);
  });

  test('10,000 guesses find no code, and do not keep the owner out', async () => {
    const code = relay.code();
    const guess = (i: number): string => `${code.slice(0, -3)}${i.toString(36).padStart(3, '0')}`;
    for (let i = 0; i < 10_000; i += 100) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, j) => guess(i + j))
          .filter((each) => each !== code)
          .map((each) => relay.send(`/open?code=${each}`)),
      );
      assert.ok(answers.every(({ status }) => status === 401));
    }
    assert.equal((await relay.send(`/open?code=${code}`)).status, 200);
  });

  test('only a session sees a view, and only its own cookie opens it', async () => {
    const one = await relay.session();
    const other = await relay.session();
    const status = async (path: string, cookie?: string): Promise<number> =>
      (await relay.send(`${path}keys`, { headers: cookie === undefined ? {} : { cookie } })).status;
    assert.equal(await status(one.path, one.cookie), 200);
    assert.equal(await status(one.path), 401);
    assert.equal(await status(one.path, other.cookie), 401);
    assert.equal(await status('/s/none/', one.cookie), 401);
    assert.equal(await status('/', one.cookie), 404);
    const out = await relay.send(`${one.path}logout`, {
      method: 'POST',
      headers: ownHeaders(relay.port, one),
      body: '{}',
    });
    assert.equal(out.status, 200);
    assert.equal(await status(one.path, one.cookie), 401);
    assert.equal(await status(other.path, other.cookie), 200);
  });

  test('nothing changes without the Origin, the Sec-Fetch-Site and the header of the page', async () => {
    relay.mint('steady');
    const session = await relay.session();
    const own = ownHeaders(relay.port, session);
    const without = (name: string) =>
      Object.fromEntries(Object.entries(own).filter(([each]) => each !== name));
    const attempts = [
      ...['origin', 'sec-fetch-site', 'x-claude-relay-owner'].map(without),
      { ...own, origin: 'http://evil.example' },
      { ...own, origin: `http://localhost:${relay.port}` },
      { ...own, origin: 'null' },
      { ...own, 'sec-fetch-site': 'cross-site' },
      { ...own, 'sec-fetch-site': 'same-site' },
      { ...own, 'sec-fetch-site': 'none' },
    ];
    for (const headers of attempts) {
      for (const action of ['keys/steady/revoke', 'keys/steady/disable', 'keys', 'logout']) {
        const sent = { method: 'POST', headers, body: JSON.stringify({ label: 'stolen' }) };
        assert.equal((await relay.send(session.path + action, sent)).status, 403, action);
      }
    }
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await relay.send(`${session.path}keys`, {
        method,
        headers: { origin: 'http://evil.example' },
      });
      assert.equal(answer.status, 403, method);
      assert.equal(answer.headers['access-control-allow-origin'], undefined);
    }
    assert.equal(stateOf('steady'), 'live');
    assert.throws(() => stateOf('stolen'));
    const without401 = await relay.send(`${session.path}keys/steady/revoke`, {
      method: 'POST',
      headers: without('cookie'),
    });
    assert.equal(without401.status, 401);
    for (const [action, state] of [
      ['disable', 'disabled'],
      ['enable', 'live'],
      ['revoke', 'revoked'],
    ] as const) {
      const path = `${session.path}keys/steady/${action}`;
      assert.equal((await relay.send(path, { method: 'POST', headers: own, body: '{}' })).status, 200);
      assert.equal(stateOf('steady'), state);
    }
  });

  test('no path of it exists on the public listener', async () => {
    const { path, cookie } = await relay.session();
    const code = relay.code();
    const port = Number(new URL(relay.url).port);
    for (const each of [
      ...views.map((view) => path + view),
      ...views.map((view) => `/${view}`),
      `/open?code=${code}`,
      '/owner.js',
      '/owner.css',
      '/metrics',
      '/',
    ]) {
      const { status } = await relay.send(each, { port, headers: { cookie, 'x-api-key': relay.key } });
      assert.equal(status, 404, each);
    }
    assert.equal((await relay.send(`/open?code=${code}`)).status, 200, 'the code was not used');
  });

  test('a label of an attacker is refused', async () => {
    const session = await relay.session();
    for (const label of [markup, '\u001b[31mred', '../..', 'a b', '']) {
      const answer = await relay.send(`${session.path}keys`, {
        method: 'POST',
        headers: ownHeaders(relay.port, session),
        body: JSON.stringify({ label }),
      });
      assert.equal(answer.status, 400, label);
      assert.match(answer.text, /A label is/);
    }
  });
});

const markup = '"><script>alert(1)</script>';

/** A relay for one test, and the HTML of a view. */
async function startViews(t: TestContext, options: InProcessOptions = {}) {
  const relay = await startOwnerRelay(options);
  t.after(() => relay.stop());
  const { path, cookie } = await relay.session();
  const view = async (name: string): Promise<string> => {
    const { status, text } = await relay.send(path + name, { headers: { cookie } });
    assert.equal(status, 200, name);
    return text.replaceAll(/\s+/g, ' ');
  };
  return { relay, view };
}

/** What the owner reads. */
const textOf = (html: string): string => html.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');

const failedProof = {
  proved: false,
  hotProblem: undefined,
  cliVersion: '1.2.3',
  provedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 0,
  checks: [{ name: `no-tools${markup}`, ok: false, detail: 'Bash' }],
  addedBytes: 0,
  addedTexts: [],
};

test('text of an attacker is shown as text', async (t) => {
  const escaped = '&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;';
  async function* doctor(): AsyncGenerator<Line> {
    yield { name: `disk${markup}`, state: 'failure', detail: `full${markup}`, fix: `df${markup}` };
  }
  const { relay, view } = await startViews(t, {
    doctor,
    overrides: { prove: () => Promise.resolve(failedProof) },
  });
  await view('doctor');
  await eventually('the checks have ended', async () => (await view('doctor')).includes('disk'));
  const shown = await view('doctor');
  for (const each of [`disk${escaped}`, `full${escaped}`, `df${escaped}`])
    assert.ok(shown.includes(each), each);
  assert.ok((await view('now')).includes(`no-tools${escaped}`));

  // The link to older requests repeats the filter.
  await Promise.all(Array.from({ length: 51 }, () => relay.post({ prompt: 'hi' })));
  const filter = new URLSearchParams({ status: markup }).toString();
  await eventually('the ledger has them', async () =>
    (await view(`requests?${filter}`)).includes(
      `<a id="older" href="requests?key=&amp;route=&amp;${filter}&amp;`,
    ),
  );
  const all = { key: markup, route: markup, status: markup, period: markup, stack: markup, before: markup };
  for (const name of views) {
    for (const each of ['', `?${new URLSearchParams(all).toString()}`]) {
      const html = await view(name + each);
      assert.equal(html.includes(markup.slice(2)), false, name + each);
    }
  }
});

test('each view shows the version of the relay', async (t) => {
  const relay = await startOwnerRelay();
  t.after(() => relay.stop());
  const { path, cookie } = await relay.session();
  for (const name of views) {
    const { text } = await relay.send(path + name, { headers: { cookie } });
    assert.ok(text.includes(`claude-relay ${version}.`), name);
  }
});

test('a session ends after 12 hours', async (t) => {
  let offset = 0;
  const clock = { ...systemClock, wall: () => systemClock.wall() + offset };
  const relay = await startOwnerRelay({ overrides: { clock } });
  t.after(() => relay.stop());
  const { path, cookie } = await relay.session();
  const status = async () => (await relay.send(`${path}now`, { headers: { cookie } })).status;
  offset = 12 * 3_600_000 - 60_000;
  assert.equal(await status(), 200);
  offset = 12 * 3_600_000 + 1000;
  assert.equal(await status(), 401);
});

test('the page shows the limits of all keys, also without a key, and the budget of the second login', async (t) => {
  const keysView = async (settings: Record<string, string>): Promise<string> => {
    const relay = await startOwnerRelay({ settings: { GLOBAL_DAILY: '500', ...settings } });
    t.after(() => relay.stop());
    const store = openStore(relay.dataDir);
    openDailyCounts(store).add(utcDay(Date.now()), [{ scope: 'usd:fallback', count: 850_000 }]);
    store.close();
    changeKeys(relay, (keys) => keys.revoke('test', 'test'));
    const { path, cookie } = await relay.session();
    const { text } = await relay.send(`${path}keys`, { headers: { cookie } });
    assert.match(text, /Keys, and their use today: none/);
    return text.replaceAll(/<[^>]*>|\s+/g, ' ').replaceAll(/ +/g, ' ');
  };
  const text = await keysView({ GLOBAL_USD_DAILY: '2', FALLBACK_USD_DAILY: '1' });
  assert.match(text, /All keys, requests today 0 of 500 All keys, reckoned dollars today \$0 of \$2\.00 /);
  assert.match(text, /Billed to the second login today \$0\.8500 of \$1\.00 80 % /);
  const off = await keysView({});
  assert.match(off, /All keys, requests today 0 of 500 /);
  assert.doesNotMatch(off, /second login today/);
});

test('a session ends with the relay', async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'owner-restart-'));
  const settings = { ADMIN_PORT: String(await freePort()) };
  let session: Session | undefined;
  for (const expected of [200, 401]) {
    const relay = await startOwnerRelay({ scratch, settings, key: 'none' });
    t.after(() => relay.stop());
    session ??= await relay.session();
    const { path, cookie } = session;
    const { status } = await relay.send(`${path}now`, { headers: { cookie } });
    assert.equal(status, expected);
    await relay.stop();
    // The connections to it.
    globalAgent.destroy();
  }
  rmSync(scratch, { recursive: true });
});

test('a doctor that throws shows a failure, and runs again after a minute only', async (t) => {
  let runs = 0;
  async function* doctor(): AsyncGenerator<Line> {
    runs += 1;
    yield { name: 'settings', state: 'ok', detail: '2 in config.env' };
    throw new Error('no such disk');
  }
  const { view } = await startViews(t, { doctor });
  assert.match(await view('doctor'), /data-refresh="1"/);
  await eventually('the checks have ended', async () => (await view('doctor')).includes('no such disk'));
  const shown = await view('doctor');
  assert.match(shown, /data-refresh="60"/);
  assert.match(
    textOf(shown),
    /Checked at .* ok settings 2 in config\.env failure doctor a check failed: no such disk/,
  );
  assert.equal(runs, 1);
});

test('the doctor ends with the relay', async () => {
  let hasEnded = false;
  const relay = await startOwnerRelay({
    doctor: async function* (signal: AbortSignal): AsyncGenerator<Line> {
      await once(signal, 'abort');
      // Longer than the listener takes to close.
      await sleep(1500);
      hasEnded = true;
      yield { name: 'settings', state: 'ok', detail: '' };
      assert.fail('a further check begins');
    },
  });
  const { path, cookie } = await relay.session();
  await relay.send(`${path}doctor`, { headers: { cookie } });
  await relay.stop();
  assert.equal(hasEnded, true);
});

test('without a proved lock, Now says that it is not locked, and the plan is not asked', async (t) => {
  const { view } = await startViews(t, { overrides: { prove: () => Promise.resolve(failedProof) } });
  const text = textOf(await view('now'));
  assert.match(text, / Not ready lock_proved: the lock is not proved: no-tools\S* /);
  assert.match(text, / Not locked Not proved: no request is served\. .* once the lock is proved\. /);
  assert.doesNotMatch(text, / Locked /);
});

test('Trouble counts the requests without a valid key', async (t) => {
  const { relay, view } = await startViews(t);
  const trouble = async () => textOf(await view('trouble'));
  assert.match(await trouble(), /Requests without one since the start of the relay: 0\. /);
  for (let i = 0; i < 3; i += 1) {
    await relay.post({ prompt: 'hi' }, { headers: { authorization: 'Bearer crk_wrong' } });
  }
  assert.match(await trouble(), /Requests without one since the start of the relay: 3\. /);
});

test('Requests can be filtered by a revoked key', async (t) => {
  const { relay, view } = await startViews(t);
  const gone = relay.mint('gone');
  const authorization = `Bearer ${gone}`;
  assert.equal((await relay.post({ prompt: 'hi' }, { headers: { authorization } })).status, 200);
  assert.equal((await relay.complete({ prompt: 'hi' })).status, 200);
  changeKeys(relay, (keys) => keys.revoke('gone', 'test'));
  await eventually('the ledger has both', async () => (await view('requests')).split('<tr>').length === 4);
  const [, id] = /<option value="(\w+)" >gone \(revoked \w+\)<\/option>/.exec(await view('requests')) ?? [];
  const filtered = await view(`requests?key=${id}`);
  assert.match(filtered, /<option value="\w+" selected>gone \(revoked/);
  const [, body = ''] = filtered.split('<tbody>');
  assert.deepEqual([textOf(body).match(/gone/g)?.length, /\btest\b/.test(textOf(body))], [1, false]);
});

describe('claude-relay dashboard', () => {
  let relay: OwnerRelay;
  let desktop: string;
  before(async () => {
    relay = await startOwnerRelay();
    desktop = mkdtempSync(join(tmpdir(), 'desktop-'));
  });
  after(async () => {
    await relay.stop();
    rmSync(desktop, { recursive: true });
  });
  const dashboard = (env: Record<string, string>, ...args: string[]) =>
    promisify(execFile)(join(root, 'bin/claude-relay'), ['dashboard', ...args], {
      env: {
        PATH: process.env['PATH'],
        HOME: desktop,
        DATA_DIR: relay.dataDir,
        ADMIN_PORT: String(relay.port),
        ...env,
      },
    });
  const files = () => readdirSync(relay.dataDir).filter((name) => name.endsWith('.html'));
  /** A desktop whose program for links is this script. */
  const withOpener = (script: string): Record<string, string> => {
    writeFileSync(join(desktop, 'xdg-open'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return { DISPLAY: ':0', PATH: `${desktop}:${process.env['PATH'] ?? ''}` };
  };

  test('prints a link that opens the page once', async () => {
    const { stdout, stderr } = await dashboard({}, '--print');
    assert.equal(stderr, '');
    const { pathname, search } = new URL(stdout.trim());
    assert.equal((await relay.send(pathname + search)).status, 200);
    assert.equal((await relay.send(pathname + search)).status, 401);
  });

  test('opens a browser with a file that only the owner can read, and removes it', async () => {
    // What other users see of it: the arguments. What the browser does: it opens the address in the file.
    const env = withOpener(
      `echo "$*" > '${desktop}/seen'; stat -c %a "$1" >> '${desktop}/seen'; curl -s "$(sed 's/.*url=//; s/">.*//' "$1")" > /dev/null &`,
    );
    const { stdout, stderr } = await dashboard(env);
    assert.deepEqual([stdout, stderr], ['', 'Opened the page in your browser.\n']);
    const [seen = '', mode] = readFileSync(join(desktop, 'seen'), 'utf8').split('\n');
    assert.match(seen.replace(relay.dataDir, ''), /^\/open-page-\d+\.html$/);
    assert.equal(mode, '600');
    assert.deepEqual(files(), []);
  });

  test('does not wait for a program that stays until the browser ends, and two runs have two files', async () => {
    const env = withOpener(
      `echo $$ "$1" >> '${desktop}/stays'; curl -s "$(sed 's/.*url=//; s/">.*//' "$1")" > /dev/null; exec sleep 600`,
    );
    for (const { stdout, stderr } of await Promise.all([dashboard(env), dashboard(env)])) {
      assert.deepEqual([stdout, stderr], ['', 'Opened the page in your browser.\n']);
    }
    const stays = readFileSync(join(desktop, 'stays'), 'utf8').trim().split('\n');
    assert.equal(new Set(stays.map((line) => line.split(' ')[1])).size, 2);
    // Each of them still runs.
    for (const line of stays) process.kill(Number(line.split(' ')[0]));
    assert.deepEqual(files(), []);
  });

  test('prints the link when no browser can be opened', async () => {
    for (const env of [{}, withOpener('exit 3')]) {
      const { stdout, stderr } = await dashboard(env);
      assert.match(stderr, /^No browser opened it\. Open this link within a minute/);
      assert.match(stdout, /^http:\/\/127\.0\.0\.1:\d+\/open\?code=[\w-]{43}\n$/);
      assert.deepEqual(files(), []);
    }
  });

  test('says what to do when the page is off, or the relay does not run', async () => {
    await assert.rejects(dashboard({ ADMIN_PORT: '0' }), {
      code: 1,
      stderr: /The page is off \(ADMIN_PORT=0\)\. Set ADMIN_PORT in config\.env, and restart the relay\./,
    });
    await assert.rejects(dashboard({ ADMIN_PORT: String(await freePort()) }), {
      code: 1,
      stderr: /No page of claude-relay answers on http:\/\/127\.0\.0\.1:\d+\. Start the relay first/,
    });
  });
});
