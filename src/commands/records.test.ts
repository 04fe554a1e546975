import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Command, CommanderError } from 'commander';
import { openKeys } from '../keys/store.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { RequestRecord } from '../ledger/record.ts';
import { openStore } from '../store/sqlite.ts';
import { freePort } from '../../test/support/ports.ts';
import { addKeyCommand } from './key.ts';
import { addLogsCommand } from './logs.ts';
import { addUsageCommand } from './usage.ts';

let dir: string;
let now: number;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-commands-'));
  now = Date.UTC(2030, 0, 10, 12);
});
afterEach(() => rmSync(dir, { recursive: true }));

type Ran = { code: number; out: string; err: string };

/** Runs a command line as `main` would, with the test's streams. */
async function run(
  line: string,
  options: { signal?: AbortSignal; seen?: Ran; relayUrl?: string } = {},
): Promise<Ran> {
  const ran: Ran = options.seen ?? { code: 0, out: '', err: '' };
  const terminal = {
    out: (text: string) => void (ran.out += text),
    err: (text: string) => void (ran.err += text),
    gone: () => options.signal?.aborted === true,
  };
  const context = {
    dataDir: () => dir,
    relayUrl: () => options.relayUrl ?? 'http://127.0.0.1:0',
    terminal,
    now: () => now,
    models: () => ({
      allowedModels: ['opus', 'sonnet', 'haiku'],
      modelAliases: new Map([['gpt-5', 'sonnet']]),
    }),
  };
  const program = new Command('claude-relay')
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err });
  addKeyCommand(program, context);
  addUsageCommand(program, context);
  addLogsCommand(program, context);
  try {
    await program.parseAsync(line.split(' '), { from: 'user' });
  } catch (error) {
    ran.code = error instanceof CommanderError ? error.exitCode : 1;
    // As `main` reports it.
    if (!(error instanceof CommanderError)) ran.err += `claude-relay: ${(error as Error).message}\n`;
  }
  return ran;
}

const tokenShape = /^crk_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}\n$/;

test('key create prints only the secret on stdout', async () => {
  const { code, out, err } = await run('key create my-app --daily 5');
  assert.equal(code, 0);
  assert.match(out, tokenShape);
  assert.match(err, /^Created the key my-app\..*\n$/);
  const store = openStore(dir);
  assert.equal(openKeys(store, { now: () => now }).verify(out.trim())?.dailyLimit, 5);
  store.close();
});

test('key list and key show print every option of key create as text and as JSON', async () => {
  const made = await run(
    'key create app --daily 5 --rpm 6 --concurrency 7 --usd-daily 2.5 --tokens-daily 9000 --expires 30d --routes complete,usage --models opus,haiku --fallback haiku --json',
  );
  const { secret, ...key } = JSON.parse(made.out) as Record<string, unknown>;
  assert.match(`${String(secret)}\n`, tokenShape);
  const expected = {
    id: String(secret).slice(4, 15),
    label: 'app',
    state: 'live',
    created_at: '2030-01-10T12:00:00.000Z',
    last_used_at: null,
    expires_at: '2030-02-09T12:00:00.000Z',
    revoked_at: null,
    disabled_at: null,
    daily_limit: 5,
    rpm: 6,
    concurrency: 7,
    usd_daily: 2.5,
    usd_today: 0,
    tokens_daily: 9000,
    tokens_today: 0,
    allowed_routes: ['complete', 'usage'],
    allowed_models: ['opus', 'haiku'],
    fallback: 'haiku',
    ollama_url: null,
    profile: null,
  };
  assert.deepEqual(key, expected);
  assert.deepEqual(JSON.parse((await run('key list --json')).out), [expected]);
  const shown = JSON.parse((await run('key show app --json')).out) as unknown;
  const events = [{ at: '2030-01-10T12:00:00.000Z', action: 'created', command: 'key create' }];
  assert.deepEqual(shown, { ...expected, events });
  assert.equal(
    (await run('key list')).out,
    'LABEL  STATE  CREATED     LAST USED  EXPIRES           A DAY  A MINUTE  AT ONCE  ROUTES          MODELS      RECKONED TODAY  TOKENS TODAY  FALLBACK\n' +
      'app    live   2030-01-10  never      2030-02-09 12:00      5         6        7  complete,usage  opus,haiku     $0 of $2.50    0 of 9 000  haiku\n',
  );
  assert.match(
    (await run('key show app')).out,
    /^LABEL .*\napp .*\n(?:.*\n)*2030-01-10 12:00:00 UTC: created by key create\n$/,
  );
});

test('key set changes limits, and off restores the default', async () => {
  await run('key create app --daily 5 --models opus');
  const changed = await run('key set app --daily off --rpm 9 --routes complete,fetch --expires 1d --json');
  const { daily_limit, rpm, allowed_routes, allowed_models, expires_at } = JSON.parse(changed.out) as Record<
    string,
    unknown
  >;
  assert.deepEqual(
    [daily_limit, rpm, allowed_routes, allowed_models, expires_at],
    [null, 9, ['complete', 'fetch'], ['opus'], '2030-01-11T12:00:00.000Z'],
  );
  const again = await run('key set app --expires off --models off');
  assert.deepEqual([again.code, again.out], [0, '']);
  assert.equal(again.err, 'Changed app: its next request has the new settings.\n');
  assert.match(
    (await run('key list')).out,
    /\napp +live .* never +never +default +9 +default +complete,fetch +all\n/,
  );
  assert.match((await run('key set app --routes admin')).err, /"admin" is not a route/);
});

test('key create and key set keep a profile, which key list and key show print without its system prompt', async () => {
  const file = join(dir, 'system.txt');
  writeFileSync(file, 'Only CANARY.\n');
  assert.match((await run(`key create news --system-file ${file} --max-tokens 1200`)).out, tokenShape);
  const set = await run('key set news --model haiku --effort low --locked');
  assert.equal(set.err, 'Changed news: its next request has the new settings.\n');
  const profile = { model: 'haiku', effort: 'low', max_tokens: 1200, system_bytes: 13, locked: true };
  const words = 'haiku, low, 1 200 tokens, system prompt of 13 bytes, locked';
  now += 1000;
  await run('key create plain');
  const lines = ['key list --json', 'key list', 'key show news', 'key show news --json', 'logs', 'usage'];
  const printed = await Promise.all(lines.map((line) => run(line)));
  for (const [index, { out, err }] of printed.entries())
    assert.doesNotMatch(out + err, /CANARY/, lines[index]);
  const [list, table, shown, shownJson] = printed.map(({ out }) => out);
  assert.deepEqual(
    (JSON.parse(list ?? '') as Record<string, unknown>[]).map(({ profile }) => profile),
    [profile, null],
  );
  assert.match(table ?? '', new RegExp(`PROFILE\nnews .* ${words}\nplain .* -\n$`));
  assert.ok(shown?.includes(words));
  assert.deepEqual((JSON.parse(shownJson ?? '') as Record<string, unknown>)['profile'], profile);
  assert.deepEqual(await run('key show news --system'), { code: 0, out: 'Only CANARY.\n', err: '' });

  const open = await run('key set news --no-locked --model off --effort off --max-tokens off --json');
  assert.deepEqual((JSON.parse(open.out) as Record<string, unknown>)['profile'], {
    model: null,
    effort: null,
    max_tokens: null,
    system_bytes: 13,
    locked: false,
  });
  const none = await run('key set news --system-file off --json');
  assert.equal((JSON.parse(none.out) as Record<string, unknown>)['profile'], null);
  assert.match((await run('key show news --system')).err, /The key news has no system prompt\.$/m);
  assert.match((await run('key show news')).out, /created by key create\n(?:.*: changed by key set\n){3}$/);
});

test('key set explains a profile that is not possible, and does not print the system prompt', async () => {
  await run('key create news --models opus');
  const file = join(dir, 'latin1.txt');
  writeFileSync(file, Buffer.from('CANARY \xe9', 'latin1'));
  const long = join(dir, 'long.txt');
  writeFileSync(long, 'CANARY '.repeat(20_000));
  for (const [options, message] of [
    [`--system-file ${file}`, /latin1\.txt is not text in UTF-8\.$/m],
    [`--system-file ${long}`, /The system prompt has 140000 bytes: shorten it to 100000\.$/m],
    [`--system-file ${dir}`, /cannot be read: EISDIR\.$/m],
    [`--system-file ${dir}/none`, /none cannot be read: ENOENT\.$/m],
    ['--effort hard', /Allowed choices are low, medium, high, xhigh, max, off\.$/m],
    ['--max-tokens 0', /Use a whole number from 1/],
    ['--model haiku', /may use opus only, so its own model cannot be haiku\.$/m],
    ['--locked', /There is nothing to lock/],
  ] as const) {
    const { code, out, err } = await run(`key set news ${options}`);
    assert.deepEqual([code, out], [1, ''], options);
    assert.match(err, message);
    assert.doesNotMatch(err, /CANARY/);
  }
  assert.match((await run('key show news --system --json')).err, /cannot be used with option '--json'/);
  assert.doesNotMatch((await run('key show news')).out, /changed/);
});

test('key show and key rotate print the secret of webhooks alone on stdout, and nothing else prints it', async () => {
  await run('key create app');
  const shown = await run('key show app --webhook-secret');
  assert.match(shown.out, /^whsec_[0-9A-Za-z+/]{43}=\n$/);
  assert.deepEqual([shown.code, shown.err], [0, '']);
  assert.equal((await run('key show app --webhook-secret')).out, shown.out, 'it stays');
  assert.equal((await run('key rotate app')).code, 0);
  assert.equal(
    (await run('key show app --webhook-secret')).out,
    shown.out,
    'with a new secret of the key, too',
  );
  const renewed = await run('key rotate app --webhook-secret --grace 1h');
  assert.match(renewed.out, /^whsec_[0-9A-Za-z+/]{43}=\n$/);
  assert.notEqual(renewed.out, shown.out);
  assert.equal(
    renewed.err,
    'Until 2030-01-10 13:00:00 UTC, both webhook secrets of app sign. Give your receiver the new one:\n',
  );
  assert.equal((await run('key show app --webhook-secret')).out, renewed.out);
  const last = await run('key rotate app --webhook-secret --grace 0');
  assert.equal(last.err, 'The old webhook secret of app no longer signs. Give your receiver the new one:\n');
  for (const line of ['key list --json', 'key list', 'key show app', 'key show app --json']) {
    assert.doesNotMatch((await run(line)).out, /whsec_/, line);
  }
  assert.match((await run('key show app')).out, /: changed by key rotate\n$/);
  for (const other of ['--json', '--system']) {
    const both = await run(`key show app --webhook-secret ${other}`);
    assert.deepEqual([both.code, both.out], [1, ''], other);
    assert.match(both.err, /cannot be used with option/);
  }
  await run('key revoke app');
  const revoked = await run('key show app --webhook-secret');
  assert.deepEqual([revoked.code, revoked.out], [1, '']);
  assert.match(revoked.err, /There is no key with the label app\./);
});

test('key set changes the fallback to a model of the key, to the second login and to none', async () => {
  await run('key create app --models opus,haiku --fallback none');
  const set = async (options: string): Promise<unknown> =>
    (JSON.parse((await run(`key set app ${options} --json`)).out) as { fallback: unknown }).fallback;
  assert.equal(await set('--rpm 5'), null);
  for (const fallback of ['haiku', 'claude-haiku-4-5', 'api']) {
    assert.equal(await set(`--fallback ${fallback}`), fallback);
    assert.equal(await set('--rpm 6'), fallback, 'another change keeps it');
  }
  assert.match((await run('key list')).out, / FALLBACK\napp .* api\n/);
  assert.equal(await set('--fallback none'), null);
  assert.doesNotMatch((await run('key list')).out, /FALLBACK/);
  for (const [line, message] of [
    ['key set app --fallback sonnet', /may not use sonnet, its fallback/],
    ['key create other --models opus --fallback sonnet', /may not use sonnet, its fallback/],
    ['key set app --fallback -x', /must be a model, such as sonnet, or api/],
  ] as const) {
    const { code, err } = await run(line);
    assert.deepEqual([code, err.split('\n').length], [1, 2], line);
    assert.match(err, message);
  }
  await run('key set app --fallback haiku');
  assert.match((await run('key set app --models opus')).err, /may not use haiku, its fallback/);
});

test('key create accepts off as key set does: nothing is called off', async () => {
  const off = ['--daily', '--rpm', '--concurrency', '--usd-daily', '--tokens-daily', '--expires']
    .concat('--routes', '--models', '--fallback', '--system-file', '--model', '--effort', '--max-tokens')
    .map((option) => `${option} off`);
  await run('key create plain');
  const shapeOf = async (label: string): Promise<unknown> => {
    const key = JSON.parse((await run(`key show ${label} --json`)).out) as Record<string, unknown>;
    return { ...key, id: '', label: '' };
  };
  const { code, err } = await run(`key create app ${off.join(' ')}`);
  assert.deepEqual([code, err], [0, 'Created the key app. Its secret, shown once:\n']);
  assert.deepEqual(await shapeOf('app'), await shapeOf('plain'));
  await run('key set app --model haiku --fallback haiku');
  await run('key set app --model off --fallback off');
  const { profile, fallback } = (await shapeOf('app')) as Record<string, unknown>;
  assert.deepEqual([profile, fallback], [null, null]);
});

test('key create and key set warn of a model that the relay does not serve, and do what they are asked', async () => {
  const served = [
    'key create served --model gpt-5 --fallback gpt-5',
    'key set served --model claude-opus-5 --fallback api',
  ];
  for (const line of served) assert.doesNotMatch((await run(line)).err, /Warning/, line);
  const created = await run('key create app --model fable --fallback sonet');
  assert.match(created.out, tokenShape);
  assert.equal(
    created.err,
    'Warning: app falls back to sonet, which is not in ALLOWED_MODELS: it has no fallback. Add it to ALLOWED_MODELS, or choose another model.\n' +
      'Warning: the profile of app has the model fable, which is not in ALLOWED_MODELS: requests that use it are refused. Add it to ALLOWED_MODELS, or choose another model.\n' +
      'Created the key app. Its secret, shown once:\n',
  );
  await run('key set app --model haiku --fallback none');
  const set = await run('key set app --fallback fable --json');
  assert.match(set.err, /^Warning: app falls back to fable, .*\n$/);
  assert.equal((JSON.parse(set.out) as Record<string, unknown>)['fallback'], 'fable');
});

test('key disable and key enable say what they do, and key list shows the state', async () => {
  await run('key create app');
  const disabled = await run('key disable app');
  assert.deepEqual(
    [disabled.out, disabled.err],
    ['', 'Disabled app: its requests are refused until you enable it.\n'],
  );
  assert.match((await run('key list')).out, /\napp +disabled /);
  assert.match((await run('key show app')).out, /changed by key disable\n$/);
  const enabled = await run('key enable app --json');
  assert.deepEqual(
    Object.entries(JSON.parse(enabled.out) as object).filter(([name]) => /state|disabled/.test(name)),
    [
      ['state', 'live'],
      ['disabled_at', null],
    ],
  );
  assert.match((await run('key disable nobody')).err, /There is no key with the label nobody/);
});

test('key set gives a key a port for Ollama clients and takes it away', async () => {
  await run('key create ha');
  const port = await freePort();
  const set = await run(`key set ha --ollama-port ${port}`);
  assert.deepEqual([set.code, set.out], [0, '']);
  assert.equal(
    set.err,
    `ha is served to Ollama clients at http://127.0.0.1:${port}. Every program on this machine can use it, up to its limits.\n`,
  );
  assert.match(
    (await run('key show ha')).out,
    new RegExp(
      `\nOllama clients without the secret: http://127\\.0\\.0\\.1:${port}\n.*\n.*: changed by key set\n$`,
    ),
  );
  const off = await run('key set ha --ollama-port off --json');
  assert.equal((JSON.parse(off.out) as Record<string, unknown>)['ollama_url'], null);
  assert.match((await run('key set ha --ollama-port off')).err, /^ha is not served to Ollama clients\.\n$/);
});

test('key set refuses a port that is taken, unless it is the one that the key has', async () => {
  await run('key create ha');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const taken = await run(`key set ha --ollama-port ${port}`);
  assert.equal(taken.code, 1);
  assert.match(taken.err, new RegExp(`Port ${port} of 127\\.0\\.0\\.1 is in use.*choose another port`));
  assert.doesNotMatch((await run('key show ha')).out, /Ollama|changed/);
  server.close();
  await once(server, 'close');
  await run(`key set ha --ollama-port ${port}`);
  // As a relay that runs does.
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  assert.equal((await run(`key set ha --ollama-port ${port}`)).code, 0);
  await run('key create other');
  assert.match(
    (await run(`key set other --ollama-port ${port}`)).err,
    /The key ha already has that address\./,
  );
  server.close();
});

test('key set explains an address and a port that are not possible', async () => {
  await run('key create ha');
  for (const [line, message] of [
    ['key set ha', /Say what to change, such as: claude-relay key set ha --daily 100/],
    ['key set ha --daily none', /Use a whole number from 1 to 1000000000/],
    ['key set ha --ollama-port 0', /Use a whole number from 1 to 65535/],
    [
      'key set ha --ollama-port 11434 --ollama-host 0.0.0.0',
      /The host must be one IP address of this machine/,
    ],
    [
      'key set ha --ollama-port 11434 --ollama-host 192.0.2.1',
      /This machine does not have the address 192\.0\.2\.1/,
    ],
    ['key set nobody --ollama-port off', /There is no key with the label nobody/],
  ] as const) {
    const ran = await run(line);
    assert.notEqual(ran.code, 0, line);
    assert.match(ran.err, message);
  }
});

test('key rotate keeps the old secret for the grace period, and key revoke ends all secrets', async () => {
  const first = (await run('key create app')).out.trim();
  const rotated = await run('key rotate app --grace 1h');
  assert.match(rotated.out, tokenShape);
  assert.match(rotated.err, /works until 2030-01-10 13:00:00 UTC/);
  const store = openStore(dir);
  const keys = openKeys(store, { now: () => now });
  assert.ok(keys.verify(first));
  assert.ok(keys.verify(rotated.out.trim()));
  const at0 = await run('key rotate app --grace 0');
  assert.match(at0.err, /old secret of app is revoked/);
  assert.equal(keys.verify(first), undefined);
  assert.match((await run('key rotate app')).err, /works until 2030-01-11 12:00:00 UTC/);
  const revoked = await run('key revoke app');
  assert.deepEqual([revoked.code, revoked.out], [0, '']);
  assert.equal(keys.verify(at0.out.trim()), undefined);
  store.close();
  assert.equal((await run('key list --json')).out, '[]\n');
  assert.match((await run('key list --all')).out, /app +revoked/);
  assert.match((await run('key list')).err, /There are no keys\. Create one/);
});

test('only key create and key rotate print a secret', async () => {
  const secrets = [(await run('key create app')).out, (await run('key rotate app')).out].map((out) =>
    out.slice(16, 59),
  );
  for (const line of [
    'key list',
    'key list --all --json',
    'key show app',
    'key show app --json',
    'usage',
    'logs',
    'key revoke app --json',
  ]) {
    const { code, out, err } = await run(line);
    assert.equal(code, 0, line);
    for (const secret of secrets) assert.equal((out + err).includes(secret), false, line);
  }
});

test('a command that fails prints one sentence on stderr and exits with status 1', async () => {
  await run('key create app');
  const wrong: [string, RegExp][] = [
    ['key create app', /already/],
    ['key create a/b', /^claude-relay: A label is/],
    ['key create b --daily 0', /whole number from 1/],
    ['key create b --daily many', /whole number/],
    ['key create b --expires 2030-02-31', /Use a duration/],
    ['key create b --expires 2029-01-01', /must be in the future/],
    [
      'key create b --routes admin',
      /"admin" is not a route: the routes are complete, fetch, models, usage, webhook, metrics/,
    ],
    ['key create b --models a,,b', /separated by commas/],
    ['key create', /missing required argument 'label'/],
    ['key create b 5', /too many arguments/],
    ['key rotate app --grace 1', /whole number and a unit/],
    ['key rotate nobody', /no key with the label nobody/],
    ['key revoke nobody', /no key with the label nobody/],
    ['key show nobody', /no key with the label nobody/],
    ['usage --key nobody', /no key with the label nobody/],
    ['usage --days 0', /from 1 to 366/],
    ['usage --hours 49', /from 1 to 48/],
    ['usage --hours 2 --csv', /--csv has days only: use it without --hours/],
    ['usage --json --csv', /either --json or --csv/],
    ['logs --key nobody', /no key with the label nobody/],
    ['logs -n x', /whole number/],
  ];
  for (const [line, message] of wrong) {
    const { code, out, err } = await run(line);
    assert.deepEqual([code, out], [1, ''], line);
    assert.match(err, message, line);
    assert.equal(err.split('\n').length, 2, `${line}: ${err}`);
  }
  rmSync(dir, { recursive: true });
  writeFileSync(dir, '');
  const { code, err } = await run('key list');
  assert.deepEqual([code, err.split('\n').length], [1, 2]);
  assert.match(err, /^claude-relay: The database .* cannot be used: .*\.\n$/);
});

/** A running relay's side of the database, with a separate ledger. */
function relay() {
  const store = openStore(dir);
  const keys = openKeys(store, { now: () => now });
  const ledger = openLedger(store, { days: 90, now: () => now });
  const record = (changes: Partial<RequestRecord>) => {
    ledger.record({
      at: now,
      request_id: 'req_1',
      key_id: undefined,
      key_label: undefined,
      route: 'complete',
      host: undefined,
      model: 'opus',
      fallback_from: undefined,
      status: 200,
      error: undefined,
      limit_hit: undefined,
      stop_reason: undefined,
      start: undefined,
      tokens_in: 1000,
      tokens_out: 20,
      cache_read: 3,
      cache_write: 4,
      cost_usd: 0.0625,
      queue_ms: 0,
      spawn_ms: 0,
      upstream_ms: 0,
      first_text_ms: undefined,
      total_ms: 2400,
      bytes_in: 1,
      bytes_out: 2,
      client_gone: false,
      ...changes,
    });
    ledger.flush();
  };
  const close = () => {
    ledger.close();
    keys.close();
    store.close();
  };
  return { keys, record, close };
}

const noTokens = { tokens_in: 0, tokens_out: 0, cache_read: 0, cache_write: 0, cost_usd: 0 };

test('usage prints a table, JSON and CSV for all keys and for one', async () => {
  const { keys, record, close } = relay();
  const a = keys.create('app-a', {}, 'test').key.id;
  const b = keys.create('app-b', {}, 'test').key.id;
  record({ key_id: a, start: 'spawn' });
  record({ key_id: a, model: 'haiku', at: now - 86_400_000 });
  for (const start of ['hot', 'claim', 'hot'] as const) {
    record({ key_id: a, model: 'haiku', at: now - 86_400_000, start, ...noTokens });
  }
  record({ key_id: b, status: 429, error: 'rate_limited', ...noTokens });
  keys.revoke('app-b', 'test');

  assert.equal(
    (await run('usage --days 2')).out,
    [
      'All keys, 2 UTC days',
      'DAY         REQUESTS  FAILED     IN  OUT  CACHE READ  CACHE WRITE  RECKONED  HOT',
      '2030-01-09         4       0  1 000   20           3            4   $0.0625  67%',
      '2030-01-10         2       1  1 000   20           3            4   $0.0625   0%',
      'total              6       1  2 000   40           6            8   $0.1250  50%',
      '',
      'MODEL  REQUESTS  FAILED     IN  OUT  CACHE READ  CACHE WRITE  RECKONED  HOT',
      'haiku         4       0  1 000   20           3            4   $0.0625  67%',
      'opus          2       1  1 000   20           3            4   $0.0625   0%',
      '',
      `KEY                          REQUESTS  FAILED     IN  OUT  CACHE READ  CACHE WRITE  RECKONED  HOT`,
      `app-a                               5       0  2 000   40           6            8   $0.1250  50%`,
      `app-b (revoked ${b})         1       1      0    0           0            0        $0    -`,
      '',
    ].join('\n'),
  );
  const one = (await run('usage --key app-a --days 1')).out;
  assert.match(one, /^Key app-a, 1 UTC days\n/);
  assert.doesNotMatch(one, /app-b|KEY/);

  const report = JSON.parse((await run('usage --key app-a --days 30 --json')).out) as Record<string, unknown>;
  const totals = {
    requests: 1,
    errors: 0,
    tokens_in: 1000,
    tokens_out: 20,
    cache_read: 3,
    cache_write: 4,
    cost_usd: 0.0625,
    answers: 1,
    hot_answers: 0,
    fallback_answers: 0,
    fallback_usd: 0,
    hot_share: 0,
  };
  assert.equal(report['key'], 'app-a');
  assert.deepEqual(report['today'], { ...totals, models: [{ model: 'opus', ...totals }] });
  assert.equal((report['days'] as unknown[]).length, 30);
  const shareOf = (part: unknown) => (part as Record<string, unknown>)['hot_share'];
  assert.equal(shareOf(report['period']), 0.5);
  assert.deepEqual((report['days'] as unknown[]).slice(-3).map(shareOf), [null, 2 / 3, 0]);
  assert.deepEqual((report['keys'] as unknown[]).map(shareOf), [0.5]);

  const daysOf = (await run('usage --days 2 --json')).out;
  const keysOf = (part: unknown) =>
    (part as { keys: { key: string; requests: number }[] }).keys.map(({ key, requests }) => [key, requests]);
  const perDay = [
    [['app-a', 4]],
    [
      ['app-a', 1],
      [`app-b (revoked ${b})`, 1],
    ],
  ];
  assert.deepEqual((JSON.parse(daysOf) as { days: unknown[] }).days.map(keysOf), perDay);

  assert.equal(
    (await run('usage --hours 2 --key app-a')).out,
    [
      'Key app-a, 2 UTC hours',
      'HOUR           REQUESTS  FAILED     IN  OUT  CACHE READ  CACHE WRITE  RECKONED  HOT',
      '2030-01-10 11         0       0      0    0           0            0        $0    -',
      '2030-01-10 12         1       0  1 000   20           3            4   $0.0625   0%',
      'total                 1       0  1 000   20           3            4   $0.0625   0%',
      '',
      'MODEL  REQUESTS  FAILED     IN  OUT  CACHE READ  CACHE WRITE  RECKONED  HOT',
      'opus          1       0  1 000   20           3            4   $0.0625   0%',
      '',
    ].join('\n'),
  );
  const hours = JSON.parse((await run('usage --hours 25 --json')).out) as { hours: { hour: string }[] };
  assert.deepEqual(
    [hours.hours.length, hours.hours.at(0)?.hour, hours.hours.at(-1)?.hour],
    [25, '2030-01-09T12', '2030-01-10T12'],
  );
  assert.deepEqual(keysOf(hours.hours[0]), [['app-a', 4]]);

  assert.deepEqual((await run('usage --csv')).out.split('\n').sort(), [
    '',
    '2030-01-09,app-a,haiku,4,0,1000,20,3,4,0.0625,3,2,0,0',
    '2030-01-10,app-a,opus,1,0,1000,20,3,4,0.0625,1,0,0,0',
    `2030-01-10,app-b (revoked ${b}),opus,1,1,0,0,0,0,0,0,0,0,0`,
    'day,key,model,requests,errors,tokens_in,tokens_out,cache_read,cache_write,cost_usd,answers,hot_answers,fallback_answers,fallback_usd',
  ]);
  close();
});

test('logs prints the last requests as text and as JSON', async () => {
  const { keys, record, close } = relay();
  const keyId = keys.create('app', {}, 'test').key.id;
  record({ key_id: keyId, request_id: 'req_a' });
  record({
    key_id: keyId,
    request_id: 'req_b',
    status: 429,
    error: 'rate_limited',
    limit_hit: 'key_rpm',
    tokens_in: 0,
    tokens_out: 0,
  });
  record({
    request_id: 'req_c',
    status: 0,
    client_gone: true,
    tokens_in: 0,
    tokens_out: 0,
    queue_ms: 1500,
  });
  const { out } = await run('logs');
  assert.equal(
    out,
    '2030-01-10 12:00:00  200  complete  app           opus        2.4s  in 1007  out 20  $0.0625  req_a\n' +
      '2030-01-10 12:00:00  429  complete  app           opus        2.4s  rate_limited (key_rpm)  req_b\n' +
      '2030-01-10 12:00:00  ---  complete  -             opus        2.4s  queued 1.5s  client gone  req_c\n',
  );
  assert.match((await run('logs -n 1 --key app')).out, /^.*req_b\n$/);
  const lines = (await run('logs --json')).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    lines.map((line) => [line['at'], line['request_id'], line['key_label'], line['client_gone']]),
    [
      ['2030-01-10T12:00:00.000Z', 'req_a', 'app', false],
      ['2030-01-10T12:00:00.000Z', 'req_b', 'app', false],
      ['2030-01-10T12:00:00.000Z', 'req_c', null, true],
    ],
  );
  close();
});

test('logs -f prints new requests, also of new keys, until it is stopped', async () => {
  const { keys, record, close } = relay();
  record({ request_id: 'req_old' });
  record({ request_id: 'req_last' });
  const ending = new AbortController();
  const seen: Ran = { code: 0, out: '', err: '' };
  const following = run('logs -f -n 1', { signal: ending.signal, seen });
  const shown = async (text: string) => {
    for (let tries = 0; !seen.out.includes(text) && tries < 500; tries += 1) await delay(10);
    assert.ok(seen.out.includes(text), `${text} in ${seen.out}`);
  };
  await shown('req_last');
  const keyId = keys.create('new-app', {}, 'test').key.id;
  record({ key_id: keyId, request_id: 'req_next' });
  await shown('req_next');
  ending.abort();
  assert.equal((await following).code, 0);
  assert.match(seen.out, /^.*req_last\n.*new-app.*req_next\n$/);
  close();
});

test('usage prints the models for which the plan is used up', async (t) => {
  const detail = 'the plan is used up: opus models until 2030-01-12T09:00:00.000Z';
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ ok: true, checks: [{ name: 'plan', ok: true, detail }] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const relayUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const closed = async (line: string, url: string): Promise<unknown> =>
    (JSON.parse((await run(line, { relayUrl: url })).out) as Record<string, unknown>)['plan_closed'];
  assert.match(
    (await run('usage', { relayUrl })).out,
    /\nNow the plan is used up: opus models until 2030-01-12T09:00:00\.000Z\.\n$/,
  );
  assert.equal(await closed('usage --json', relayUrl), detail);
  assert.equal(await closed('usage --json', 'http://127.0.0.1:9'), null, 'no relay runs');
});
