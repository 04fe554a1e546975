import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { RelayError } from '../errors.ts';
import { createSchemas } from './schemas.ts';
import type { JsonSchema } from './schema.ts';

const schemas = createSchemas();
after(() => schemas.close());

async function refusal(schema: JsonSchema): Promise<string> {
  const error: unknown = await schemas.check(schema).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof RelayError, JSON.stringify(schema).slice(0, 200));
  assert.equal(error.code, 'bad_request');
  assert.ok(error.message.length < 400);
  return error.message;
}

/** An object literal cannot have "__proto__" as an own name. */
const parsed = (text: string): JsonSchema => JSON.parse(text) as JsonSchema;

const person: JsonSchema = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 2 },
    tags: { type: 'array', items: { $ref: '#/$defs/tag' } },
  },
  required: ['name'],
  additionalProperties: false,
  $defs: { tag: { enum: ['a', 'b'] } },
};

describe('a value is checked against a schema', () => {
  const rows: [string, JsonSchema, unknown, RegExp | undefined][] = [
    ['that it satisfies', person, { name: 'Jo', tags: ['a'] }, undefined],
    ['that requires a missing property', person, {}, /^the value must have required property 'name'$/],
    ['that its property violates', person, { name: 'J' }, /^\/name must NOT have fewer than 2 characters$/],
    [
      'that a nested value violates',
      person,
      { name: 'Jo', tags: ['a', 'c'] },
      /^\/tags\/1 must be equal to one of/,
    ],
    [
      'that forbids a further property',
      person,
      { name: 'Jo', age: 1 },
      /must NOT have additional properties \("age"\)$/,
    ],
    ['that requires an inherited property', { required: ['toString'] }, {}, /required property/],
    [
      'with draft-07 tuples',
      { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'number' }] },
      ['x'],
      /^\/0 must be number$/,
    ],
    ['with 2020-12 tuples', { prefixItems: [{ type: 'number' }] }, ['x'], /^\/0 must be number$/],
    [
      'that names its draft',
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'string' },
      'x',
      undefined,
    ],
    ['with a pattern that is not Unicode', { pattern: String.raw`^\w\-\d$` }, 'a-1', undefined],
    ['with an unknown format', { type: 'string', format: 'no-such-format' }, 'x', undefined],
    ['with an unknown keyword', { 'x-note': 1, type: 'string' }, 1, /must be string/],
    ['with an $id', { $id: 'https://example.com/a', type: 'string' }, 1, /must be string/],
    [
      'with the $id of an earlier schema',
      { $id: 'https://example.com/a', type: 'number' },
      'x',
      /must be number/,
    ],
    ['with a multipleOf that fits a price', { multipleOf: 0.01 }, 4.35, undefined],
    ['with a multipleOf that fits a large price', { multipleOf: 0.01 }, 654_321.07, undefined],
    ['with a multipleOf that does not fit a price', { multipleOf: 0.01 }, 4.355, /must be multiple of 0\.01/],
    ['with a multipleOf that does not fit an integer', { multipleOf: 3 }, 10, /must be multiple of 3/],
    ['that is recursive', { type: 'array', items: { $ref: '#' } }, [[[1]]], /must be array/],
  ];
  for (const [name, schema, value, expected] of rows) {
    test(name, async () => {
      await schemas.check(schema);
      const why = await schemas.unsatisfied(schema, value);
      if (expected === undefined) assert.equal(why, undefined);
      else assert.match(why ?? 'satisfied', expected);
    });
  }
});

describe('a schema is refused', () => {
  const deep = (levels: number): JsonSchema => (levels === 0 ? {} : { items: deep(levels - 1) });
  const rows: [string, JsonSchema, RegExp][] = [
    [
      'with a property that would be ignored',
      parsed('{"properties":{"__proto__":{"type":"string"}}}'),
      /"__proto__"/,
    ],
    ['with an unknown type', { type: 'strin' }, /\/type must be/],
    ['with a reference to nothing', { $ref: '#/nowhere' }, /can't resolve reference/],
    [
      'with a reference to another document',
      { $ref: 'https://example.com/schema' },
      /can't resolve reference/,
    ],
    ['with a broken pattern', { pattern: '(' }, /Invalid regular expression/],
    ['if it is asynchronous', { $async: true }, /\$async/],
    ['of another draft', { $schema: 'http://json-schema.org/draft-04/schema#' }, /a draft other than/],
    ['if it is nested too deep', deep(200), /nested more than/],
    ['if it is too long', { description: 'x'.repeat(70_000) }, /longer than/],
  ];
  for (const [name, schema, message] of rows) {
    test(name, async () => assert.match(await refusal(schema), message));
  }

  test('a schema with the $id of a draft does not change the next check', async () => {
    await schemas.check({ $id: 'https://json-schema.org/draft/2020-12/schema', type: 'string' });
    assert.match(await refusal({ type: 'strin' }), /must be/);
    await schemas.check({ type: 'string' });
  });
});

describe('hostile schemas', () => {
  test('a schema with an endless pattern is refused, and holds up neither the event loop nor the next check', async () => {
    const schema = { type: 'string', pattern: '^(a+)+$' };
    let rounds = 0;
    const timer = setInterval(() => (rounds += 1), 5);
    assert.match((await schemas.unsatisfied(schema, `${'a'.repeat(60)}!`)) ?? '', /too long/);
    clearInterval(timer);
    assert.ok(rounds > 5, `the event loop went round ${rounds} times meanwhile`);
    assert.equal(await schemas.unsatisfied({ type: 'string' }, 'x'), undefined);
  });

  test('a schema with references that multiply is refused', async () => {
    const $defs: Record<string, JsonSchema> = { d60: { type: 'number' } };
    for (let i = 0; i < 60; i += 1) {
      const $ref = `#/$defs/d${i + 1}`;
      $defs[`d${i}`] = { anyOf: [{ $ref }, { $ref }] };
    }
    const schema = { $defs, $ref: '#/$defs/d0' };
    await schemas.check(schema);
    assert.match((await schemas.unsatisfied(schema, 'x')) ?? '', /too long/);
    await schemas.check({ type: 'string' });
  });

  test('many checks at once all end, some with rate_limited', async () => {
    const all = await Promise.allSettled(
      Array.from({ length: 100 }, () => schemas.check({ type: 'string' })),
    );
    const codes = all.map((one) => (one.status === 'fulfilled' ? 'ok' : (one.reason as RelayError).code));
    assert.ok(codes.includes('ok') && codes.includes('rate_limited'), codes.join());
  });

  test('a schema of another key is checked before the rest of a crowd of one key', async () => {
    const order: string[] = [];
    const check = (keyId: string): Promise<unknown> =>
      schemas.check({ type: 'string' }, keyId).then(
        () => order.push(keyId),
        () => {},
      );
    await Promise.all([...Array.from({ length: 100 }, () => check('crowd')), check('one')]);
    assert.ok(order.indexOf('one') < 3, order.join());
    assert.ok(order.length > 10, 'the crowd is judged, too');
  });
});

test('close rejects the checks that wait', async () => {
  const closing = createSchemas();
  const checks = Promise.allSettled([closing.check({ type: 'string' }), closing.check({ type: 'string' })]);
  await closing.close();
  assert.deepEqual(
    (await checks).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});
