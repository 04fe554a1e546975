/** What is wrong with a request, in the words of the Messages API: the place first, then what it should be. Pure. */
import type { z } from 'zod';
import { RelayError } from '../../errors.ts';

/** Keys and positions from the body down. */
export type Place = readonly PropertyKey[];

/** A `bad_request` about a place of the body. */
export function problem(place: Place, message: string): RelayError {
  const where = place.map((part) => shorten(String(part))).join('.');
  return new RelayError('bad_request', where === '' ? message : `${where}: ${message}`);
}

/** The first of the problems that a schema found. `body` is what it looked at: a schema does not say whether a field was there at all. */
export function firstProblem(error: z.ZodError, body: unknown): RelayError {
  const issue = error.issues[0];
  if (issue === undefined) return problem([], 'The request is not valid.');
  return problemOf(issue, body, []);
}

function problemOf(issue: z.core.$ZodIssue, body: unknown, above: Place): RelayError {
  const place = [...above, ...issue.path];
  const value = at(body, place);
  switch (issue.code) {
    case 'unrecognized_keys':
      return problem([...place, ...issue.keys.slice(0, 1)], 'Extra inputs are not permitted');
    case 'invalid_type':
      return problem(
        place,
        value === undefined ? 'Field required' : (typeWords.get(issue.expected) ?? issue.message),
      );
    case 'invalid_value':
      return problem(
        place,
        value === undefined ? 'Field required' : `Input should be ${oneOf(issue.values)}`,
      );
    case 'too_small':
      return problem(
        place,
        `${sizeOf(value)} ${issue.inclusive === false ? 'greater than' : least(value)} ${issue.minimum}${unitOf(value)}`,
      );
    case 'too_big':
      return problem(place, `${sizeOf(value)} ${most(value)} ${issue.maximum}${unitOf(value)}`);
    case 'invalid_union':
      return problemOfUnion(issue, body, place);
    case 'custom':
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
  }
  return problem(place, issue.message);
}

function problemOfUnion(issue: z.core.$ZodIssueInvalidUnion, body: unknown, place: Place): RelayError {
  const value = at(body, place);
  if (issue.discriminator !== undefined) {
    if (value === undefined) return problem(place, 'Field required');
    // The schemas' own list of what it may be is for the schema's author; `message` is set where there is more to say.
    return problem(
      place,
      typeof value === 'string'
        ? `Input tag "${shorten(value)}" is not one that is known here`
        : 'Input should be a valid string',
    );
  }
  // Of the branches, the one that the value is of: the others fail at its type.
  const meant = issue.errors.find(
    (issues) =>
      issues[0] !== undefined && !(issues[0].code === 'invalid_type' && issues[0].path.length === 0),
  );
  const first = meant?.[0];
  if (first !== undefined) return problemOf(first, body, place);
  if (value === undefined) return problem(place, 'Field required');
  return problem(
    place,
    `Input should be ${issue.errors.flatMap(([branch]) => (branch?.code === 'invalid_type' ? (typeNames.get(branch.expected) ?? branch.expected) : [])).join(' or ')}`,
  );
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ['string', 'a valid string'],
  ['number', 'a valid number'],
  ['int', 'a valid integer'],
  ['boolean', 'a valid boolean'],
  ['array', 'a valid list'],
  ['object', 'an object'],
  ['record', 'an object'],
]);

const typeWords: ReadonlyMap<string, string> = new Map(
  [...typeNames].map(([type, name]) => [type, `Input should be ${name}`]),
);

function oneOf(values: readonly unknown[]): string {
  const told = values.map((value) => `'${String(value)}'`);
  return told.length < 2 ? told.join('') : `${told.slice(0, -1).join(', ')} or ${told.at(-1)}`;
}

function sizeOf(value: unknown): string {
  if (typeof value === 'string') return 'String should have';
  return Array.isArray(value) ? 'List should have' : 'Input should be';
}

const least = (value: unknown): string =>
  typeof value === 'number' ? 'greater than or equal to' : 'at least';
const most = (value: unknown): string => (typeof value === 'number' ? 'less than or equal to' : 'at most');

function unitOf(value: unknown): string {
  if (typeof value === 'string') return ' characters';
  return Array.isArray(value) ? ' items' : '';
}

function at(body: unknown, place: Place): unknown {
  let value = body;
  for (const part of place) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

/** What callers name themselves can be of any length. */
export function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}
