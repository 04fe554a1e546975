import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { writeDatabase } from '../../test/support/databases.ts';
import { migrations } from '../store/migrations.ts';
import { openStore, type Store } from '../store/sqlite.ts';
import { openKeys, type Keys } from './store.ts';

const today = migrations.length;
const canary = 'CANARYk7q, the owner’s text. ';

let dir: string;
let copy: string;
let store: Store;
let keys: Keys;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-key-copies-'));
  copy = join(dir, `relay.db.schema-${today}`);
});
afterEach(() => {
  keys.close();
  store.close();
  rmSync(dir, { recursive: true });
});

function open(steps = migrations): void {
  store = openStore(dir, { steps });
  keys = openKeys(store);
}

function upgrade(): void {
  keys.close();
  store.close();
  open([...migrations, 'CREATE TABLE next (a TEXT) STRICT']);
}

/** What a version of the copy's schema reads after going back to it. */
function back(): void {
  keys.close();
  store.close();
  writeFileSync(join(dir, 'relay.db'), readFileSync(copy));
  open();
}

const holding = (text: string): string[] =>
  readdirSync(dir).filter((name) => readFileSync(join(dir, name)).includes(text));

test('a key that was revoked stays revoked after going back, and no file holds its system prompt or webhooks', () => {
  open();
  const system = canary.repeat(3000);
  const { key, token } = keys.create('news', { system }, 'test');
  const kept = keys.create('kept', {}, 'test');
  const secret = Buffer.from(keys.webhookSecret('news').slice('whsec_'.length), 'base64').toString('latin1');
  store.db.exec(
    `INSERT INTO webhooks (job_id, key_id, created_at, url) VALUES ('job_1', '${key.id}', 1, 'https://${'hook'.repeat(9)}')`,
  );
  upgrade();
  const at = Date.now() - 86_400_000;
  utimesSync(copy, at / 1000, at / 1000);
  assert.ok(holding(canary).includes(`relay.db.schema-${today}`), 'the control');
  keys.revoke('news', 'test');
  assert.deepEqual(holding(canary), []);
  assert.ok(!readFileSync(copy).includes('hookhook'));
  assert.ok(!readFileSync(copy, 'latin1').includes(secret));
  assert.equal(Math.round(statSync(copy).mtimeMs), at, 'the copy does not stay longer');
  back();
  assert.equal(keys.verify(token), undefined);
  assert.equal(keys.verify(kept.token)?.label, 'kept');
  assert.equal(typeof keys.show('news').key.revokedAt, 'number');
});

test('a key that was disabled or ended stays so after going back, and one that was enabled again does not', () => {
  open();
  const tokens = ['disabled', 'enabled', 'ended', 'kept'].map(
    (label) => keys.create(label, {}, 'test').token,
  );
  keys.change('enabled', { disabled: true }, 'test');
  upgrade();
  keys.change('disabled', { disabled: true }, 'test');
  keys.change('enabled', { disabled: null }, 'test');
  const expiresAt = Date.now() + 60_000;
  keys.change('ended', { expiresAt }, 'test');
  keys.change('kept', { rpm: 3 }, 'test');
  back();
  assert.deepEqual(
    tokens.map((token) => keys.verify(token)?.label),
    [undefined, 'enabled', 'ended', 'kept'],
  );
  assert.equal(keys.show('ended').key.expiresAt, expiresAt);
});

test('a secret that was replaced has ended after going back, and the new one is valid', () => {
  open();
  const before = keys.create('app', {}, 'test');
  upgrade();
  const { token } = keys.rotate('app', 0, 'test');
  back();
  assert.equal(keys.verify(before.token), undefined);
  assert.equal(keys.verify(token)?.label, 'app');
});

test('a system prompt that was replaced or removed is not in the copy', () => {
  open();
  for (const label of ['one', 'two']) keys.create(label, { system: canary.repeat(2000) }, 'test');
  const id = keys.show('one').key.id;
  upgrade();
  keys.change('one', { system: 'short' }, 'test');
  keys.change('two', { system: null }, 'test');
  keys.create('new', { system: 'new' }, 'test');
  keys.change('new', { system: 'newer' }, 'test');
  assert.deepEqual(holding(canary), []);
  back();
  assert.equal(keys.systemOf(id), 'short');
  const left = Object.fromEntries(keys.list().map(({ label, systemBytes }) => [label, systemBytes]));
  assert.deepEqual(left, { one: 5, two: undefined });
});

test('a revocation reaches a copy of each schema', () => {
  for (const schema of migrations.keys()) {
    if (schema > 0) writeDatabase(join(dir, `relay.db.schema-${schema}`), schema);
  }
  writeDatabase(join(dir, 'relay.db'), today);
  open();
  keys.rotate('app', 0, 'test');
  keys.change('app', { system: 'short', disabled: true }, 'test');
  const { id } = keys.revoke('app', 'test');
  for (const schema of migrations.keys()) {
    if (schema === 0) continue;
    const old = openStore(dirOf(schema), { steps: migrations.slice(0, schema) });
    const left = old.db.prepare('SELECT revoked_at FROM keys WHERE id = ?').get(id);
    assert.equal(typeof left?.['revoked_at'], 'number', String(schema));
    assert.equal(old.db.prepare('SELECT 1 FROM key_secrets').get(), undefined);
    old.close();
  }
});

test('a copy that cannot be changed is removed', () => {
  open();
  keys.create('app', {}, 'test');
  writeFileSync(copy, 'not a database');
  keys.revoke('app', 'test');
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.includes('schema')),
    [],
  );
});

/** A data directory whose database is the copy. */
function dirOf(schema: number): string {
  const data = mkdtempSync(join(dir, 'data-'));
  writeFileSync(join(data, 'relay.db'), readFileSync(join(dir, `relay.db.schema-${schema}`)));
  return data;
}
