/** The routes. The app, the ledger's names, the key scopes, the formats of errors and OpenAPI all come from this table. */
import * as api from '../../api.ts';
import { anthropic } from '../../dialects/anthropic/anthropic.ts';
import { messagesRequest } from '../../dialects/anthropic/schema.ts';
import type { ErrorFormat } from '../../dialects/dialect.ts';
import { native } from '../../dialects/native.ts';
import { ollamaErrors } from '../../dialects/ollama/ollama.ts';
import { openai } from '../../dialects/openai/openai.ts';
import { chatCompletionRequest } from '../../dialects/openai/request.ts';
import { responsesRequest } from '../../dialects/openai/responses/request.ts';
import { responses } from '../../dialects/openai/responses/responses.ts';
import { pageRequest } from '../../pages/request.ts';
import { validKey } from '../identify.ts';
import type { Route, RouteKind, Site } from '../route.ts';
import { countTokens, type CountParts } from './count-tokens.ts';
import { fetchPage, type FetchPageParts } from './fetch-page.ts';
import { generate, type GenerateParts } from './generate.ts';
import { health, ready, type HealthParts } from './health.ts';
import { deleteJob, showJob, type JobParts } from './jobs.ts';
import { listModels, showModel, type ModelParts } from './models.ts';
import { openapi, type OpenapiParts } from './openapi.ts';
import { canonicalPath, firstPart, isOfOllama, lackingPath, lackingPaths, nothingAt } from './paths.ts';
import { cancelResponse, deleteResponse, showResponse } from './responses.ts';
import { usage, type UsageParts } from './usage.ts';

export type RouteParts = CountParts &
  GenerateParts &
  FetchPageParts &
  HealthParts &
  JobParts &
  ModelParts &
  OpenapiParts &
  UsageParts;

const messages = [{ role: 'user', content: 'Say hello.' }];

export const routes: readonly Route<RouteParts>[] = [
  {
    method: 'GET',
    path: '/health',
    handler: health,
    id: 'health',
    summary: 'The relay runs.',
    answer: { Health: api.healthResponse },
  },
  {
    method: 'GET',
    path: '/ready',
    handler: ready,
    id: 'ready',
    summary: 'A request would be served now. The details need a key, or a caller on the same machine.',
    answer: { Ready: api.readyResponse },
    errors: { Ready: api.readyResponse, Error: api.errorBody },
  },
  {
    method: 'GET',
    path: '/openapi.json',
    handler: openapi,
    id: 'openapi',
    summary: 'This description, in OpenAPI 3.1.',
    answer: {},
  },
  {
    method: 'GET',
    path: '/v1/models',
    scope: 'models',
    anySdk: true,
    handler: listModels,
    id: 'models',
    summary: 'The models that this key may use.',
    answer: { Models: api.modelsResponse },
  },
  {
    method: 'GET',
    path: '/v1/models/:id',
    scope: 'models',
    anySdk: true,
    handler: showModel,
    id: 'model',
    summary: 'A model, by any name that a request may use.',
    answer: { Model: api.modelResponse },
  },
  {
    method: 'GET',
    path: '/v1/usage',
    scope: 'usage',
    handler: usage,
    id: 'usage',
    summary: 'The limits and the usage of this key.',
    answer: { Usage: api.usageResponse },
  },
  {
    method: 'POST',
    path: '/v1/complete',
    scope: 'complete',
    dialect: native,
    handler: generate(native),
    id: 'complete',
    summary: 'Ask the model.',
    body: { CompleteRequest: api.completeRequest },
    example: { prompt: 'Say hello.' },
    answer: { CompleteText: api.completeTextResponse, CompleteJson: api.completeJsonResponse },
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
    // Parameters that are known and without effect are listed in `x-relay-ignored-params`.
    body: { MessagesRequest: messagesRequest.loose() },
    example: { max_tokens: 200, messages },
    answer: { Message: api.messagesResponse },
    errors: { MessagesError: api.messagesError },
  },
  {
    method: 'POST',
    path: '/v1/messages/count_tokens',
    scope: 'complete',
    ledger: 'count_tokens',
    handler: countTokens,
    id: 'countTokens',
    summary: 'About how many input tokens a request has.',
    body: { CountTokensRequest: messagesRequest.partial({ max_tokens: true }).loose() },
    example: { messages },
    answer: { TokenCount: api.countTokensResponse },
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
    body: { ChatRequest: chatCompletionRequest },
    example: { messages },
    answer: { ChatCompletion: api.chatResponse },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'POST',
    path: '/v1/responses',
    scope: 'complete',
    ledger: 'responses',
    dialect: responses,
    handler: generate(responses),
    id: 'responses',
    summary: 'Ask the model, as the OpenAI SDKs do with the Responses API.',
    body: { ResponsesRequest: responsesRequest },
    example: { input: 'Say hello.' },
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'GET',
    path: '/v1/responses/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: showResponse,
    id: 'getResponse',
    summary: 'A response with `background`, with its output once it has ended.',
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'DELETE',
    path: '/v1/responses/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: deleteResponse,
    id: 'deleteResponse',
    summary: 'Delete a response with `background`. One that has not ended is cancelled.',
    answer: { DeletedResponse: api.deletedResponse },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'POST',
    path: '/v1/responses/:id/cancel',
    scope: 'complete',
    ledger: 'jobs',
    handler: cancelResponse,
    id: 'cancelResponse',
    summary: 'Cancel a response with `background` that has not ended.',
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  {
    method: 'POST',
    path: '/v1/fetch',
    scope: 'fetch',
    handler: fetchPage,
    id: 'fetchPage',
    summary: 'Fetch a public page.',
    body: { FetchRequest: pageRequest },
    example: { url: 'https://example.com/', format: 'markdown' },
    answer: { Page: api.pageResponse },
  },
  {
    method: 'GET',
    path: '/v1/jobs/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: showJob,
    id: 'getJob',
    summary: 'A job, with the answer once it has ended.',
    answer: { JobAnswer: api.jobResponse },
  },
  {
    method: 'DELETE',
    path: '/v1/jobs/:id',
    scope: 'complete',
    ledger: 'jobs',
    handler: deleteJob,
    id: 'deleteJob',
    summary: 'Cancel a job, or delete one that has ended.',
    answer: { JobAnswer: api.jobResponse },
  },
];

const outside = new Set(routes.map(({ path }) => firstPart(path)).filter((part) => part !== 'v1'));

export const relaySite: Site<RouteParts> = {
  routes,
  pathOf: (path) => canonicalPath(path, outside),
  cors: true,
  errorFormatOf,
  lackingPaths,
  nothingAt,
  keyOf: validKey,
};

export function errorFormatOf(path: string, route: RouteKind | undefined, headers: Headers): ErrorFormat {
  const above = routes.find(
    (each) => each.dialect !== undefined && (path === each.path || path.startsWith(`${each.path}/`)),
  );
  if (above?.dialect !== undefined) return above.dialect;
  if (route !== undefined && route.anySdk === undefined) return native;
  if (isOfOllama(path)) return ollamaErrors;
  // The Anthropic SDKs send both headers.
  if (headers.has('anthropic-version')) return anthropic;
  return headers.has('x-stainless-lang') || lackingPath(path) !== undefined ? openai : native;
}
