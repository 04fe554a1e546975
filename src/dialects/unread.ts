/** The fields of a request that its schema does not know: accepted, and named in `x-relay-ignored-params`. Pure. */

/** Callers choose the names; a header must stay short. */
const mostNames = 32;
const longestName = 64;

/**
 * Dotted names of the fields that `body` has and `read`, its parsed form, lacks; without positions, each once. `asksNothing`: values
 * that are the same as no field. What the schema passes on unread is the same object in both.
 */
export function unreadNames(
  body: unknown,
  read: unknown,
  path = '',
  found = new Set<string>(),
  asksNothing: (value: unknown) => boolean = (value) => value === null,
): Set<string> {
  if (body === read || typeof body !== 'object' || body === null) return found;
  const known = Object(read) as Record<string, unknown>;
  for (const [name, value] of Object.entries(body)) {
    const inner = Array.isArray(body)
      ? path
      : `${path === '' ? '' : `${path}.`}${name.slice(0, longestName)}`;
    if (Object.hasOwn(known, name)) unreadNames(value, known[name], inner, found, asksNothing);
    else if (!asksNothing(value) && found.size <= mostNames) found.add(inner);
  }
  return found;
}

/** The value of the header, in ASCII. */
export function ignoredHeader(names: readonly string[]): string {
  const plain = names.map((name) => name.replaceAll(/[^\w.-]/gu, '_').slice(0, longestName));
  const list = [...new Set(plain)];
  return list.length > mostNames ? `${list.slice(0, mostNames).join(', ')}, ...` : list.join(', ');
}
