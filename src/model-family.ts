/**
 * The family of a model: what the provider's limits of a model apply to. Every version of a family shares it.
 *
 * `claude-opus-4-1-20250805`, `us.anthropic.claude-opus-4-5-v1:0` and `opus[1m]` are all of `opus`; a name of another shape is a
 * family for itself.
 */
export function familyOf(model: string): string {
  const name = model.toLowerCase().replace(/\[1m\]$/, '');
  return /(?:^|[./])claude-(?:[\d.-]*-)?([a-z]{3,})/.exec(name)?.[1] ?? name;
}
