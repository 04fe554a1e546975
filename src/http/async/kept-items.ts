/** Items of answers that later requests of the same key refer to by their ids. In memory only: a restart forgets them. */
import type { AnsweredItems } from '../../dialects/dialect.ts';
import { BoundedCache } from './bounded-cache.ts';

/** Answers. Their time begins again at each use, so that a conversation can go on for long. */
export const keptItemBounds = {
  ttlMs: 3_600_000,
  perKey: 1000,
  all: 5000,
  bytesPerKey: 16 * 1024 * 1024,
  bytesInAll: 64 * 1024 * 1024,
} as const;

type Kept = { keyId: string; items: ReadonlyMap<string, string> };

export class KeptItems {
  readonly #cache = new BoundedCache<Kept>(keptItemBounds);

  /** Before the client has the answer, and can refer to it. */
  keep(keyId: string, answered: AnsweredItems | undefined): void {
    if (answered === undefined) return;
    const { group, items } = answered;
    const texts = items.map((item) => [item.id, JSON.stringify(item)] as const);
    this.#cache.add(group, keyId, () => ({ keyId, items: new Map(texts) }));
    this.#cache.finish(
      group,
      texts.reduce((sum, [, text]) => sum + text.length, 0),
    );
  }

  /** Undefined for an item that is not kept any more, or belongs to another key. */
  recall(keyId: string, group: string, id: string): object | undefined {
    const kept = this.#cache.get(group);
    const text = kept?.keyId === keyId ? kept.items.get(id) : undefined;
    if (text !== undefined) this.#cache.touch(group);
    return text === undefined ? undefined : (JSON.parse(text) as object);
  }
}
