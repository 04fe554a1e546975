/** Jobs: the same key fetches the answer later. In memory only: a restart forgets them. */
import { randomUUID } from 'node:crypto';
import type { Job as JobBody } from '../../api.ts';
import { RelayError } from '../../errors.ts';
import { parseExactly } from '../../exact-json.ts';
import type { DetachedRun } from './detached.ts';
import type { ErrorFormat, JobState } from '../../dialects/dialect.ts';
import { statusOf } from '../exchange.ts';
import { iso } from '../../time.ts';
import type { Result } from './kept-answer.ts';
import { BoundedCache, type CacheBounds } from './bounded-cache.ts';
import type { Webhook } from '../../webhooks/webhooks.ts';

export const jobBounds: Omit<CacheBounds, 'ttlMs'> = {
  perKey: 100,
  all: 500,
  bytesPerKey: 16 * 1024 * 1024,
  bytesInAll: 64 * 1024 * 1024,
};

/** Seconds after which it is worth asking again. */
export const pollAfterS = '2';

export type Job = {
  readonly id: string;
  readonly keyId: string;
  readonly requestId: string;
  readonly errorFormat: ErrorFormat;
  readonly createdAt: number;
  readonly run: DetachedRun;
  /** In the form of the API whose jobs these are. */
  readonly ownBody: ((state: JobState) => object) | undefined;
  webhook?: Webhook;
  status: JobBody['status'];
  ended: { at: number; result: Result } | undefined;
};

export class Jobs {
  readonly #ttlMs: number;
  readonly #cache: BoundedCache<Job>;

  constructor({ ttlMs }: { ttlMs: number }) {
    this.#ttlMs = ttlMs;
    this.#cache = new BoundedCache({ ...jobBounds, ttlMs });
  }

  /** `begin` starts the run and calls `onSlot` when the run has its slot. Throws `rate_limited` when there are too many. */
  start(
    given: Pick<Job, 'keyId' | 'requestId' | 'errorFormat' | 'ownBody'> & { id?: string | undefined },
    begin: (onSlot: () => void) => DetachedRun,
  ): Job {
    const id = given.id ?? `job_${randomUUID().replaceAll('-', '')}`;
    const job = this.#cache.add(id, given.keyId, () => {
      const started: Job = {
        ...given,
        id,
        createdAt: Date.now(),
        status: 'queued',
        ended: undefined,
        run: begin(() => {
          started.status = 'running';
        }),
      };
      return started;
    });
    // A job is always waited for: it has no connection that could go.
    job.run.join();
    void job.run.answer.result.then((result) => {
      job.ended = { at: Date.now(), result };
      if (result.ok) job.status = 'done';
      else job.status = result.error.code === 'client_closed_request' ? 'cancelled' : 'failed';
      this.#cache.finish(id, job.run.answer.bytes);
    });
    return job;
  }

  /** Throws `not_found` for an unknown job, and for a job of another key. */
  get(id: string, keyId: string): Job {
    const job = this.find(id, keyId);
    if (job === undefined) {
      throw new RelayError(
        'not_found',
        'This key has no such job. The job may have expired, or belong to another key.',
      );
    }
    return job;
  }

  find(id: string, keyId: string): Job | undefined {
    const job = this.#cache.get(id);
    return job?.keyId === keyId ? job : undefined;
  }

  forget({ id, webhook }: Job): void {
    webhook?.forget();
    this.#cache.remove(id);
  }

  /** As the API describes it; `withResponse` adds the answer of its request. */
  describe(job: Job, withResponse: boolean): JobBody {
    const { id, status, createdAt, ended, webhook } = job;
    return {
      id,
      status,
      created_at: iso(createdAt),
      expires_at: ended === undefined ? null : iso(ended.at + this.#ttlMs),
      url: `/v1/jobs/${id}`,
      webhook: webhook?.state(),
      response: withResponse && ended !== undefined ? responseOf(job, ended.result) : undefined,
    };
  }
}

function responseOf({ status, errorFormat, requestId }: Job, result: Result): JobBody['response'] {
  if (result.ok) return { status: 200, body: parseExactly(result.text) as Record<string, unknown> };
  if (status === 'cancelled') return undefined;
  const body = errorFormat.errorBody(result.error, requestId) as Record<string, unknown>;
  return { status: statusOf(errorFormat, result.error), body };
}
