/** What a caller is told when a limit refuses. */
import type { LimitName } from '../errors.ts';
import { RelayError } from '../errors.ts';

export type Blocked = {
  limit: LimitName;
  waitMs: number;
  /** Of `plan`: the family of models that it is used up for; absent: all. */
  family?: string;
};

const sentences = {
  global_concurrency: 'Every slot of this relay is in use.',
  key_concurrency: 'Every slot of this key is in use.',
  key_rpm: "This key's requests for this minute are used up.",
  key_daily: "This key's requests for this UTC day are used up.",
  global_daily: "This relay's requests for this UTC day are used up.",
  queue_full: 'Every slot is in use, and the queue has no place left for this key.',
  queue_timeout: 'No slot became free in time.',
  plan: "The upstream says that the account's plan is used up for now.",
  target_host: 'Too many fetches from that host wait already.',
  unauthenticated: 'Too many requests with a wrong key came from this address.',
} as const satisfies Record<LimitName, string>;

/** "A little" in `x-should-retry`: what the official SDKs wait at most (openai 7.57: `retry-after` above 60 s is ignored). */
const littleSeconds = 60;

/** The 429 for a limit that has room again in `waitMs` milliseconds. */
export function refusal({ limit, waitMs, family }: Blocked): RelayError {
  const retryAfter = Math.max(1, Math.ceil(waitMs / 1000));
  const sentence =
    family === undefined
      ? `${sentences[limit]} Try again in ${retryAfter} s.`
      : `The upstream says that the account's plan is used up for ${family} models. Ask for another model, or try again in ${retryAfter} s.`;
  return new RelayError('rate_limited', sentence, {
    limit,
    retryAfter,
    shouldRetry: retryAfter <= littleSeconds,
  });
}

/** Of several limits without room, the one that has it last: only then is waiting that long enough. */
export function longest(blocked: readonly (Blocked | undefined)[]): Blocked | undefined {
  let worst: Blocked | undefined;
  for (const each of blocked) {
    if (each !== undefined && (worst === undefined || each.waitMs > worst.waitMs)) worst = each;
  }
  return worst;
}

export function countsUnavailable(cause: unknown): RelayError {
  return new RelayError(
    'not_ready',
    'The daily counts cannot be kept, so nothing is run uncounted. Check the disk and the database.',
    { cause, retryAfter: 5 },
  );
}

/** What `reserve` rejects with when the client left: nobody is there to be answered. */
export function clientLeft(): DOMException {
  return new DOMException('The client left before a slot was free.', 'AbortError');
}
