/**
 * The family of a model, whose versions share the provider's limits: `claude-opus-4-1-20250805`, `us.anthropic.claude-opus-4-5-v1:0`
 * and `opus[1m]` are all of `opus`. A name of another shape is a family for itself.
 */
export function familyOf(model: string): string {
  const name = model.toLowerCase().replace(/\[1m\]$/, '');
  return /(?:^|[./])claude-(?:[\d.-]*-)?([a-z]{3,})/.exec(name)?.[1] ?? name;
}

/** The version in a model's id: `claude-opus-4-1-20250805` -> `4.1`, `claude-3-7-sonnet-latest` -> `3.7`; none in an alias. */
function versionOf(model: string): string {
  const id = /claude-([^[]*?)(?:-v\d+(?::\d+)?)?(?:\[1m\])?$/.exec(model.toLowerCase())?.[1] ?? '';
  return (id.match(/(?<![a-z\d])\d{1,2}(?!\d)/g) ?? []).join('.').replace(/\.0$/, '');
}

/** Whether `resolved` is another model than the full id that was asked for. An alias asks for whatever model stands behind it. */
export function isSubstitute(asked: string, resolved: string): boolean {
  const version = versionOf(asked);
  const other = versionOf(resolved);
  if (version === '' || other === '' || !/^[\w.:@/[\]-]{1,128}$/.test(resolved)) return false;
  return version !== other || familyOf(asked) !== familyOf(resolved);
}

/** Whether both are full ids, of different families: one cannot stand for the other. */
export function isOtherFamily(asked: string, answered: string): boolean {
  return versionOf(asked) !== '' && versionOf(answered) !== '' && familyOf(asked) !== familyOf(answered);
}

/**
 * The entry of `models` that allows a model: its own name, or, for a full id (`claude-sonnet-4-5-20250929`), its family's alias.
 * A larger context window (`[1m]`) costs more, so the list has to name it.
 */
export function allowedEntryFor(model: string, models: readonly string[]): string | undefined {
  if (models.includes(model)) return model;
  const family = /^claude-(?:[a-z0-9]+[-.])*(opus|sonnet|haiku)(?:[-.@][a-z0-9.@-]+)?$/.exec(model)?.[1];
  return model.length <= 128 && family !== undefined && models.includes(family) ? family : undefined;
}

/** ALLOWED_MODELS and MODEL_ALIASES. */
export type ServedModels = {
  allowedModels: readonly string[];
  modelAliases: ReadonlyMap<string, string>;
};

/** The model that a name stands for, and its entry of ALLOWED_MODELS; none: the relay does not serve it. */
export function servedModel(
  name: string,
  { allowedModels, modelAliases }: ServedModels,
): { model: string; listed: string | undefined } {
  const model = allowedModels.includes(name) ? name : (modelAliases.get(name) ?? name);
  return { model, listed: allowedEntryFor(model, allowedModels) };
}
