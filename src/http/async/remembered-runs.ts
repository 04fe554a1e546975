/** Idempotency-Key: a repeat joins the run under way or gets its answer, so that no retry spends twice. In memory only. */
import { RelayError } from '../../errors.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { DetachedRun } from './detached.ts';

/** Which answers can be repeated. */
export const repeatBounds = {
  ttlMs: 600_000,
  perKey: 250,
  all: 1000,
  bytesPerKey: 16 * 1024 * 1024,
  bytesInAll: 64 * 1024 * 1024,
} as const;

/** `name`: the Idempotency-Key of one key and route. `fingerprint`: what the request asks for. */
export type IdempotentRequest = { name: string; keyId: string; fingerprint: string };

export type RememberedRun = {
  readonly run: DetachedRun;
  /** A job's id. */
  readonly id?: string;
};

export class RememberedRuns {
  readonly #cache = new BoundedCache<{ remembered: RememberedRun; fingerprint: string }>(repeatBounds);

  /** The run of an earlier request. Throws `idempotency_mismatch` when that request asked for something else. */
  find({ name, fingerprint }: IdempotentRequest): RememberedRun | undefined {
    const known = this.#cache.get(name);
    if (known !== undefined && known.fingerprint !== fingerprint) {
      throw new RelayError(
        'idempotency_mismatch',
        'This Idempotency-Key belongs to another request. Use a new key for each request, and repeat it only with the same body.',
      );
    }
    return known?.remembered;
  }

  /**
   * Begins a run and remembers it. After a failure a repeat gets the same error if the run `spent` tokens; otherwise it runs again.
   * Throws `rate_limited` when there are too many.
   */
  start<R extends RememberedRun>(
    { name, keyId, fingerprint }: IdempotentRequest,
    begin: () => R,
    spent: () => boolean,
  ): R {
    const added = this.#cache.add(name, keyId, () => ({ remembered: begin(), fingerprint }));
    const { answer } = added.remembered.run;
    void answer.result.then((result) => {
      if (result.ok || (spent() && !wasGivenUp(result.error))) {
        this.#cache.finish(name, answer.tooLarge ? 0 : answer.bytes);
      } else this.#cache.remove(name);
    });
    return added.remembered;
  }
}

/** The run did not fail: nobody waited for it any more. */
function wasGivenUp({ code }: RelayError): boolean {
  return code === 'client_closed_request' || code === 'shutting_down';
}
