import type { Config } from '../config.ts';

/** What in the settings lets one key take the service from another, a sentence each: they count all the same. */
export function unfairLimits({
  globalConcurrency,
  queueMax,
  queueTimeoutMs,
  requestTimeoutMs,
}: Pick<Config, 'globalConcurrency' | 'queueMax' | 'queueTimeoutMs' | 'requestTimeoutMs'>): string[] {
  // Without a limit nobody waits.
  if (globalConcurrency === 0) return [];
  if (queueMax === 0) return ['QUEUE_MAX is 0: a key is refused while others use every process.'];
  return queueTimeoutMs < requestTimeoutMs
    ? [
        `QUEUE_TIMEOUT (${queueTimeoutMs / 1000}) is below REQ_TIMEOUT (${requestTimeoutMs / 1000}): long requests of other keys can keep a key out.`,
      ]
    : [];
}
