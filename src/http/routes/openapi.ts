/** GET /openapi.json: the API in OpenAPI 3.1, made of the schemas that check the requests. Needs no key and tells nothing of the host. */
import { z } from 'zod';
import manifest from '../../../package.json' with { type: 'json' };
import {
  completeJsonResponse,
  completeRequest,
  completeTextResponse,
  errorBody,
  jobResponse,
} from '../../api.ts';
import type { Config } from '../../config.ts';
import { messagesRequest } from '../../dialects/anthropic/schema.ts';
import { chatCompletionRequest } from '../../dialects/openai/request.ts';
import { pageRequest } from '../../pages/request.ts';
import type { AppContext } from '../app.ts';
import { respondText, type Exchange } from '../exchange.ts';
import * as answers from './openapi-answers.ts';
import {
  chatExamples,
  completeExamples,
  fetchExamples,
  messagesExamples,
  type Examples,
} from './openapi-examples.ts';

const schemas = {
  CompleteRequest: completeRequest,
  CompleteText: completeTextResponse,
  CompleteJson: completeJsonResponse,
  JobAnswer: jobResponse,
  Error: errorBody,
  // Parameters that are known and without effect are listed in `x-relay-ignored-params`.
  MessagesRequest: messagesRequest.loose(),
  Message: answers.messagesAnswer,
  MessagesError: answers.messagesError,
  ChatRequest: chatCompletionRequest,
  ChatCompletion: answers.chatAnswer,
  ChatError: answers.chatError,
  FetchRequest: pageRequest,
  Page: answers.pageAnswer,
  Models: answers.modelsAnswer,
  Model: answers.modelAnswer,
  Usage: answers.usageAnswer,
  Health: answers.healthAnswer,
  Ready: answers.readyAnswer,
} as const;

type SchemaName = keyof typeof schemas;

type Operation = {
  id: string;
  summary: string;
  open?: true;
  request?: { schema: SchemaName; examples: Examples };
  /** By status; several schemas are alternatives. */
  answers: Record<string, { about: string; schema: SchemaName[]; events?: true }>;
  error?: SchemaName;
  parameters?: (keyof typeof parameters)[];
};

const parameters = {
  jobId: { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
  modelId: { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
  idempotencyKey: {
    name: 'idempotency-key',
    in: 'header',
    description: 'A repeat with the same key and body joins the first request or gets its answer.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  },
  prefer: {
    name: 'prefer',
    in: 'header',
    description: '`respond-async` asks for a job instead of an answer.',
    schema: { type: 'string', examples: ['respond-async'] },
  },
} as const;

const accepted = { about: 'A job, to be asked for at its `url`.', schema: ['JobAnswer'] } as const;
const repeatable = ['idempotencyKey', 'prefer'] as const;

function operations(model: string): Record<string, Record<string, Operation>> {
  const job = (id: string, summary: string): Operation => ({
    id,
    summary,
    parameters: ['jobId'],
    answers: { 200: { about: 'The job.', schema: ['JobAnswer'] } },
  });
  const told = (id: string, summary: string, schema: SchemaName, open?: true): Operation => ({
    id,
    summary,
    ...(open === undefined ? {} : { open }),
    answers: { 200: { about: summary, schema: [schema] } },
  });
  return {
    '/v1/complete': {
      post: {
        id: 'complete',
        summary: 'ParsedRequest the model.',
        parameters: [...repeatable],
        request: { schema: 'CompleteRequest', examples: completeExamples },
        answers: {
          200: { about: 'The answer.', schema: ['CompleteText', 'CompleteJson'], events: true },
          202: { ...accepted, schema: [...accepted.schema] },
        },
      },
    },
    '/v1/messages': {
      post: {
        id: 'messages',
        summary: 'ParsedRequest the model, as the Anthropic SDKs do.',
        parameters: [...repeatable],
        request: { schema: 'MessagesRequest', examples: messagesExamples(model) },
        answers: {
          200: { about: 'The message.', schema: ['Message'], events: true },
          202: { ...accepted, schema: [...accepted.schema] },
        },
        error: 'MessagesError',
      },
    },
    '/v1/messages/count_tokens': {
      post: {
        id: 'countTokens',
        summary: 'Not supported: always 501.',
        answers: {},
        error: 'MessagesError',
      },
    },
    '/v1/chat/completions': {
      post: {
        id: 'chatCompletions',
        summary: 'ParsedRequest the model, as the OpenAI SDKs do.',
        parameters: [...repeatable],
        request: { schema: 'ChatRequest', examples: chatExamples(model) },
        answers: {
          200: { about: 'The completion.', schema: ['ChatCompletion'], events: true },
          202: { ...accepted, schema: [...accepted.schema] },
        },
        error: 'ChatError',
      },
    },
    '/v1/fetch': {
      post: {
        id: 'fetchPage',
        summary: 'Fetch a public page.',
        request: { schema: 'FetchRequest', examples: fetchExamples },
        answers: { 200: { about: 'The page.', schema: ['Page'] } },
      },
    },
    '/v1/jobs/{id}': {
      get: job('getJob', 'A job, with the answer once it has ended.'),
      delete: job('deleteJob', 'Cancel a job; forget one that has ended.'),
    },
    '/v1/models': { get: told('models', 'The models that this key may use.', 'Models') },
    '/v1/models/{id}': {
      get: {
        ...told('model', 'One of them, by any name that a request may use.', 'Model'),
        parameters: ['modelId'],
      },
    },
    '/v1/usage': { get: told('usage', 'The limits of this key, and what it used.', 'Usage') },
    '/health': { get: told('health', 'The relay runs.', 'Health', true) },
    '/ready': {
      get: {
        ...told('ready', 'A request would be served now.', 'Ready', true),
        answers: {
          200: { about: 'It would.', schema: ['Ready'] },
          503: {
            about: 'It would not. The details need a key, or a caller on the same machine.',
            schema: ['Ready'],
          },
        },
      },
    },
    '/openapi.json': {
      get: {
        id: 'openapi',
        summary: 'This description.',
        open: true,
        answers: { 200: { about: 'OpenAPI 3.1.', schema: [] } },
      },
    },
  };
}

const ref = (name: SchemaName): object => ({ $ref: `#/components/schemas/${name}` });

function operationObject(operation: Operation): object {
  const { id, summary, open, request, error = 'Error', parameters: names = [] } = operation;
  const failure = { description: 'An error.', content: { 'application/json': { schema: ref(error) } } };
  return {
    operationId: id,
    summary,
    ...(open === undefined ? {} : { security: [] }),
    ...(names.length === 0
      ? {}
      : { parameters: names.map((name) => ({ $ref: `#/components/parameters/${name}` })) }),
    ...(request === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: ref(request.schema), examples: request.examples } },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(operation.answers).map(([status, { about, schema, events }]) => [
          status,
          {
            description: about,
            content: {
              'application/json': { schema: schemaOf(schema) },
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

function schemaOf(names: readonly SchemaName[]): object {
  const [first, ...more] = names;
  if (first === undefined) return { type: 'object' };
  return more.length === 0 ? ref(first) : { anyOf: names.map(ref) };
}

/** A request is described as it is sent: what has a default may be left out. */
function schemaObjects(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const io = name.endsWith('Request') ? 'input' : 'output';
      const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
      return [name, rest];
    }),
  );
}

function openapiDocument(model: string): Record<string, unknown> {
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
    paths: Object.fromEntries(
      Object.entries(operations(model)).map(([path, methods]) => [
        path,
        Object.fromEntries(
          Object.entries(methods).map(([method, operation]) => [method, operationObject(operation)]),
        ),
      ]),
    ),
    components: {
      schemas: schemaObjects(),
      parameters,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'crk_...' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  };
}

/** Made once, at the first request. */
const made = new WeakMap<Config, string>();

export function openapi(_request: Request, exchange: Exchange, { config }: AppContext): Response {
  const text = made.get(config) ?? JSON.stringify(openapiDocument(config.defaultModel));
  made.set(config, text);
  return respondText(exchange, 200, text);
}
