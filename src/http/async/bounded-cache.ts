/**
 * Answers that are kept in memory for a short while, never on disk: bounded in time, number and bytes, for each key and in all. What
 * is still being made cannot be dropped; of what is finished, the oldest goes first.
 */
export type ShelfBounds = {
  /** Milliseconds that something is kept after it is finished. */
  ttlMs: number;
  perKey: number;
  all: number;
  bytesPerKey: number;
  bytesInAll: number;
};

type Place<T> = {
  id: string;
  keyId: string;
  value: T;
  bytes: number;
  /** Set when it is finished. */
  timer: NodeJS.Timeout | undefined;
};

export class Shelf<T> {
  readonly #bounds: ShelfBounds;
  /** In the order of their arrival. */
  readonly #places = new Map<string, Place<T>>();

  constructor(bounds: ShelfBounds) {
    this.#bounds = bounds;
  }

  get(id: string): T | undefined {
    return this.#places.get(id)?.value;
  }

  /** Makes something and puts it there; undefined, and nothing made, when there is no place for it because nothing there is finished. */
  put<V extends T>(id: string, keyId: string, make: () => V): V | undefined {
    const { perKey, all } = this.#bounds;
    if (this.#of(keyId).length >= perKey && !this.#dropOldest(this.#of(keyId))) return undefined;
    if (this.#places.size >= all && !this.#dropOldest([...this.#places.values()])) return undefined;
    const value = make();
    this.#places.set(id, { id, keyId, value, bytes: 0, timer: undefined });
    return value;
  }

  /** From now on it counts with its size, and its time runs. One that is too large for the shelf is dropped at once. */
  finish(id: string, bytes: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    const { ttlMs, bytesPerKey, bytesInAll } = this.#bounds;
    place.bytes = bytes;
    place.timer = setTimeout(() => this.remove(id), ttlMs).unref();
    while (sizeOf(this.#of(place.keyId)) > bytesPerKey) this.#dropOldest(this.#of(place.keyId));
    while (sizeOf([...this.#places.values()]) > bytesInAll) this.#dropOldest([...this.#places.values()]);
  }

  remove(id: string): void {
    clearTimeout(this.#places.get(id)?.timer);
    this.#places.delete(id);
  }

  #of(keyId: string): Place<T>[] {
    return [...this.#places.values()].filter((place) => place.keyId === keyId);
  }

  #dropOldest(places: readonly Place<T>[]): boolean {
    const oldest = places.find((place) => place.timer !== undefined);
    if (oldest === undefined) return false;
    this.remove(oldest.id);
    return true;
  }
}

function sizeOf(places: readonly Place<unknown>[]): number {
  return places.reduce((sum, { bytes }) => sum + bytes, 0);
}
