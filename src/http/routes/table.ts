/** The routes. The app, the ledger's names, the key scopes, the formats of errors and OpenAPI all come from this table. */
import * as api from '../../api.ts';
import { anthropic } from '../../dialects/anthropic/anthropic.ts';
import { messagesRequest } from '../../dialects/anthropic/schema.ts';
import type { ErrorFormat } from '../../dialects/dialect.ts';
import { native } from '../../dialects/native.ts';
import { openai } from '../../dialects/openai/openai.ts';
import { chatCompletionRequest } from '../../dialects/openai/request.ts';
import { pageRequest } from '../../pages/request.ts';
import type { Route } from '../route.ts';
import { countTokens } from './count-tokens.ts';
import { fetchPage, type FetchPageParts } from './fetch-page.ts';
import { generate, type GenerateParts } from './generate.ts';
import { health, ready, type HealthParts } from './health.ts';
import { deleteJob, showJob, type JobParts } from './jobs.ts';
import { listModels, showModel, type ModelParts } from './models.ts';
import { openapi, type OpenapiParts } from './openapi.ts';
import { usage, type UsageParts } from './usage.ts';

export type RouteParts = GenerateParts &
  FetchPageParts &
  HealthParts &
  JobParts &
  ModelParts &
  OpenapiParts &
  UsageParts;

const accepted = {
  about: 'A job. Its result is at its `url`.',
  schemas: { JobAnswer: api.jobResponse },
};

const headers = [
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
] as const;

const messages = [{ role: 'user', content: 'Say hello.' }];

export const routes: readonly Route<RouteParts>[] = [
  {
    method: 'GET',
    path: '/health',
    ledger: 'other',
    handler: health,
    id: 'health',
    summary: 'The relay runs.',
    answers: { 200: { about: 'It runs.', schemas: { Health: api.healthResponse } } },
  },
  {
    method: 'GET',
    path: '/ready',
    ledger: 'other',
    handler: ready,
    id: 'ready',
    summary: 'A request would be served now.',
    answers: {
      200: { about: 'It would.', schemas: { Ready: api.readyResponse } },
      503: {
        about: 'It would not. The details need a key, or a caller on the same machine.',
        schemas: { Ready: api.readyResponse },
      },
    },
  },
  {
    method: 'GET',
    path: '/openapi.json',
    ledger: 'other',
    handler: openapi,
    id: 'openapi',
    summary: 'This description.',
    answers: { 200: { about: 'OpenAPI 3.1.', schemas: {} } },
  },
  {
    method: 'GET',
    path: '/v1/models',
    scope: 'models',
    ledger: 'models',
    anySdk: true,
    handler: listModels,
    id: 'models',
    summary: 'The models that this key may use.',
    answers: { 200: { about: 'The models.', schemas: { Models: api.modelsResponse } } },
  },
  {
    method: 'GET',
    path: '/v1/models/:id',
    scope: 'models',
    ledger: 'models',
    anySdk: true,
    handler: showModel,
    id: 'model',
    summary: 'A model, by any name that a request may use.',
    answers: { 200: { about: 'The model.', schemas: { Model: api.modelResponse } } },
  },
  {
    method: 'GET',
    path: '/v1/usage',
    scope: 'usage',
    ledger: 'usage',
    handler: usage,
    id: 'usage',
    summary: 'The limits of this key, and what it used.',
    answers: { 200: { about: 'Limits and usage.', schemas: { Usage: api.usageResponse } } },
  },
  {
    method: 'POST',
    path: '/v1/complete',
    scope: 'complete',
    ledger: 'complete',
    handler: generate(native),
    id: 'complete',
    summary: 'Ask the model.',
    headers,
    body: { schemas: { CompleteRequest: api.completeRequest }, example: () => ({ prompt: 'Say hello.' }) },
    answers: {
      200: {
        about: 'The answer.',
        schemas: { CompleteText: api.completeTextResponse, CompleteJson: api.completeJsonResponse },
        events: true,
      },
      202: accepted,
    },
  },
  {
    method: 'POST',
    path: '/v1/messages',
    scope: 'complete',
    ledger: 'messages',
    dialect: anthropic,
    handler: generate(anthropic),
    id: 'messages',
    summary: 'Ask the model, as the Anthropic SDKs do.',
    headers,
    body: {
      // Parameters that are known and without effect are listed in `x-relay-ignored-params`.
      schemas: { MessagesRequest: messagesRequest.loose() },
      example: (model) => ({ model, max_tokens: 200, messages }),
    },
    answers: {
      200: { about: 'The message.', schemas: { Message: api.messagesResponse }, events: true },
      202: accepted,
    },
    errors: { MessagesError: api.messagesError },
  },
  {
    method: 'POST',
    path: '/v1/messages/count_tokens',
    scope: 'complete',
    ledger: 'count_tokens',
    handler: countTokens,
    id: 'countTokens',
    summary: 'Not supported: always 501.',
    answers: {},
    errors: { MessagesError: api.messagesError },
  },
  {
    method: 'POST',
    path: '/v1/chat/completions',
    scope: 'complete',
    ledger: 'chat_completions',
    dialect: openai,
    handler: generate(openai),
    id: 'chatCompletions',
    summary: 'Ask the model, as the OpenAI SDKs do.',
    headers,
    body: {
      schemas: { ChatRequest: chatCompletionRequest },
      example: (model) => ({ model, messages }),
    },
    answers: {
      200: { about: 'The completion.', schemas: { ChatCompletion: api.chatResponse }, events: true },
      202: accepted,
    },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'POST',
    path: '/v1/fetch',
    scope: 'fetch',
    ledger: 'fetch',
    handler: fetchPage,
    id: 'fetchPage',
    summary: 'Fetch a public page.',
    body: {
      schemas: { FetchRequest: pageRequest },
      example: () => ({ url: 'https://example.com/', format: 'markdown' }),
    },
    answers: { 200: { about: 'The page.', schemas: { Page: api.pageResponse } } },
  },
  {
    method: 'GET',
    path: '/v1/jobs/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: showJob,
    id: 'getJob',
    summary: 'A job, with the answer once it has ended.',
    answers: { 200: { about: 'The job.', schemas: { JobAnswer: api.jobResponse } } },
  },
  {
    method: 'DELETE',
    path: '/v1/jobs/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: deleteJob,
    id: 'deleteJob',
    summary: 'Cancel a job; forget one that has ended.',
    answers: { 200: { about: 'The job.', schemas: { JobAnswer: api.jobResponse } } },
  },
];

/** `path` is the request's; `route` is undefined where there is none. */
export function errorFormatOf(
  path: string,
  route: Route<RouteParts> | undefined,
  headers: Headers,
): ErrorFormat {
  const above = routes.find(
    (each) => each.dialect !== undefined && (path === each.path || path.startsWith(`${each.path}/`)),
  );
  if (above?.dialect !== undefined) return above.dialect;
  if (route !== undefined && route.anySdk === undefined) return native;
  // The Anthropic SDKs send both headers.
  if (headers.has('anthropic-version')) return anthropic;
  return headers.has('x-stainless-lang') ? openai : native;
}
