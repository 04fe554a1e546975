/** Answers in memory, never on disk: bounded in time, number and bytes, by key and in all. The oldest finished one goes first. */
import { RelayError } from '../../errors.ts';

export type CacheBounds = {
  /** Milliseconds that an entry is kept after it is finished. */
  ttlMs: number;
  perKey: number;
  all: number;
  bytesPerKey: number;
  bytesInAll: number;
};

type Entry<T> = {
  id: string;
  keyId: string;
  value: T;
  bytes: number;
  /** Set when the entry is finished. */
  timer: NodeJS.Timeout | undefined;
};

export class BoundedCache<T> {
  readonly #bounds: CacheBounds;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry<T>>();

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  get(id: string): T | undefined {
    return this.#entries.get(id)?.value;
  }

  /** Makes a value and keeps it. Throws `rate_limited`, and makes nothing, when the cache is full and nothing in it is finished. */
  add<V extends T>(id: string, keyId: string, make: () => V): V {
    const { perKey, all } = this.#bounds;
    if (this.#of(keyId).length >= perKey && !this.#dropOldest(this.#of(keyId))) throw busy();
    if (this.#entries.size >= all && !this.#dropOldest([...this.#entries.values()])) throw busy();
    const value = make();
    this.#entries.set(id, { id, keyId, value, bytes: 0, timer: undefined });
    return value;
  }

  /** From now on the entry's size is counted, and its time runs. An entry that is too large is dropped at once. */
  finish(id: string, bytes: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { bytesPerKey, bytesInAll } = this.#bounds;
    entry.bytes = bytes;
    this.#startTimer(entry);
    while (sizeOf(this.#of(entry.keyId)) > bytesPerKey) this.#dropOldest(this.#of(entry.keyId));
    while (sizeOf([...this.#entries.values()]) > bytesInAll) this.#dropOldest([...this.#entries.values()]);
  }

  /** The time of a finished entry runs from now on, and the entry is the newest. */
  touch(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.timer === undefined) return;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    this.#startTimer(entry);
  }

  remove(id: string): void {
    clearTimeout(this.#entries.get(id)?.timer);
    this.#entries.delete(id);
  }

  #startTimer(entry: Entry<T>): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.remove(entry.id), this.#bounds.ttlMs).unref();
  }

  #of(keyId: string): Entry<T>[] {
    return [...this.#entries.values()].filter((entry) => entry.keyId === keyId);
  }

  #dropOldest(entries: readonly Entry<T>[]): boolean {
    const oldest = entries.find((entry) => entry.timer !== undefined);
    if (oldest === undefined) return false;
    this.remove(oldest.id);
    return true;
  }
}

function sizeOf(entries: readonly Entry<unknown>[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** No more of this key's requests can be remembered, because so many are under way. */
function busy(): RelayError {
  return new RelayError('rate_limited', 'Too many requests of this key are under way. Try again in 10 s.', {
    limit: 'key_concurrency',
    retryAfter: 10,
  });
}
