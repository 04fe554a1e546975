/** Memory for bodies larger than MAX_INPUT_BYTES: a few dozen at once would fill it. One that does not fit is refused unread. */
import { RelayError } from '../errors.ts';

/** How many bodies of the largest size fit at once, for one key and in all. */
export const largeBodies = { perKey: 4, all: 8 } as const;

export class BodyBudget {
  readonly #largest: number;
  readonly #reserved = new Map<string, number>();

  /** `largest`: bytes of the largest body that is accepted. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** Returns what gives the bytes back; to be called once. Throws `rate_limited` when they do not fit. */
  reserve(keyId: string, bytes: number): () => void {
    const ofKey = (this.#reserved.get(keyId) ?? 0) + bytes;
    const inAll = [...this.#reserved.values()].reduce((sum, each) => sum + each, bytes);
    if (ofKey > largeBodies.perKey * this.#largest || inAll > largeBodies.all * this.#largest) {
      throw new RelayError(
        'rate_limited',
        'Too many requests with images or documents are under way. Try again in 5 s.',
        // The rest of the body is not read.
        { limit: 'global_concurrency', retryAfter: 5, headers: { connection: 'close' } },
      );
    }
    this.#reserved.set(keyId, ofKey);
    return () => this.#release(keyId, bytes);
  }

  #release(keyId: string, bytes: number): void {
    const left = (this.#reserved.get(keyId) ?? 0) - bytes;
    if (left > 0) this.#reserved.set(keyId, left);
    else this.#reserved.delete(keyId);
  }
}
