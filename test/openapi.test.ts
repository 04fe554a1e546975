/** /openapi.json is valid, complete and true: every example in it works, and is answered as it says. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { descriptions } from '../src/http/routes/descriptions.ts';
import { routes } from '../src/http/routes/table.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';

type Content = Record<string, { schema: object; example?: object }>;
type Operation = {
  requestBody?: { content: Content };
  responses: Record<string, { content: Content }>;
  security?: object[];
};
type Document = { openapi: string; paths: Record<string, Record<string, Operation>> };

describe('/openapi.json', () => {
  let relay: InProcessRelay;
  let document: Document;
  let ajv: Ajv2020;
  let jobUrl = '';
  let responseUrl = '';
  before(async () => {
    relay = await startInProcess({ settings: { ALLOWED_MODELS: 'haiku,sonnet', DEFAULT_MODEL: 'haiku' } });
    const response = await fetch(`${relay.url}/openapi.json`);
    assert.equal(response.status, 200);
    document = (await response.json()) as Document;
    ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ ...document, $id: 'relay' });
  });
  after(() => relay.stop());

  /** Checks an answer against the description of its operation. */
  function check(operation: Operation, status: number, body: unknown, what: string): void {
    const described = operation.responses[status] ?? operation.responses[`${Math.floor(status / 100)}XX`];
    assert.ok(described !== undefined, `${what}: ${status} is not described`);
    const schema = described.content['application/json']?.schema ?? {};
    const local = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"relay#/')) as object;
    const validate = ajv.compile(local);
    assert.ok(validate(body), `${what}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`);
  }

  test('is valid OpenAPI 3.1', async () => {
    assert.match(document.openapi, /^3\.1\./);
    const result = await new Validator().validate(structuredClone(document));
    assert.deepEqual(result, { valid: true });
    const broken = structuredClone(document) as unknown as { paths: { '/health': { get: object } } };
    broken.paths['/health'].get = { responses: { 200: { content: {} } } };
    assert.equal((await new Validator().validate(broken)).valid, false, 'the validator looks');
  });

  test('has every route of the table, and no other', () => {
    const real = routes.map(({ method, path }) => `${method} ${path.replace(':id', '{id}')}`);
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.ok(real.length > 10);
    assert.deepEqual(described.toSorted(), real.toSorted());
    assert.equal(Object.keys(descriptions).length, routes.length);
  });

  test('every example of a body is answered as the description says', async () => {
    const answered: string[] = [];
    for (const [path, methods] of Object.entries(document.paths)) {
      const operation = methods['post'];
      const example = operation?.requestBody?.content['application/json']?.example;
      if (operation === undefined || example === undefined) continue;
      const response = await relay.post(example, { path });
      // The test has no internet: a page fetch fails as described.
      const expected = path === '/v1/fetch' ? [502, 403] : [200];
      const body: unknown = await response.json();
      assert.ok(expected.includes(response.status), `${path}: ${response.status} ${JSON.stringify(body)}`);
      check(operation, response.status, body, path);
      answered.push(path);
    }
    const expected = [
      'complete',
      'messages',
      'messages/count_tokens',
      'chat/completions',
      'responses',
      'fetch',
    ];
    assert.deepEqual(
      answered,
      expected.map((name) => `/v1/${name}`),
    );
  });

  test('the other forms of an answer are as the description says', async () => {
    const complete = document.paths['/v1/complete']?.['post'];
    assert.ok(complete);
    const forms: [body: object, status: number][] = [
      [{ prompt: 'hi', output_format: 'json' }, 200],
      [{ prompt: 'hi', async: true, webhook: 'https://hooks.example.org/' }, 202],
      [{ prompt: 'hi', async: true }, 202],
    ];
    for (const [form, status] of forms) {
      const response = await relay.post(form);
      assert.equal(response.status, status);
      const body = (await response.json()) as { job?: { url: string } };
      check(complete, status, body, JSON.stringify(form));
      jobUrl = body.job?.url ?? jobUrl;
    }
  });

  test('a response with background is as the description says', async () => {
    const post = document.paths['/v1/responses']?.['post'];
    const cancel = document.paths['/v1/responses/{id}/cancel']?.['post'];
    assert.ok(post && cancel);
    const response = await relay.post({ input: 'hi', background: true }, { path: '/v1/responses' });
    const body = (await response.json()) as { id: string };
    check(post, response.status, body, 'background');
    responseUrl = `/v1/responses/${body.id}`;
    const cancelled = await relay.post({}, { path: `${responseUrl}/cancel` });
    check(cancel, cancelled.status, await cancelled.json(), 'cancel');
  });

  test('every GET and DELETE is answered as the description says', async () => {
    assert.match(jobUrl, /^\/v1\/jobs\/job_/);
    for (const method of ['get', 'delete']) {
      for (const [path, methods] of Object.entries(document.paths)) {
        const operation = methods[method];
        if (operation === undefined) continue;
        const real = path
          .replace('/v1/jobs/{id}', jobUrl)
          .replace('/v1/responses/{id}', responseUrl)
          .replace('/v1/models/{id}', '/v1/models/haiku');
        const response = await fetch(`${relay.url}${real}`, {
          method: method.toUpperCase(),
          headers: operation.security?.length === 0 ? {} : { 'x-api-key': relay.key },
        });
        assert.equal(response.status, 200, path);
        check(operation, 200, await response.json(), path);
      }
    }
  });

  test('every refusal without a key is as the description says', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.security?.length === 0) continue;
        const response = await fetch(`${relay.url}${path.replace('{id}', 'x')}`, {
          method: method.toUpperCase(),
        });
        assert.equal(response.status, 401, path);
        check(operation, 401, await response.json(), path);
      }
    }
  });
});
