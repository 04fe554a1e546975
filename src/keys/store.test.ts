import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, test } from 'node:test';
import type { RelayError } from '../errors.ts';
import { storeFailure } from '../store/errors.ts';
import { openStore } from '../store/sqlite.ts';
import type { Store } from '../store/sqlite.ts';
import type { KeyGrants } from './key.ts';
import { openKeys } from './store.ts';
import type { Keys } from './store.ts';
import { mintToken } from './token.ts';

let dir: string;
let store: Store;
let keys: Keys;
let time: number;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-keys-'));
  store = openStore(dir);
  time = Date.UTC(2030, 0, 1);
  keys = openKeys(store, { now: () => time });
});
afterEach(() => {
  keys.close();
  store.close();
  rmSync(dir, { recursive: true });
});

const refused = (message: RegExp) => ({ name: 'KeyError', message });

test('verify returns a created key with all its limits and permissions', () => {
  const grants: KeyGrants = {
    expiresAt: time + 1000,
    dailyLimit: 5,
    rpm: 6,
    concurrency: 7,
    allowedRoutes: ['complete', 'usage'],
    allowedModels: ['opus', 'claude-opus-4-1[1m]', 'us.anthropic.claude-haiku-4-5-v1:0'],
  };
  const { key, token } = keys.create('my-app', grants, 'test');
  assert.deepEqual(key, { id: key.id, label: 'my-app', createdAt: time, ...grants });
  assert.deepEqual(keys.verify(token), key);
  assert.deepEqual(keys.list(), [key]);
});

test('verify returns a key without the limits that were not set', () => {
  const { key } = keys.create('a', {}, 'test');
  assert.deepEqual(Object.keys(key).sort(), ['createdAt', 'id', 'label']);
});

test('create refuses labels, limits and permissions that are not valid', () => {
  for (const label of ['', '-a', '.a', 'a b', 'é', 'a/b', 'a\n', 'x'.repeat(65)]) {
    assert.throws(() => keys.create(label, {}, 'test'), refused(/^A label is 1 to 64 letters/), label);
  }
  const wrong: [KeyGrants, RegExp][] = [
    [{ dailyLimit: 0 }, /daily limit/],
    [{ dailyLimit: 1.5 }, /daily limit/],
    [{ rpm: -1 }, /limit per minute/],
    [{ concurrency: Number.NaN }, /concurrency/],
    [{ expiresAt: time }, /future/],
    [{ expiresAt: Number.POSITIVE_INFINITY }, /future/],
    [{ allowedRoutes: [] }, /list of routes must have 1 to 30/],
    [{ allowedRoutes: ['admin' as 'usage'] }, /"admin" is not a route: .*complete/],
    [{ allowedModels: ['a,b'] }, /"a,b" is not a model/],
    [{ allowedModels: Array.from({ length: 31 }, () => 'opus') }, /1 to 30 entries/],
  ];
  for (const [grants, message] of wrong) {
    assert.throws(() => keys.create('ok', grants, 'test'), refused(message));
  }
  assert.deepEqual(keys.list(), []);
  keys.create('A.b_c-9', {}, 'test');
  keys.create('x'.repeat(64), {}, 'test');
});

test('create and the database refuse a label that a live key has', () => {
  keys.create('app', { expiresAt: time + 10 }, 'test');
  assert.throws(() => keys.create('app', {}, 'test'), refused(/already a key with the label app/));
  assert.throws(
    () => store.db.exec("INSERT INTO keys (id, label, created_at) VALUES ('other', 'app', 1)"),
    /UNIQUE/,
  );
  time += 10;
  assert.throws(() => keys.create('app', {}, 'test'), refused(/expired key.*revoke it first/));
  keys.revoke('app', 'test');
  keys.create('app', {}, 'test');
  assert.equal(keys.list().length, 1);
  assert.equal(keys.list({ revoked: true }).length, 2);
});

test('verify returns undefined for expired, revoked, unknown and wrong secrets', () => {
  const expiring = keys.create('expiring', { expiresAt: time + 10 }, 'test');
  time += 9;
  assert.ok(keys.verify(expiring.token));
  time += 1;
  assert.equal(keys.verify(expiring.token), undefined);

  const revoked = keys.create('revoked', {}, 'test');
  assert.equal(keys.revoke('revoked', 'test').revokedAt, time);
  assert.equal(keys.verify(revoked.token), undefined);
  assert.throws(() => keys.revoke('revoked', 'test'), refused(/no key with the label revoked/));

  const { key } = keys.create('live', {}, 'test');
  const random = (n: number) => Buffer.alloc(n, 1);
  assert.equal(keys.verify(mintToken(random, key.id).token), undefined);
  assert.equal(keys.verify(mintToken(random).token), undefined);
  assert.equal(keys.verify(''), undefined);
});

test('verify throws not_ready without the reason when the database cannot be read', () => {
  const { token } = keys.create('my-app', {}, 'test');
  keys.close();
  store.close();
  // What it has not read yet is only in the file.
  store = openStore(dir);
  keys = openKeys(store);
  truncateSync(join(dir, 'relay.db'), 5000);
  assert.throws(
    () => keys.verify(token),
    (error: RelayError) => {
      assert.deepEqual(
        [error.code, storeFailure(error.details.cause)],
        ['not_ready', 'the database is corrupt'],
      );
      assert.match(error.message, /^The relay cannot read its keys at the moment\. The owner/);
      return true;
    },
  );
});

test('live returns a key without a use of it, and isLive returns false for a key that is revoked, expired or unknown', () => {
  const { key } = keys.create('a', { expiresAt: time + 1000 }, 'test');
  keys.rotate('a', 0, 'test');
  assert.deepEqual([keys.isLive(key.id), keys.isLive('none')], [true, false]);
  assert.deepEqual([keys.mayUse(key.id, 'fetch'), keys.mayUse(key.id, 'metrics')], [true, false]);
  keys.close();
  assert.equal(keys.show('a').key.lastUsedAt, undefined);
  time += 1000;
  assert.equal(keys.isLive(key.id), false);
  const other = keys.create('b', {}, 'test').key;
  assert.equal(keys.isLive(other.id), true);
  keys.revoke('b', 'test');
  assert.equal(keys.isLive(other.id), false);
});

test('rotate keeps the old secret valid for the grace period', () => {
  const first = keys.create('app', {}, 'test');
  const second = keys.rotate('app', 1000, 'test');
  assert.equal(second.key.id, first.key.id);
  time += 999;
  assert.ok(keys.verify(first.token));
  assert.ok(keys.verify(second.token));
  time += 1;
  assert.equal(keys.verify(first.token), undefined);
  assert.ok(keys.verify(second.token));
  const third = keys.rotate('app', 0, 'test');
  assert.equal(keys.verify(second.token), undefined);
  assert.ok(keys.verify(third.token));
});

test('rotate keeps several old secrets valid, and a shorter grace period ends all of them', () => {
  const first = keys.create('app', {}, 'test');
  const second = keys.rotate('app', 1000, 'test');
  keys.rotate('app', 5000, 'test');
  assert.ok(keys.verify(first.token));
  time += 1000;
  assert.equal(keys.verify(first.token), undefined);
  assert.ok(keys.verify(second.token));
  const last = keys.rotate('app', 0, 'test');
  assert.equal(keys.verify(second.token), undefined);
  assert.ok(keys.verify(last.token));
  assert.equal(store.db.prepare('SELECT count(*) AS n FROM key_secrets').get()?.['n'], 1);
  for (const grace of [-1, 0.5, Number.NaN])
    assert.throws(() => keys.rotate('app', grace, 'test'), refused(/grace/));
});

test('show returns each change of a key with its time and command', () => {
  keys.create('app', {}, 'key create');
  time += 1;
  keys.rotate('app', 0, 'key rotate');
  time += 1;
  keys.revoke('app', 'key revoke');
  const { key, events } = keys.show('app');
  assert.equal(key.revokedAt, time);
  assert.deepEqual(events, [
    { at: time - 2, action: 'created', command: 'key create' },
    { at: time - 1, action: 'rotated', command: 'key rotate' },
    { at: time, action: 'revoked', command: 'key revoke' },
  ]);
  assert.throws(() => keys.show('nobody'), refused(/no key with the label nobody/));
});

test('an error about a label does not repeat a secret', () => {
  const { token } = keys.create('app', {}, 'test');
  for (const ask of [() => keys.show(token), () => keys.revoke(token, 'test')]) {
    assert.throws(
      ask,
      (error: Error) => error.name === 'KeyError' && !error.message.includes(token.slice(16)),
    );
  }
});

test('the time of last use is written later, at most once a minute for each key', () => {
  const { token } = keys.create('app', {}, 'test');
  const lastUsed = () => {
    keys.close();
    return keys.show('app').key.lastUsedAt;
  };
  keys.verify(token);
  assert.equal(store.db.prepare('SELECT last_used_at FROM keys').get()?.['last_used_at'], null);
  assert.equal(lastUsed(), time);
  const start = time;
  time += 59_999;
  keys.verify(token);
  assert.equal(lastUsed(), start);
  time += 1;
  keys.verify(token);
  assert.equal(lastUsed(), time);
});

test('the next use corrects a time of last use in the future', () => {
  const { token } = keys.create('app', {}, 'test');
  const right = time;
  time += 365 * 86_400_000;
  keys.verify(token);
  keys.close();
  time = right;
  keys.verify(token);
  keys.close();
  assert.equal(keys.show('app').key.lastUsedAt, right);
});

test('no file of the database contains a secret', () => {
  const { token } = keys.create('app', {}, 'test');
  const rotated = keys.rotate('app', 1000, 'test').token;
  for (const name of readdirSync(dir)) {
    const content = readFileSync(join(dir, name));
    for (const secret of [token, rotated]) {
      assert.equal(content.includes(secret.slice(16, 59)), false, name);
      assert.equal(content.includes(secret.slice(20, 40)), false, name);
    }
  }
});

test('verify finds one of 10,000 keys by the primary keys', () => {
  store.db.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO keys (id, label, created_at) SELECT printf('%011d', i), 'k' || i, i FROM n;
    INSERT INTO key_secrets (key_id, digest) SELECT id, randomblob(32) FROM keys;
    ANALYZE`);
  const { token } = keys.create('app', {}, 'test');
  assert.equal(keys.verify(token)?.label, 'app');
  assert.equal(keys.list().length, 10_001);
  const plan = store.db
    .prepare(
      `EXPLAIN QUERY PLAN SELECT k.*, s.digest, s.valid_until FROM keys k JOIN key_secrets s ON s.key_id = k.id
       WHERE k.id = ? AND k.revoked_at IS NULL`,
    )
    .all('')
    .map((row) => row['detail']);
  assert.deepEqual(plan, ['SEARCH k USING PRIMARY KEY (id=?)', 'SEARCH s USING PRIMARY KEY (key_id=?)']);
});

test('verify sees keys that another process creates and revokes', async () => {
  const program = `
    import { createInterface } from 'node:readline';
    import { openKeys } from ${JSON.stringify(new URL('store.ts', import.meta.url).href)};
    import { openStore } from ${JSON.stringify(new URL('../store/sqlite.ts', import.meta.url).href)};
    const keys = openKeys(openStore(process.argv[1], { waitMs: 5000 }));
    for await (const line of createInterface(process.stdin)) {
      const [command, label] = line.split(' ');
      if (command === 'create') console.log(keys.create(label, {}, 'child').token);
      if (command === 'rotate') console.log(keys.rotate(label, 0, 'child').token);
      if (command === 'revoke') console.log(keys.revoke(label, 'child').id);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ask = async (line: string) => {
    child.stdin.write(`${line}\n`);
    return String((await answers.next()).value);
  };
  for (let i = 0; i < 50; i += 1) {
    const token = await ask(`create app-${i}`);
    assert.equal(keys.verify(token)?.label, `app-${i}`);
    const rotated = await ask(`rotate app-${i}`);
    assert.equal(keys.verify(token), undefined);
    // Both processes write: neither may see the other's lock as an error.
    keys.create(`own-${i}`, {}, 'test');
    assert.equal(keys.verify(rotated)?.label, `app-${i}`);
    await ask(`revoke app-${i}`);
    assert.equal(keys.verify(rotated), undefined);
  }
  child.stdin.end();
  assert.deepEqual(await once(child, 'close'), [0, null]);
});

test('lend creates the key if needed and a secret that expires', () => {
  const first = keys.lend('ask', 1000, 'ask');
  const second = keys.lend('ask', 5000, 'ask');
  assert.equal(first.key.id, second.key.id);
  assert.equal(keys.list().length, 1);
  for (const { token, key } of [first, second]) assert.equal(keys.verify(token)?.id, key.id);
  first.end();
  assert.equal(keys.verify(first.token), undefined);
  assert.ok(keys.verify(second.token));
  time += 5000;
  assert.equal(keys.verify(second.token), undefined);
  // The next call removes what has expired.
  keys.lend('ask', 1000, 'ask').end();
  assert.deepEqual(store.db.prepare('SELECT * FROM key_secrets').all(), []);
  const { events } = keys.show('ask');
  assert.deepEqual(
    events.map(({ action, command }) => `${action} ${command}`),
    ['created ask', 'lent ask', 'lent ask', 'lent ask'],
  );
});

test('lend keeps the limits and the other secrets of an existing key', () => {
  const own = keys.create('ask', { dailyLimit: 3 }, 'test');
  const lent = keys.lend('ask', 1000, 'ask');
  assert.equal(keys.verify(lent.token)?.dailyLimit, 3);
  time += 2000;
  lent.end();
  assert.ok(keys.verify(own.token));
  keys.revoke('ask', 'test');
  assert.equal(keys.verify(lent.token), undefined);
  assert.notEqual(keys.lend('ask', 1000, 'ask').key.id, own.key.id);
});

test('lend refuses an expired key and a label that is not valid', () => {
  keys.create('ask', { expiresAt: time + 1000 }, 'test');
  time += 1000;
  assert.throws(() => keys.lend('ask', 1000, 'ask'), refused(/expired key still has the label ask/));
  assert.throws(() => keys.lend('a b', 1000, 'ask'), refused(/A label is/));
});

test('change sets, clears and leaves each limit and permission', () => {
  const grants: KeyGrants = { dailyLimit: 5, rpm: 6, allowedRoutes: ['complete'], allowedModels: ['opus'] };
  const { key, token } = keys.create('app', grants, 'test');
  const changed = keys.change(
    'app',
    { dailyLimit: 7, rpm: null, concurrency: 2, expiresAt: undefined, allowedModels: null },
    'key set',
  );
  const { rpm: _rpm, allowedModels: _models, ...kept } = key;
  assert.deepEqual(changed, { ...kept, dailyLimit: 7, concurrency: 2 });
  assert.deepEqual(keys.verify(token), changed);
  assert.throws(() => keys.change('app', { rpm: 0 }, 'key set'), refused(/limit per minute/));
  assert.throws(
    () => keys.change('app', { rpm: 9, ollama: { host: '127.0.0.1', port: 0 } }, 'key set'),
    refused(/port/),
  );
  assert.deepEqual(keys.verify(token), changed, 'a change that is refused changes nothing');
});

test('a disabled key is refused until it is enabled, and keeps its secret and its limits', () => {
  const { key, token } = keys.create('app', { dailyLimit: 5 }, 'test');
  const standing = keys.standing(key.id);
  assert.deepEqual(keys.change('app', { disabled: true }, 'key disable'), { ...key, disabledAt: time });
  assert.deepEqual(
    [keys.verify(token), keys.byId(key.id), keys.isLive(key.id), keys.standing(key.id)],
    [undefined, undefined, false, undefined],
  );
  time += 1;
  assert.equal(keys.change('app', { disabled: true, rpm: 3 }, 'key disable').disabledAt, time - 1);
  assert.deepEqual(keys.change('app', { disabled: null, rpm: null }, 'key enable'), key);
  assert.deepEqual([keys.verify(token), keys.standing(key.id)], [key, standing]);
});

test('a key has an address for Ollama until it is removed, and no two keys have the same', () => {
  const { key } = keys.create('ha', {}, 'test');
  keys.create('other', {}, 'test');
  const ollama = { host: '127.0.0.1', port: 11434 };
  assert.deepEqual(keys.change('ha', { ollama: { host: 'localhost', port: 11434 } }, 'key set'), {
    ...key,
    ollama,
  });
  assert.deepEqual(keys.withOllama(), [{ ...key, ollama }]);
  assert.throws(
    () => keys.change('other', { ollama }, 'key set'),
    refused(/^The key ha already has that address/),
  );
  keys.change('other', { ollama: { host: '0:0:0:0:0:0:0:1', port: 11434 } }, 'key set');
  assert.equal(keys.withOllama().at(-1)?.ollama?.host, '::1');
  assert.deepEqual(keys.change('ha', { ollama: null }, 'key set'), key);
  assert.deepEqual(
    keys.show('ha').events.map(({ action }) => action),
    ['created', 'changed', 'changed'],
  );
  keys.change('ha', { ollama }, 'key set');
  keys.revoke('ha', 'test');
  assert.deepEqual(keys.change('other', { ollama }, 'key set').ollama, ollama, 'a revoked key gives it free');
  assert.throws(
    () => keys.change('ha', { ollama: null }, 'key set'),
    refused(/^There is no key with the label ha/),
  );
});

test('change refuses a port out of range, a name, and an address that means all of them', () => {
  keys.create('ha', {}, 'test');
  for (const port of [0, -1, 1.5, 65_536, Number.NaN]) {
    assert.throws(
      () => keys.change('ha', { ollama: { host: '127.0.0.1', port } }, 'key set'),
      refused(/^The port must be/),
    );
  }
  for (const host of [
    '',
    '0.0.0.0',
    '::',
    '0::0',
    '::ffff:0.0.0.0',
    '::ffff:127.0.0.1',
    'fe80::1%eth0',
    'ha.local',
  ]) {
    assert.throws(
      () => keys.change('ha', { ollama: { host, port: 1 } }, 'key set'),
      refused(/^The host must be one IP/),
      host,
    );
  }
});

test('byId returns a key until it is revoked or has expired, and notes its use', () => {
  const { key } = keys.create('a', { expiresAt: time + 1000 }, 'test');
  assert.deepEqual(keys.byId(key.id), key);
  assert.equal(keys.byId('nobody'), undefined);
  keys.close();
  assert.equal(keys.show('a').key.lastUsedAt, time);
  time += 1000;
  assert.equal(keys.byId(key.id), undefined);
  const { key: other } = keys.create('b', {}, 'test');
  keys.revoke('b', 'test');
  assert.equal(keys.byId(other.id), undefined);
});
