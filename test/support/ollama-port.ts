/** A key of an in-process relay with a port for clients of Ollama. The relay follows its keys: give it `times: { followKeysMs: 20 }`. */
import type { KeyGrants } from '../../src/keys/key.ts';
import { openKeys, type Keys } from '../../src/keys/store.ts';
import { openStore } from '../../src/store/sqlite.ts';
import type { InProcessRelay } from './in-process.ts';
import { freePort } from './ports.ts';
import { eventually } from './relay.ts';

/** As `claude-relay key set` does, in another process. */
export function changeKeys<T>({ dataDir }: InProcessRelay, work: (keys: Keys) => T): T {
  const store = openStore(dataDir, { waitMs: 5000 });
  try {
    return work(openKeys(store));
  } finally {
    store.close();
  }
}

/** A new key with a port, on which the relay listens. */
export async function ollamaPort(
  relay: InProcessRelay,
  label: string,
  grants: KeyGrants = {},
): Promise<{ url: string; port: number; keyId: string }> {
  const port = await freePort();
  const { id } = changeKeys(relay, (keys) => {
    keys.create(label, grants, 'test');
    return keys.change(label, { ollama: { host: '127.0.0.1', port } }, 'key set');
  });
  await eventually(`a listener for ${label}`, () => relay.log().includes(`"url":"http://127.0.0.1:${port}"`));
  return { url: `http://127.0.0.1:${port}`, port, keyId: id };
}
