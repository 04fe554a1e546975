/**
 * The JSON Schema that a caller wants an answer to satisfy: is it one, and does a value satisfy it. Takes any time: run in
 * `schema-worker.ts` only.
 */
import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

export type JsonSchema = Record<string, unknown>;

/** `refused`: why the schema cannot be used. `unsatisfied`: why the value does not satisfy it, as a path and a rule. */
export type Verdict = { refused?: string; unsatisfied?: string };

const options: Options = {
  // Unknown keywords and `format` are annotations, as in the specification.
  strict: false,
  validateFormats: false,
  logger: false,
  ownProperties: true,
  // 4.35 is a multiple of 0.01, and 435 hundredths as doubles are not quite 435: 7 decimals of the quotient have to be zeros.
  multipleOfPrecision: 7,
  // A reference is a call, never a copy: copies of copies grow without a bound.
  inlineRefs: false,
  code: { optimize: false, regExp: Object.assign(regExp, { code: 'regExp' }) },
};
/** A separate compiler checks a schema against its draft, so a caller's schema cannot change the draft. */
const forCallers: Options = { ...options, meta: false, validateSchema: false };

const usualDraft = 'https://json-schema.org/draft/2020-12/schema';
const drafts = new Map([
  [usualDraft, { meta: new Ajv2020(options), create: () => new Ajv2020(forCallers) }],
  ['http://json-schema.org/draft-07/schema', { meta: new Ajv(options), create: () => new Ajv(forCallers) }],
]);

/** With `value`, whether it satisfies the schema; without, whether the schema can be used. Never throws. */
export function judgeSchema(schema: JsonSchema, value?: { value: unknown }): Verdict {
  // The verdict would be a promise.
  if ('$async' in schema) return { refused: '"$async" is not part of JSON Schema' };
  // The compiler ignores a property of that name, as if it satisfied everything.
  if (JSON.stringify(schema).includes('"__proto__"')) return { refused: '"__proto__" cannot be checked' };
  const named = typeof schema['$schema'] === 'string' ? schema['$schema'].replace(/#$/, '') : usualDraft;
  const draft = drafts.get(named);
  if (draft === undefined) return { refused: '"$schema" names a draft other than 2020-12 and draft-07' };
  // The compiler says which draft; it would look for that draft's schema otherwise.
  const { $schema: _, ...rest } = schema;
  let validate: ValidateFunction;
  try {
    if (draft.meta.validateSchema(rest) !== true) return { refused: explain(draft.meta.errors, 'it') };
    validate = draft.create().compile(rest);
  } catch (error) {
    return { refused: sentence(error) };
  }
  if (value === undefined) return {};
  try {
    return validate(value.value) ? {} : { unsatisfied: explain(validate.errors, 'the value') };
  } catch (error) {
    return { unsatisfied: sentence(error) };
  }
}

function sentence(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '').slice(0, 300);
}

function explain(errors: readonly ErrorObject[] | null | undefined, root: string): string {
  const error = errors?.[0];
  if (error === undefined) return `${root} is not valid`;
  const { instancePath, message = 'is not valid', params } = error;
  const named = (params as { additionalProperty?: unknown }).additionalProperty;
  const what = typeof named === 'string' ? `${message} (${JSON.stringify(named)})` : message;
  return `${instancePath === '' ? root : instancePath} ${what}`.slice(0, 300);
}

/** JSON Schema asks for Unicode patterns; many in use are valid only without. */
function regExp(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return new RegExp(pattern);
  }
}
