/** Slows addresses that send wrong keys. It is asked after a key was found wrong, so a valid key of the address is never slowed. */
import { clientBlock } from './client-address.ts';
import type { Clock } from './clock.ts';
import { RateLimiter } from './rate-limiter.ts';

/** Addresses remembered. */
export const maxAddresses = 10_000;

export class FailedKeyLimiter {
  readonly #limiter: RateLimiter;
  readonly #onFailed: () => void;

  /** `onFailed` is called for each of them. */
  constructor(clock: Pick<Clock, 'monotonic'>, onFailed: () => void = () => {}) {
    // Failed keys of one address in five minutes that get a 401.
    const limit = { events: 20, windowMs: 300_000, name: 'unauthenticated', ids: maxAddresses } as const;
    this.#limiter = new RateLimiter(clock, limit);
    this.#onFailed = onFailed;
  }

  /** Throws `rate_limited` (limit `unauthenticated`) if this address has sent too many. */
  record(address: string): void {
    this.#onFailed();
    this.#limiter.take(clientBlock(address));
  }
}
