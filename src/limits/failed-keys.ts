/**
 * Slows addresses that send keys that are not valid. It is asked only after a key was found not to be valid, so a valid key is
 * never slowed, not even from the same address.
 */
import { clientBlock } from './client-address.ts';
import type { Clock } from './clock.ts';
import { refusal } from './refusals.ts';
import { SlidingWindow } from './windows.ts';

export type FailedKeyLimiterOptions = {
  /** Failed keys of one address in any `windowMs` that get a 401; 0: no limit. */
  limit: number;
  windowMs: number;
  /** Addresses remembered; the one that has sent nothing for longest is forgotten first. */
  maxAddresses: number;
  clock: Pick<Clock, 'monotonic'>;
};

export class FailedKeyLimiter {
  readonly #options: FailedKeyLimiterOptions;
  /** A `Map` iterates in the order of insertion: here from the longest silence to the latest failure. */
  readonly #windows = new Map<string, SlidingWindow>();

  constructor(options: FailedKeyLimiterOptions) {
    this.#options = options;
  }

  /** Throws `rate_limited` (limit `unauthenticated`) if this address has sent too many. */
  record(address: string): void {
    const { limit, windowMs, maxAddresses, clock } = this.#options;
    if (limit === 0) return;
    const block = clientBlock(address);
    const window = this.#windows.get(block) ?? new SlidingWindow(windowMs);
    this.#windows.delete(block);
    this.#windows.set(block, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > maxAddresses && oldest !== undefined) this.#windows.delete(oldest);

    const now = clock.monotonic();
    const waitMs = window.waitMs(now, limit);
    if (waitMs > 0) throw refusal({ limit: 'unauthenticated', waitMs });
    window.take(now);
  }
}
