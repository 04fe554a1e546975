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

describe('values', () => {
  const rows: [string, JsonSchema, unknown, RegExp | undefined][] = [
    ['one that satisfies', person, { name: 'Jo', tags: ['a'] }, undefined],
    ['a missing property', person, {}, /^the value must have required property 'name'$/],
    ['a wrong one', person, { name: 'J' }, /^\/name must NOT have fewer than 2 characters$/],
    ['one deep down', person, { name: 'Jo', tags: ['a', 'c'] }, /^\/tags\/1 must be equal to one of/],
    ['one too many', person, { name: 'Jo', age: 1 }, /must NOT have additional properties \("age"\)$/],
    ['an inherited property', { required: ['toString'] }, {}, /required property/],
    [
      'draft-07 tuples',
      { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'number' }] },
      ['x'],
      /^\/0 must be number$/,
    ],
    ['2020-12 tuples', { prefixItems: [{ type: 'number' }] }, ['x'], /^\/0 must be number$/],
    [
      'the draft named',
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'string' },
      'x',
      undefined,
    ],
    ['a pattern that is not Unicode', { pattern: String.raw`^\w\-\d$` }, 'a-1', undefined],
    ['an unknown format', { type: 'string', format: 'no-such-format' }, 'x', undefined],
    ['an unknown keyword', { 'x-note': 1, type: 'string' }, 1, /must be string/],
    ['a schema with a name', { $id: 'https://example.com/a', type: 'string' }, 1, /must be string/],
    ['the same name again', { $id: 'https://example.com/a', type: 'number' }, 'x', /must be number/],
    ['a price in cents', { multipleOf: 0.01 }, 4.35, undefined],
    ['a large price in cents', { multipleOf: 0.01 }, 654_321.07, undefined],
    ['a price with too many decimals', { multipleOf: 0.01 }, 4.355, /must be multiple of 0\.01/],
    ['no multiple', { multipleOf: 3 }, 10, /must be multiple of 3/],
    ['a recursive schema', { type: 'array', items: { $ref: '#' } }, [[[1]]], /must be array/],
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

describe('schemas that are refused', () => {
  const deep = (levels: number): JsonSchema => (levels === 0 ? {} : { items: deep(levels - 1) });
  const rows: [string, JsonSchema, RegExp][] = [
    ['a name that is not looked at', parsed('{"properties":{"__proto__":{"type":"string"}}}'), /"__proto__"/],
    ['no such type', { type: 'strin' }, /\/type must be/],
    ['a reference to nothing', { $ref: '#/nowhere' }, /can't resolve reference/],
    ['a reference to elsewhere', { $ref: 'https://example.com/schema' }, /can't resolve reference/],
    ['a broken pattern', { pattern: '(' }, /Invalid regular expression/],
    ['asynchronous', { $async: true }, /\$async/],
    ['another draft', { $schema: 'http://json-schema.org/draft-04/schema#' }, /a draft other than/],
    ['too deep', deep(200), /nested more than/],
    ['too long', { description: 'x'.repeat(70_000) }, /longer than/],
  ];
  for (const [name, schema, message] of rows) {
    test(name, async () => assert.match(await refusal(schema), message));
  }

  test('one that takes the name of a draft changes nothing for the next', async () => {
    await schemas.check({ $id: 'https://json-schema.org/draft/2020-12/schema', type: 'string' });
    assert.match(await refusal({ type: 'strin' }), /must be/);
    await schemas.check({ type: 'string' });
  });
});

describe('hostile ones', () => {
  test('a pattern that never ends: told, the event loop free, and the next one is judged', async () => {
    const schema = { type: 'string', pattern: '^(a+)+$' };
    let rounds = 0;
    const timer = setInterval(() => (rounds += 1), 5);
    assert.match((await schemas.unsatisfied(schema, `${'a'.repeat(60)}!`)) ?? '', /too long/);
    clearInterval(timer);
    assert.ok(rounds > 5, `the event loop went round ${rounds} times meanwhile`);
    assert.equal(await schemas.unsatisfied({ type: 'string' }, 'x'), undefined);
  });

  test('references that multiply', async () => {
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

  test('a crowd: some are told to come again, and all are answered', async () => {
    const all = await Promise.allSettled(
      Array.from({ length: 100 }, () => schemas.check({ type: 'string' })),
    );
    const codes = all.map((one) => (one.status === 'fulfilled' ? 'ok' : (one.reason as RelayError).code));
    assert.ok(codes.includes('ok') && codes.includes('rate_limited'), codes.join());
  });

  test('a crowd of one key: another key is let in, and its schema is judged before the rest of the crowd', async () => {
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

test('closed: nothing waits for ever', async () => {
  const closing = createSchemas();
  const checks = Promise.allSettled([closing.check({ type: 'string' }), closing.check({ type: 'string' })]);
  await closing.close();
  assert.deepEqual(
    (await checks).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});
