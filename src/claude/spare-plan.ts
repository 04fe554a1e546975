/**
 * The models of `max` spares, in proportion to the requests for each (`recent`, oldest first; a later one has more weight), the most
 * wanted first. Without requests: the default model.
 */
export function planSpares(recent: readonly string[], max: number, defaultModel: string): string[] {
  const asked = recent.length === 0 ? [defaultModel] : recent;
  const weight = new Map<string, number>();
  for (const [index, model] of asked.entries()) {
    weight.set(model, (weight.get(model) ?? 0) + (index + 1) / asked.length);
  }
  const plan: string[] = [];
  const next = (model: string): number =>
    (weight.get(model) ?? 0) / (plan.filter((planned) => planned === model).length + 1);
  while (plan.length < max) {
    plan.push([...weight.keys()].reduce((best, model) => (next(model) > next(best) ? model : best)));
  }
  return plan;
}
