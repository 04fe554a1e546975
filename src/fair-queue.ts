/**
 * Requests that wait, in turns: first the key with the fewest running, then the key served longest ago; within a key the oldest.
 * Pure data: its owner bounds it, knows what runs, and times the waiting.
 */
export class FairQueue<T> {
  readonly #byKey = new Map<string, T[]>();
  /** The number of each key's latest serving. */
  readonly #served = new Map<string, number>();
  #servings = 0;

  get size(): number {
    return this.#byKey.values().reduce((sum, items) => sum + items.length, 0);
  }

  of(keyId: string): number {
    return this.#byKey.get(keyId)?.length ?? 0;
  }

  add(keyId: string, item: T): void {
    const items = this.#byKey.get(keyId);
    if (items === undefined) this.#byKey.set(keyId, [item]);
    else items.push(item);
  }

  /** The key got a slot, whether or not it had waited. */
  served(keyId: string): void {
    this.#servings += 1;
    this.#served.set(keyId, this.#servings);
  }

  /** Takes the next item. A key whose first item cannot start holds up no other key. `running`: how many requests of the item's key run. */
  next(canStart: (first: T) => boolean, running: (first: T) => number): T | undefined {
    let best: { keyId: string; item: T; load: number; served: number } | undefined;
    for (const [keyId, [item]] of this.#byKey) {
      if (item === undefined || !canStart(item)) continue;
      const load = running(item);
      const served = this.#served.get(keyId) ?? 0;
      if (best === undefined || load < best.load || (load === best.load && served < best.served)) {
        best = { keyId, item, load, served };
      }
    }
    if (best === undefined) return undefined;
    this.remove(best.keyId, best.item);
    return best.item;
  }

  remove(keyId: string, item: T): void {
    const items = this.#byKey.get(keyId);
    const index = items?.indexOf(item) ?? -1;
    if (items === undefined || index === -1) return;
    items.splice(index, 1);
    if (items.length === 0) this.#byKey.delete(keyId);
  }

  all(): T[] {
    return [...this.#byKey.values()].flat();
  }
}

/**
 * Whether one more request of a key can wait. A key fills at most half of the places, and its first request always has a place, so no
 * number of other keys can keep it out: the queue holds `max` requests and one for each further key.
 */
export function mayWait(max: number, waiting: number, ofKey: number): boolean {
  if (max === 0) return false;
  return ofKey === 0 || (waiting < max && ofKey < Math.ceil(max / 2));
}
