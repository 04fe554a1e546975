/** Where a request of the OpenAI dialect is wrong, in the way that API names places: `messages[3].content[1].image_url`. Pure. */
import type { z } from 'zod';
import { RelayError } from '../../errors.ts';
import { findUnsound, type Path } from '../unsendable.ts';

/** A place deeper than that is named by what it is in. */
const maxSteps = 12;

function place(path: readonly PropertyKey[]): string {
  return path
    .slice(0, maxSteps)
    .map((step, index) =>
      typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${shorten(String(step))}`,
    )
    .join('');
}

/** `problem` is a predicate: "must be a string". */
export function refuse(path: Path, problem: string): never {
  throw wrong(path, problem);
}

function wrong(path: Path, problem: string): RelayError {
  if (path.length === 0) return new RelayError('bad_request', `The request body ${problem}.`);
  const param = place(path);
  return new RelayError('bad_request', `'${param}' ${problem}.`, { param });
}

/** Refuses what cannot be sent on, wherever in `value` it is; `path` is where the value itself is. */
export function requireSound(value: unknown, path: Path): void {
  const unsound = findUnsound(value);
  if (unsound !== undefined) refuse([...path, ...unsound.path], unsound.problem);
}

/** The words for what a schema did not take, where it has none of its own. */
export const wording: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined
      ? 'is required'
      : `must be ${named(issue.expected)}, and is ${kindOf(issue.input)}`;
  }
  if (issue.code === 'invalid_value') return oneOf(issue.values);
  if (issue.code === 'invalid_union') {
    if (Array.isArray(issue['options'])) {
      return issue.input === undefined ? 'is required' : oneOf(issue['options'] as readonly unknown[]);
    }
    return issue.input === undefined ? 'is required' : `is ${kindOf(issue.input)}, which it cannot be`;
  }
  if (issue.code === 'too_small') return `must ${bound(issue.origin)} at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `must ${bound(issue.origin)} at most ${issue.maximum}`;
  return 'is not valid';
};

/** The first problem that a schema found, as the error to throw. */
export function fromIssues(issues: readonly z.core.$ZodIssue[]): RelayError {
  const issue = deepest(issues[0]);
  if (issue === undefined) return wrong([], 'is not valid');
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const param = place([...issue.path, key]);
    return new RelayError('bad_request', `Unrecognized request argument supplied: ${param}`, { param });
  }
  return wrong(issue.path as Path, issue.message);
}

/** Of a union (a text or a list of parts), what is wrong in the branch that came furthest: the union's own words if none began. */
function deepest(issue: z.core.$ZodIssue | undefined): z.core.$ZodIssue | undefined {
  if (issue?.code !== 'invalid_union') return issue;
  let best: z.core.$ZodIssue | undefined;
  for (const [first] of issue.errors) {
    const found = deepest(first);
    if (found === undefined || (found.path.length === 0 && found.code === 'invalid_type')) continue;
    if (best === undefined || found.path.length > best.path.length) best = found;
  }
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function named(expected: string): string {
  if (expected === 'record') return 'an object';
  if (expected === 'int') return 'an integer';
  return `${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return named(Array.isArray(value) ? 'array' : typeof value);
}

function oneOf(values: readonly unknown[]): string {
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.map((value) => JSON.stringify(value)).join(', ')}`;
}

function bound(origin: string): string {
  return origin === 'array' || origin === 'string' ? 'have a length of' : 'be';
}

function shorten(key: string): string {
  return key.length > 60 ? `${key.slice(0, 60)}…` : key;
}
