/** GET /openapi.json: the table of routes in OpenAPI 3.1. Needs no key and reports nothing of the host. */
import { z } from 'zod';
import manifest from '../../../package.json' with { type: 'json' };
import { errorBody } from '../../api.ts';
import type { Config } from '../../config.ts';
import { respondText, type Exchange } from '../exchange.ts';
import type { NamedSchemas, Route } from '../route.ts';

type DescribedRoute = Omit<Route<never>, 'handler'>;

export type OpenapiParts = { config: Pick<Config, 'defaultModel'>; routes: readonly DescribedRoute[] };

/** Made once, at the first request. */
const made = new WeakMap<OpenapiParts, string>();

export function openapi(_request: Request, exchange: Exchange, parts: OpenapiParts): Response {
  const text = made.get(parts) ?? JSON.stringify(openapiDocument(parts));
  made.set(parts, text);
  return respondText(exchange, 200, text);
}

function openapiDocument({ config, routes }: OpenapiParts): object {
  const schemas: Record<string, object> = {};
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    // A request is described as it is sent: a field with a default may be absent.
    addSchemas(schemas, 'input', route.body?.schemas);
    for (const { schemas: named } of Object.values(route.answers)) addSchemas(schemas, 'output', named);
    addSchemas(schemas, 'output', route.errors ?? { Error: errorBody });
    const path = (paths[route.path.replace(/:(\w+)/g, '{$1}')] ??= {});
    path[route.method.toLowerCase()] = operation(route, config.defaultModel);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'claude-relay',
      version: manifest.version,
      summary: 'A self-hosted HTTP API around the Claude Code that its owner already runs.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'crk_...' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  };
}

function addSchemas(all: Record<string, object>, io: 'input' | 'output', named: NamedSchemas = {}): void {
  for (const [name, schema] of Object.entries(named)) {
    const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
    all[name] ??= rest;
  }
}

function operation(route: DescribedRoute, model: string): object {
  const { id, summary, scope, body, answers, errors = { Error: errorBody }, headers = [] } = route;
  const parameters = [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...headers,
  ];
  const failure = { description: 'An error.', content: { 'application/json': { schema: refTo(errors) } } };
  return {
    operationId: id,
    summary,
    ...(scope === undefined ? { security: [] } : {}),
    parameters,
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: refTo(body.schemas), example: body.example(model) } },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { about, schemas, events }]) => [
          status,
          {
            description: about,
            content: {
              'application/json': { schema: refTo(schemas) },
              ...(events === undefined ? {} : { 'text/event-stream': { schema: { type: 'string' } } }),
            },
          },
        ]),
      ),
      '4XX': failure,
      '5XX': failure,
    },
  };
}

function refTo(schemas: NamedSchemas): object {
  const refs = Object.keys(schemas).map((name) => ({ $ref: `#/components/schemas/${name}` }));
  return refs.length > 1 ? { anyOf: refs } : (refs[0] ?? { type: 'object' });
}
