/** Ollama's names of models have a tag, and `latest` is the tag of a name without one. Pure. */

/** As a list of models names it. */
export function taggedName(model: string): string {
  return model.includes(':') ? model : `${model}:latest`;
}

/** As the relay knows it. */
export function untaggedName(name: string | null | undefined): string | undefined {
  return name?.replace(/:latest$/, '') || undefined;
}
