/** Keeps the number of series bounded: a key that is gone leaves none. */
import type { Counter } from '@prometheus-io/client';

/** It has the label `key`. */
export type KeyCounter = Pick<Counter<string>, 'get' | 'inc' | 'remove'>;

const revoked = '(revoked)';

/** Moves what was counted for labels that are not current to `(revoked)`, so that no sum shrinks. */
export async function foldRevoked(
  counters: readonly KeyCounter[],
  current: ReadonlySet<string>,
): Promise<void> {
  for (const counter of counters) {
    const { values } = await counter.get();
    for (const { labels, value } of values) {
      const key = String(labels['key']);
      if (key === revoked || current.has(key)) continue;
      counter.inc({ ...labels, key: revoked }, value);
      counter.remove(labels);
    }
  }
}
