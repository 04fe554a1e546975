/**
 * Who waits for a slot, and whose turn it is: round robin over the keys, first come first served within a key.
 *
 * Pure data; its owner bounds it and times the waiting.
 */
export class FairQueue<T> {
  /** In the order of their turns: a `Map` iterates in the order of insertion, and a key that was served goes to the end. */
  readonly #byKey = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(keyId: string, item: T): void {
    const line = this.#byKey.get(keyId);
    if (line === undefined) this.#byKey.set(keyId, [item]);
    else line.push(item);
    this.#size += 1;
  }

  /** Takes the next one that may go on. A key whose first may not keeps its turn and holds up nobody else. */
  next(mayGoOn: (first: T) => boolean): T | undefined {
    for (const [keyId, line] of this.#byKey) {
      const [item] = line;
      if (item === undefined || !mayGoOn(item)) continue;
      line.shift();
      this.#byKey.delete(keyId);
      if (line.length > 0) this.#byKey.set(keyId, line);
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  /** Takes out one that stops waiting. Its key keeps its turn while others of it wait. */
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
