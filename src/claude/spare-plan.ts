/** Which models the spares should be of. Pure. */

/**
 * The models of `max` spares: a share of each for what was asked for lately (`recent`, oldest first), the latest model first; with
 * nothing asked yet, the model that a request gets by default.
 */
export function planSpares(recent: readonly string[], max: number, fallback: string): string[] {
  if (max <= 0) return [];
  const asked = recent.length === 0 ? [fallback] : recent;
  const weight = new Map<string, number>();
  // A later request counts for more: what was asked for an hour ago gives way soon.
  for (const [index, model] of asked.entries()) {
    weight.set(model, (weight.get(model) ?? 0) + (index + 1) / asked.length);
  }
  const plan: string[] = [];
  const given = new Map<string, number>();
  while (plan.length < max) {
    let best: string | undefined;
    let bestShare = -1;
    for (const [model, share] of weight) {
      const next = share / ((given.get(model) ?? 0) + 1);
      if (next > bestShare) [best, bestShare] = [model, next];
    }
    if (best === undefined) return plan;
    plan.push(best);
    given.set(best, (given.get(best) ?? 0) + 1);
  }
  return plan;
}
