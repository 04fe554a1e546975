/** The calls of tools that run: a client cancels one by another request, which names it. */
export class McpCalls {
  readonly #running = new Map<string, () => void>();

  /** Each client numbers its calls by itself: `session` is the name that it got. Returns the function to call at the end. */
  begin(keyId: string, session: string | null, id: unknown, cancel: () => void): () => void {
    if (session === null) return () => {};
    const name = nameOf(keyId, session, id);
    this.#running.set(name, cancel);
    return () => {
      if (this.#running.get(name) === cancel) this.#running.delete(name);
    };
  }

  cancel(keyId: string, session: string | null, id: unknown): void {
    if (session !== null) this.#running.get(nameOf(keyId, session, id))?.();
  }
}

function nameOf(keyId: string, session: string, id: unknown): string {
  return JSON.stringify([keyId, session, id]);
}
