/**
 * Idempotency-Key: a repeat of a request joins the run that is under way or gets the answer that was kept, so that a client's retry
 * never spends twice. In memory only, for each key and route.
 */
import { RelayError } from '../../errors.ts';
import type { Detached } from './detached.ts';
import { busy } from './jobs.ts';
import { Shelf } from './bounded-cache.ts';

/** What is kept of answers for repeats. */
export const repeatBounds = {
  ttlMs: 600_000,
  perKey: 250,
  all: 1000,
  bytesPerKey: 16 * 1024 * 1024,
  bytesInAll: 64 * 1024 * 1024,
} as const;

/** A request that can be known again: by its Idempotency-Key, and by what it asks for. */
export type Repeatable = { name: string; keyId: string; fingerprint: string };

/** What the first of its kind came to. */
export type First = {
  readonly run: Detached;
  /** Of a job: its id. */
  readonly id?: string;
};

export class Repeats {
  readonly #shelf = new Shelf<{ first: First; fingerprint: string }>(repeatBounds);

  /** What an earlier request came to. Throws `idempotency_mismatch` when that asked for something else. */
  find({ name, fingerprint }: Repeatable): First | undefined {
    const known = this.#shelf.get(name);
    if (known !== undefined && known.fingerprint !== fingerprint) {
      throw new RelayError(
        'idempotency_mismatch',
        'This Idempotency-Key stands for another request. Use a new one for each request, and the same for its repeats only.',
      );
    }
    return known?.first;
  }

  /**
   * Starts the first. When it fails, `spent` says whether that is the answer of a repeat, too, or a repeat may run anew. Throws
   * `rate_limited` when there are too many.
   */
  start<F extends First>({ name, keyId, fingerprint }: Repeatable, begin: () => F, spent: () => boolean): F {
    const put = this.#shelf.put(name, keyId, () => ({ first: begin(), fingerprint }));
    if (put === undefined) throw busy();
    const { answer } = put.first.run;
    void answer.result.then((result) => {
      if (result.ok || (spent() && !wasGivenUp(result.error))) {
        this.#shelf.finish(name, answer.tooLarge ? 0 : answer.bytes);
      } else this.#shelf.remove(name);
    });
    return put.first;
  }
}

/** It did not fail: nobody waited for it any more. */
function wasGivenUp({ code }: RelayError): boolean {
  return code === 'client_closed_request' || code === 'shutting_down';
}
