/** What takes seconds to find out. */
export type Latest<T> = { value: T | undefined; asking: boolean };

/**
 * Returns what is known, at once, and asks for news when the last question is `keptMs` old. It asks for one thing at a time. `ask`
 * must not reject: a failure is a value.
 */
export function latest<T>(
  ask: () => Promise<T>,
  keptMs: number,
  now: () => number = () => performance.now(),
): () => Latest<T> {
  let value: T | undefined;
  let asking = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  const refresh = async (): Promise<void> => {
    asking = true;
    askedAt = now();
    value = await ask();
    asking = false;
  };
  return () => {
    if (!asking && now() - askedAt >= keptMs) void refresh();
    return { value, asking };
  };
}
