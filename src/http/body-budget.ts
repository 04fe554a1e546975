/**
 * Room for bodies with attachments: larger than MAX_INPUT_BYTES each, so that a few dozen at once would fill the memory. What finds no
 * room is refused before it is read.
 */
import { RelayError } from '../errors.ts';

/** So many of the largest bodies at once, for one key and in all. */
export const largeBodies = { perKey: 4, all: 8 } as const;

export type Room = {
  /** Throws `rate_limited` when there is none. */
  take: (bytes: number) => void;
  leave: () => void;
};

export class LargeBodies {
  readonly #largest: number;
  readonly #held = new Map<string, number>();

  /** `largest`: bytes of the largest body that is taken. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** For one request of a key; it takes no room until it is asked to. */
  enter(keyId: string): Room {
    let taken = 0;
    return {
      take: (bytes) => {
        const own = (this.#held.get(keyId) ?? 0) + bytes;
        const all = [...this.#held.values()].reduce((sum, each) => sum + each, bytes);
        if (own > largeBodies.perKey * this.#largest || all > largeBodies.all * this.#largest) throw full();
        this.#held.set(keyId, own);
        taken += bytes;
      },
      leave: () => {
        if (taken === 0) return;
        const left = (this.#held.get(keyId) ?? 0) - taken;
        if (left > 0) this.#held.set(keyId, left);
        else this.#held.delete(keyId);
        taken = 0;
      },
    };
  }
}

function full(): RelayError {
  return new RelayError(
    'rate_limited',
    'Too many requests with images or documents are under way. Try again in 5 s.',
    // The rest of the body is not read.
    { limit: 'global_concurrency', retryAfter: 5, headers: { connection: 'close' } },
  );
}
