/** Slows addresses that send wrong keys. It is asked after a key was found wrong, so a valid key of the address is never slowed. */
import { clientBlock } from './client-address.ts';
import type { Clock } from './clock.ts';
import { refusal } from './refusals.ts';
import { SlidingWindow } from './windows.ts';

/** Failed keys of one address in any `windowMs` that get a 401. */
const limit = 20;
const windowMs = 300_000;
/** Addresses remembered; the one that has sent nothing for longest is forgotten first. */
export const maxAddresses = 10_000;

export class FailedKeyLimiter {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** A `Map` iterates in the order of insertion: here from the longest silence to the latest failure. */
  readonly #windows = new Map<string, SlidingWindow>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Throws `rate_limited` (limit `unauthenticated`) if this address has sent too many. */
  record(address: string): void {
    const block = clientBlock(address);
    const window = this.#windows.get(block) ?? new SlidingWindow(windowMs);
    this.#windows.delete(block);
    this.#windows.set(block, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > maxAddresses && oldest !== undefined) this.#windows.delete(oldest);

    const now = this.#clock.monotonic();
    const waitMs = window.waitMs(now, limit);
    if (waitMs > 0) throw refusal({ limit: 'unauthenticated', waitMs });
    window.take(now);
  }
}
