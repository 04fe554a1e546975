/**
 * Who waits, and whose turn it is: the key with the least under way goes first, of several the one that was served longest ago, and
 * within a key whoever came first.
 *
 * Pure data; its owner bounds it, says what is under way, and times the waiting.
 */
export class FairQueue<T> {
  readonly #byKey = new Map<string, T[]>();
  /** When each key was last served, counted in servings: one number for each key that was ever seen. */
  readonly #served = new Map<string, number>();
  #servings = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many of this key wait. */
  of(keyId: string): number {
    return this.#byKey.get(keyId)?.length ?? 0;
  }

  add(keyId: string, item: T): void {
    const line = this.#byKey.get(keyId);
    if (line === undefined) this.#byKey.set(keyId, [item]);
    else line.push(item);
    this.#size += 1;
  }

  /** The key got what others wait for, whether or not it had waited. */
  served(keyId: string): void {
    this.#servings += 1;
    this.#served.set(keyId, this.#servings);
  }

  /** Takes the next one that may go on. A key whose first may not holds up nobody else. `underWay`: of a key, with one of its items. */
  next(mayGoOn: (first: T) => boolean, underWay: (first: T) => number): T | undefined {
    let best: { keyId: string; item: T; load: number; served: number } | undefined;
    for (const [keyId, [item]] of this.#byKey) {
      if (item === undefined || !mayGoOn(item)) continue;
      const load = underWay(item);
      const served = this.#served.get(keyId) ?? 0;
      if (best === undefined || load < best.load || (load === best.load && served < best.served)) {
        best = { keyId, item, load, served };
      }
    }
    if (best === undefined) return undefined;
    this.remove(best.keyId, best.item);
    return best.item;
  }

  /** Takes out one that stops waiting. */
  remove(keyId: string, item: T): void {
    const line = this.#byKey.get(keyId);
    const index = line?.indexOf(item) ?? -1;
    if (line === undefined || index === -1) return;
    line.splice(index, 1);
    if (line.length === 0) this.#byKey.delete(keyId);
    this.#size -= 1;
  }

  /** Everyone, in no promised order. */
  all(): T[] {
    return [...this.#byKey.values()].flat();
  }
}

/**
 * Whether one more of a key may wait. A key fills half of the places at most, and its first one always finds a place, so that no
 * number of others can keep it out: the queue holds `max` and one for each further key.
 */
export function mayWait(max: number, waiting: number, ofKey: number): boolean {
  if (max === 0) return false;
  return ofKey === 0 || (waiting < max && ofKey < Math.ceil(max / 2));
}
