/** A key as admission sees it. */
import type { Key } from '../keys/key.ts';
import type { KeyLimits, Lane } from '../limits/lane-limits.ts';

/** A key's own limits are for completions; pages have those of the settings. */
export function limitsOf(key: Key, lane: Lane): KeyLimits {
  if (lane === 'fetch') return { keyId: key.id };
  return {
    keyId: key.id,
    ...(key.rpm === undefined ? {} : { rpm: key.rpm }),
    ...(key.dailyLimit === undefined ? {} : { daily: key.dailyLimit }),
    ...(key.concurrency === undefined ? {} : { concurrency: key.concurrency }),
  };
}
