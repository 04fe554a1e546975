/** The errors of a refused request. */
import { RelayError, type LimitName } from '../errors.ts';

const sentences = {
  global_concurrency: 'Every slot of this relay is in use.',
  key_concurrency: 'Every slot of this key is in use.',
  key_rpm: 'This key has used its requests for this minute.',
  key_daily: 'This key has used its requests for this UTC day.',
  global_daily: 'This relay has used its requests for this UTC day.',
  key_budget: 'This key has used its budget for this UTC day.',
  global_budget: 'This relay has used its budget for this UTC day.',
  queue_full: 'Every slot is in use, and the queue has no free place for this key.',
  queue_timeout: 'No slot became free in time.',
  plan: "The account's plan is used up for now.",
  unauthenticated: 'This address sent too many requests with an invalid key.',
} as const satisfies Partial<Record<LimitName, string>>;

/**
 * A limit that has room again in `waitMs`. `family`: the models that the plan is used up for; absent: all. `held`: what is left of a
 * budget is held by requests that run.
 */
export type Blocked = { limit: keyof typeof sentences; waitMs: number; family?: string; held?: true };

/** The longest wait of the official SDKs (openai 7.57 ignores a `retry-after` above 60 s): beyond it `x-should-retry` is false. */
const longestRetrySeconds = 60;

export function refusal({ limit, waitMs, family, held }: Blocked): RelayError {
  const retryAfter = Math.max(1, Math.ceil(waitMs / 1000));
  const why =
    held === true ? 'The requests that run can use all that is left of a budget.' : sentences[limit];
  const sentence =
    family === undefined
      ? `${why} Try again in ${retryAfter} s.`
      : `The account's plan is used up for ${family} models. Use another model, or try again in ${retryAfter} s.`;
  const isSpent = held !== true && (limit === 'key_budget' || limit === 'global_budget');
  return new RelayError('rate_limited', sentence, {
    limit,
    ...(limit === 'plan' && { usedUp: true }),
    retryAfter,
    shouldRetry: retryAfter <= longestRetrySeconds && !isSpent,
  });
}

/** The limit that has room last: a retry after its wait is not refused by the other. */
export function longest(one: Blocked | undefined, other: Blocked | undefined): Blocked | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return other.waitMs > one.waitMs ? other : one;
}

export function countsUnavailable(cause: unknown): RelayError {
  return new RelayError(
    'not_ready',
    'The daily counts cannot be saved, so no request runs. Check the disk and the database.',
    { cause, retryAfter: 5 },
  );
}
