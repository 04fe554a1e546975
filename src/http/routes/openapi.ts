/** GET /openapi.json: the table of routes in OpenAPI 3.1. Needs no key and reports nothing of the host. */
import { z } from 'zod';
import { errorBody, jobResponse } from '../../api.ts';
import type { Config } from '../../config.ts';
import { version } from '../../installation.ts';
import { respondText, type Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { descriptions, type Description, type NamedSchemas } from './descriptions.ts';

type TableRoute = Omit<Route<never>, 'handler'>;
type DescribedRoute = TableRoute & Description;

export type OpenapiParts = { config: Pick<Config, 'defaultModel'>; routes: readonly TableRoute[] };

/** Headers of a request to the model. */
const modelHeaders = [
  {
    name: 'idempotency-key',
    in: 'header',
    description: 'A repeat with the same key and body joins the first request or gets its answer.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  },
  {
    name: 'prefer',
    in: 'header',
    description: '`respond-async` asks for a job instead of an answer.',
    schema: { type: 'string', examples: ['respond-async'] },
  },
];

const accepted: NamedSchemas = { JobAnswer: jobResponse };
const nativeErrors: NamedSchemas = { Error: errorBody };

/** Made once, at the first request. */
const made = new WeakMap<OpenapiParts, string>();

export function openapi(_request: Request, exchange: Exchange, parts: OpenapiParts): Response {
  const text = made.get(parts) ?? JSON.stringify(openapiDocument(parts));
  made.set(parts, text);
  return respondText(exchange, 200, text);
}

function openapiDocument({ config, routes: table }: OpenapiParts): object {
  const routes = table.map(described);
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = (paths[route.path.replace(/:(\w+)/g, '{$1}')] ??= {});
    path[route.method.toLowerCase()] = operation(route, config.defaultModel);
  }
  const requests: NamedSchemas = Object.assign({}, ...routes.map(({ body }) => body));
  const answers: NamedSchemas = Object.assign(
    {},
    accepted,
    nativeErrors,
    ...routes.flatMap(({ answer, errors }) => [answer, errors]),
  );
  return {
    openapi: '3.1.1',
    info: {
      title: 'claude-relay',
      version,
      summary: 'A self-hosted HTTP API around the Claude Code that its owner already runs.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      // A request is described as it is sent: a field with a default may be absent.
      schemas: { ...toJsonSchemas('input', requests), ...toJsonSchemas('output', answers) },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'crk_...' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  };
}

function described(route: TableRoute): DescribedRoute {
  const name = `${route.method} ${route.path}`;
  const description = descriptions[name];
  if (description === undefined) throw new Error(`${name} has no description`);
  return { ...route, ...description };
}

function toJsonSchemas(io: 'input' | 'output', schemas: NamedSchemas): Record<string, object> {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
      return [name, rest];
    }),
  );
}

function operation(route: DescribedRoute, defaultModel: string): object {
  const { id, summary, scope, body, answer, errors = nativeErrors } = route;
  const asksModel = route.dialect !== undefined;
  const parameters = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const namesModel = scope === 'complete' && route.example !== undefined;
  const example = namesModel ? { model: defaultModel, ...route.example } : route.example;
  const events = asksModel ? { 'text/event-stream': { schema: { type: 'string' } } } : {};
  const failure = { description: 'An error.', content: json(errors) };
  return {
    operationId: id,
    summary,
    security: scope === undefined ? [] : undefined,
    parameters: asksModel ? modelHeaders : parameters,
    requestBody: body && { required: true, content: json(body, { example }) },
    responses: {
      200: answer && { description: 'The answer.', content: { ...json(answer), ...events } },
      202: asksModel
        ? { description: 'A job. Its result is at its `url`.', content: json(accepted) }
        : undefined,
      '4XX': failure,
      '5XX': failure,
    },
  };
}

function json(schemas: NamedSchemas, more: object = {}): object {
  const refs = Object.keys(schemas).map((name) => ({ $ref: `#/components/schemas/${name}` }));
  const schema = refs.length > 1 ? { anyOf: refs } : (refs[0] ?? { type: 'object' });
  return { 'application/json': { schema, ...more } };
}
