/** Problems of a request body: a path, and a predicate such as "must be a string". A dialect formats the path. Pure. */
import type { z } from 'zod';
import type { RelayError } from '../errors.ts';
import { findUnsendable } from './unsendable.ts';

/** Keys and positions from the body down. */
export type Path = readonly PropertyKey[];

/** Makes a dialect's `bad_request`. The predicate has no full stop. */
export type ProblemAt = (path: Path, predicate: string) => RelayError;

/** Returns the body as `schema` reads it, or throws its first problem. */
export function parseBody<Output>(schema: z.ZodType<Output>, body: unknown, problemAt: ProblemAt): Output {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw problemAt([], 'must be a JSON object');
  }
  const parsed = schema.safeParse(body, { error: predicate });
  if (parsed.success) return parsed.data;
  const issue = furthest(parsed.error.issues[0]);
  if (issue === undefined) throw problemAt([], 'is not valid');
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  throw problemAt([...issue.path, ...unknown], issue.message);
}

/** Throws if a part of `value` cannot be sent to the model. `path` is the place of `value`. */
export function requireSendable(value: unknown, path: Path, problemAt: ProblemAt): void {
  const unsendable = findUnsendable(value);
  if (unsendable !== undefined) throw problemAt([...path, ...unsendable.path], unsendable.predicate);
}

/** Callers choose names of any length and depth. */
export function shortPath(path: Path): (string | number)[] {
  return path.slice(0, 12).map((step) => (typeof step === 'number' ? step : shorten(String(step))));
}

export function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}

/** For problems without a message in the schema. */
const predicate: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === undefined) return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${named(issue.expected)}`;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'invalid_union':
      return unionPredicate(issue);
    case 'too_small':
      return bound('at least', issue.minimum, issue.origin);
    case 'too_big':
      return bound('at most', issue.maximum, issue.origin);
    case 'unrecognized_keys':
      return unknownFields(issue.keys.slice(1, 12));
    case 'custom':
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
  }
  return 'is not valid';
};

/** The path names the first one. */
function unknownFields(others: readonly string[]): string {
  const also = others.length === 0 ? '' : ` (also unknown: ${others.map(shorten).join(', ')})`;
  return `is not a known field${also}`;
}

function unionPredicate(issue: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidUnion>): string {
  if (issue.discriminator === undefined) {
    const types = issue.errors.flatMap(([first]) =>
      first?.code === 'invalid_type' ? [named(first.expected)] : [],
    );
    return types.length === 0 ? 'is not valid' : `must be ${[...new Set(types)].join(' or ')}`;
  }
  const tag = (issue.input as Record<string, unknown>)[issue.discriminator];
  const known = oneOf(issue['options'] as readonly unknown[]);
  return typeof tag === 'string' ? `${known}; "${shorten(tag)}" is not supported` : known;
}

/** For a union: the problem of the branch that matched furthest, or the union's own if no branch has the value's type. */
function furthest(issue: z.core.$ZodIssue | undefined): z.core.$ZodIssue | undefined {
  if (issue?.code !== 'invalid_union') return issue;
  let best: z.core.$ZodIssue | undefined;
  for (const [first] of issue.errors) {
    const found = furthest(first);
    if (found === undefined || (found.path.length === 0 && found.code === 'invalid_type')) continue;
    if (best === undefined || found.path.length > best.path.length) best = found;
  }
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function oneOf(values: readonly unknown[]): string {
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.join(', ')}`;
}

function bound(which: string, value: number | bigint, origin: string): string {
  if (origin !== 'array' && origin !== 'string') return `must be ${which} ${value}`;
  const unit = origin === 'array' ? 'item' : 'character';
  return `must have ${which} ${value} ${unit}${value === 1 ? '' : 's'}`;
}

const typeNames: Readonly<Record<string, string>> = { int: 'integer', record: 'object' };

function named(expected: string): string {
  const type = typeNames[expected] ?? expected;
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}
