/**
 * Slows addresses that send wrong keys. It is asked only after a key was found wrong, so a right key is never slowed,
 * not even from an address that also sends wrong ones.
 */
import { clientBlock } from './client-address.ts';
import type { Clock } from './clock.ts';
import { refusal } from './refusals.ts';
import { SlidingWindow } from './windows.ts';

export type StrangersOptions = {
  /** Wrong keys of one address in any `windowMs` that are answered as such; 0: never slowed. */
  limit: number;
  windowMs: number;
  /** Addresses remembered; the one not seen for longest is forgotten first. */
  maxAddresses: number;
  clock: Pick<Clock, 'monotonic'>;
};

export type Strangers = {
  /** Notes a wrong key. Throws `rate_limited` (limit `unauthenticated`) when this address has sent too many. */
  wrongKey(address: string): void;
  /** How many addresses are remembered. */
  readonly remembered: number;
};

export function createStrangers({ limit, windowMs, maxAddresses, clock }: StrangersOptions): Strangers {
  /** From the one not seen for longest to the latest: a `Map` iterates in the order of insertion. */
  const seen = new Map<string, SlidingWindow>();

  return {
    wrongKey(address) {
      if (limit === 0) return;
      const block = clientBlock(address);
      const window = seen.get(block) ?? new SlidingWindow(windowMs);
      seen.delete(block);
      seen.set(block, window);
      const [oldest] = seen.keys();
      if (seen.size > maxAddresses && oldest !== undefined) seen.delete(oldest);

      const now = clock.monotonic();
      const waitMs = window.waitMs(now, limit);
      if (waitMs > 0) throw refusal({ limit: 'unauthenticated', waitMs });
      window.take(now);
    },
    get remembered() {
      return seen.size;
    },
  };
}
