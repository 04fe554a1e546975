import type { Keys } from '../keys/store.ts';

/** The labels of all keys there ever were, by id; of two keys that had the same label, the id tells which. */
export function keyLabels(keys: Keys): Map<string, string> {
  return new Map(
    keys
      .list({ revoked: true })
      .map(({ id, label, revokedAt }) => [id, revokedAt === undefined ? label : `${label} (revoked ${id})`]),
  );
}
