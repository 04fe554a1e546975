import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openStore, type Store } from '../store/sqlite.ts';
import type { KeyGrants } from './key.ts';
import { openKeys, type Keys } from './store.ts';

let dir: string;
let store: Store;
let keys: Keys;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-prompts-'));
  store = openStore(dir);
  keys = openKeys(store);
});
afterEach(() => {
  keys.close();
  store.close();
  rmSync(dir, { recursive: true });
});

const refused = (message: RegExp) => ({ name: 'KeyError', message });
const canary = 'CANARYk7q, the owner’s text. ';

/** The files of the data directory that hold the text now, while they are open. */
function holding(text: string): string[] {
  return readdirSync(dir).filter((name) => readFileSync(join(dir, name)).includes(text));
}

test('a key has its profile, and only the store has the text of its system prompt', () => {
  const profile: KeyGrants = { model: 'haiku', effort: 'low', maxTokens: 800, locked: true };
  const system = '  Byte for byte: “é” \u{1f642}\r\n';
  const { key, token } = keys.create('news', { ...profile, system }, 'test');
  assert.deepEqual(keys.verify(token), key);
  const { id, label, createdAt, ...rest } = key;
  assert.deepEqual([label, typeof createdAt], ['news', 'number']);
  assert.deepEqual(rest, { ...profile, systemBytes: Buffer.byteLength(system) });
  assert.equal(keys.systemOf(id), system);
  assert.equal(keys.systemOf('none'), undefined);
});

test('change sets and removes each field of a profile alone', () => {
  const { id } = keys.create('news', { model: 'haiku', maxTokens: 800 }, 'test').key;
  keys.change('news', { system: 'one', effort: 'max' }, 'key set');
  const both = keys.change('news', { system: 'two', model: null, locked: true }, 'key set');
  const { model, effort, maxTokens, systemBytes, locked } = both;
  assert.deepEqual([model, effort, maxTokens, systemBytes, locked], [undefined, 'max', 800, 3, true]);
  assert.equal(keys.systemOf(id), 'two');
  const none = keys.change('news', { system: null, effort: null, maxTokens: null, locked: null }, 'key set');
  assert.deepEqual(Object.keys(none).sort(), ['createdAt', 'id', 'label']);
  assert.equal(keys.systemOf(id), undefined);
  assert.deepEqual(
    keys.show('news').events.map(({ action }) => action),
    ['created', 'changed', 'changed', 'changed'],
  );
});

test('create and change refuse a profile that is not valid, and do not quote the system prompt', () => {
  keys.create('opus', { allowedModels: ['opus'] }, 'test');
  const wrong: [KeyGrants & { system?: string }, RegExp][] = [
    [{ model: 'a b' }, /^"a b" is not a model\.$/],
    [{ effort: 'hard' as 'low' }, /^"hard" is not an effort: use low, medium, high, xhigh, max\.$/],
    [{ maxTokens: 0 }, /number of tokens must be a whole number/],
    [{ locked: true }, /^There is nothing to lock: set a system prompt/],
    [{ model: 'haiku', allowedModels: ['opus'] }, /may use opus only, so its own model cannot be haiku/],
    [{ system: ' \n' }, /^The system prompt is empty\.$/],
    [{ system: `${canary}\0` }, /^The system prompt holds a NUL character\.$/],
    [{ system: canary.repeat(4000) }, /^The system prompt has 124000 bytes: shorten it to 100000\.$/],
  ];
  for (const [grants, message] of wrong) {
    assert.throws(() => keys.create('ok', grants, 'test'), refused(message));
    assert.throws(() => keys.change('opus', grants, 'test'), refused(message));
  }
  assert.throws(() => keys.change('opus', { model: 'haiku' }, 'test'), refused(/its own model cannot be/));
  keys.change('opus', { model: 'claude-opus-5', system: 'é'.repeat(50_000), locked: true }, 'test');
  assert.throws(
    () => keys.change('opus', { allowedModels: ['haiku'] }, 'test'),
    refused(/cannot be claude-opus-5/),
  );
  keys.change('opus', { model: null }, 'test');
  assert.throws(() => keys.change('opus', { system: null }, 'test'), refused(/nothing to lock/));
  assert.deepEqual(
    keys.list().map(({ label }) => label),
    ['opus'],
  );
});

test('a change, a removal and a revocation overwrite the old text in every file', () => {
  const relay = openStore(dir);
  const relayKeys = openKeys(relay);
  const text = canary.repeat(3000);
  const { id } = keys.create('news', { system: text }, 'test').key;
  assert.equal(relayKeys.systemOf(id), text);
  for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o077, 0, name);
  const steps: [string, () => unknown][] = [
    ['changed', () => keys.change('news', { system: 'short' }, 'test')],
    ['removed', () => keys.change('news', { system: null }, 'test')],
    ['revoked', () => keys.revoke('news', 'test')],
  ];
  for (const [step, run] of steps) {
    keys.change('news', { system: text }, 'test');
    assert.ok(holding(canary).length > 0, 'the control: the search finds it');
    run();
    assert.deepEqual(holding(canary), [], step);
  }
  assert.equal(relayKeys.systemOf(id), undefined);
  assert.equal(keys.show('news').key.systemBytes, undefined);
  assert.equal(keys.create('news', {}, 'test').key.systemBytes, undefined, 'a new key of the label has none');
  relayKeys.close();
  relay.close();
});
