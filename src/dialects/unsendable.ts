/**
 * What every part of a request must satisfy, whatever its schema: UTF-8 holds the texts without loss, the numbers are finite, and
 * the depth does not exhaust the stack. Pure. A NUL is allowed: the CLI passes it on (2.1.197, 2.1.330).
 */

/** Deeper than any tool's schema, and far below what serialising can take. */
const maxDepth = 200;

/** The first part of parsed JSON, names included, that cannot be sent to the model. */
export function findUnsendable(
  value: unknown,
  depth = 0,
): { path: (string | number)[]; predicate: string } | undefined {
  if (typeof value === 'string') {
    return value.isWellFormed() ? undefined : { path: [], predicate: loneSurrogate };
  }
  if (typeof value === 'number' && !Number.isFinite(value)) return { path: [], predicate: tooLarge };
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === maxDepth) return { path: [], predicate: `is nested more than ${maxDepth} levels deep` };
  const parts: Iterable<[string | number, unknown]> = Array.isArray(value)
    ? value.entries()
    : Object.entries(value);
  for (const [step, inner] of parts) {
    if (typeof step === 'string' && !step.isWellFormed()) {
      return { path: [], predicate: `has a name that ${loneSurrogate}` };
    }
    const found = findUnsendable(inner, depth + 1);
    if (found !== undefined) return { ...found, path: [step, ...found.path] };
  }
  return undefined;
}

/** JSON.stringify would write it as null. */
const tooLarge = 'is a number that is too large';
const loneSurrogate = 'holds a lone surrogate, which is not valid Unicode text';
