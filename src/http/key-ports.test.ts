import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Key, OllamaAddress } from '../keys/key.ts';
import { openKeyPorts } from './key-ports.ts';

const key = (id: string, port?: number): Key => ({
  id,
  label: id,
  createdAt: 0,
  ...(port === undefined ? {} : { ollama: { host: '127.0.0.1', port } }),
});

function setUp(first: readonly Key[]) {
  const state = { keys: (): readonly Key[] => first, taken: new Set<number>() };
  const events: string[] = [];
  const options = {
    keys: () => state.keys(),
    open: async (keyId: string, { port }: OllamaAddress) => {
      if (state.taken.has(port)) throw Object.assign(new Error('taken'), { code: 'EADDRINUSE' });
      events.push(`open ${keyId} ${port}`);
      return {
        url: `http://127.0.0.1:${port}`,
        close: async () => void events.push(`close ${keyId} ${port}`),
      };
    },
    log: { info: () => {}, warn: (fields: object) => void events.push(`warn ${JSON.stringify(fields)}`) },
    times: { followKeysMs: 1 },
  };
  return { state, events, options };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1);
}

test('the ports of keys follow the keys: a port that changes hands closes before it opens', async () => {
  const { state, events, options } = setUp([key('a', 1), key('b')]);
  const ports = await openKeyPorts(options);
  assert.deepEqual(events, ['open a 1']);
  state.keys = () => [key('a', 2), key('b', 1)];
  await until(() => events.length === 4);
  assert.deepEqual(events.slice(1), ['close a 1', 'open a 2', 'open b 1']);
  await ports.close();
  assert.deepEqual(events.slice(4).toSorted(), ['close a 2', 'close b 1']);
});

test('the ports of keys stay open while the keys cannot be read', async () => {
  const { state, events, options } = setUp([key('a', 1)]);
  const ports = await openKeyPorts(options);
  let reads = 0;
  state.keys = () => {
    reads += 1;
    throw new Error('locked');
  };
  await until(() => reads > 3);
  assert.deepEqual(events, ['open a 1']);
  await ports.close();
});

test('a port that is taken is reported once, and tried again', async () => {
  const { state, events, options } = setUp([key('a', 1)]);
  state.taken.add(1);
  let reads = 0;
  state.keys = () => {
    reads += 1;
    return [key('a', 1)];
  };
  const ports = await openKeyPorts(options);
  await until(() => reads > 3);
  assert.deepEqual(events, ['warn {"host":"127.0.0.1","port":1,"key_label":"a","code":"EADDRINUSE"}']);
  state.taken.clear();
  await until(() => events.includes('open a 1'));
  await ports.close();
});
