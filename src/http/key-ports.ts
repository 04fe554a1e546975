/** The listeners of keys that serve an API without a secret: opened and closed as the keys change, while the relay runs. */
import type { Logger } from 'pino';
import type { Key, OllamaAddress } from '../keys/key.ts';
import type { Times } from './times.ts';

type Listener = { url: string; close(): Promise<void> };
type Wanted = { key: Key; address: OllamaAddress };

type KeyPortsOptions = {
  /** The keys with an address. Throws if they cannot be read: then the listeners stay. */
  keys: () => readonly Key[];
  /** Rejects with the system's error, such as EADDRINUSE: then it is tried again. */
  open: (keyId: string, address: OllamaAddress) => Promise<Listener>;
  log: Pick<Logger, 'info' | 'warn'>;
  times: Pick<Times, 'followKeysMs'>;
};

/** Resolves when the ports of the keys are open, or were tried. Never rejects. */
export async function openKeyPorts({ keys, open, log, times }: KeyPortsOptions) {
  const listeners = new Map<string, Listener>();
  const failed = new Set<string>();
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let round = Promise.resolve();

  const openOne = async (name: string, { key, address }: Wanted): Promise<void> => {
    try {
      const listener = await open(key.id, address);
      listeners.set(name, listener);
      failed.delete(name);
      log.info({ url: listener.url, key_label: key.label }, 'listening for Ollama clients');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Once, not every second.
      if (!failed.has(name)) {
        log.warn(
          { ...address, key_label: key.label, code },
          'cannot listen for Ollama clients, will try again',
        );
      }
      failed.add(name);
    }
  };

  const follow = async (): Promise<void> => {
    const wanted = wantedOf(keys);
    if (wanted === undefined) return;
    for (const name of failed) if (!wanted.has(name)) failed.delete(name);
    for (const [name, listener] of listeners) {
      if (wanted.has(name)) continue;
      listeners.delete(name);
      await listener.close();
      log.info({ url: listener.url }, 'no longer listening for Ollama clients');
    }
    for (const [name, each] of wanted) {
      if (!closed && !listeners.has(name)) await openOne(name, each);
    }
  };

  const next = (): Promise<void> => {
    round = follow().finally(() => {
      if (!closed) timer = setTimeout(() => void next(), times.followKeysMs).unref();
    });
    return round;
  };

  await next();
  return {
    close: async (): Promise<void> => {
      closed = true;
      clearTimeout(timer);
      await round;
      await Promise.all([...listeners.values()].map((listener) => listener.close()));
    },
  };
}

/** By a name that changes with the key and the address. */
function wantedOf(keys: KeyPortsOptions['keys']): Map<string, Wanted> | undefined {
  const wanted = new Map<string, Wanted>();
  try {
    for (const key of keys()) {
      const { ollama: address } = key;
      if (address !== undefined) wanted.set(`${key.id} ${address.host} ${address.port}`, { key, address });
    }
    return wanted;
  } catch {
    // A locked or broken database: its requests get `not_ready`, and `/ready` says why.
    return undefined;
  }
}
