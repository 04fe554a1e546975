/** The routes. The app, the ledger's names, the key scopes and the formats of errors all come from this table. */
import { anthropic } from '../../dialects/anthropic/anthropic.ts';
import type { ErrorFormat } from '../../dialects/dialect.ts';
import { mcpErrors } from '../../dialects/mcp/errors.ts';
import { native } from '../../dialects/native.ts';
import { ollamaErrors } from '../../dialects/ollama/ollama.ts';
import { openai } from '../../dialects/openai/openai.ts';
import { responses } from '../../dialects/openai/responses/responses.ts';
import { validKey } from '../identify.ts';
import type { Route, RouteKind, Site } from '../route.ts';
import { countTokens, type CountParts } from './count-tokens.ts';
import { fetchPage, type FetchPageParts } from './fetch-page.ts';
import { asks, type GenerateParts } from './generate.ts';
import { health, ready, type HealthParts } from './health.ts';
import { deleteJob, showJob, type JobParts } from './jobs.ts';
import { mcp, type McpParts } from './mcp.ts';
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
  McpParts &
  ModelParts &
  OpenapiParts &
  UsageParts;

const ofJobs = { scope: 'complete', ledger: 'jobs' } as const;

/** `descriptions.ts` says what each of them takes and answers. */
export const routes: readonly Route<RouteParts>[] = [
  { method: 'GET', path: '/health', handler: health },
  { method: 'GET', path: '/ready', handler: ready },
  { method: 'GET', path: '/openapi.json', handler: openapi },
  { method: 'GET', path: '/v1/models', scope: 'models', anySdk: true, handler: listModels },
  { method: 'GET', path: '/v1/models/:id', scope: 'models', anySdk: true, handler: showModel },
  { method: 'GET', path: '/v1/usage', scope: 'usage', handler: usage },
  { path: '/v1/complete', ...asks(native) },
  { path: '/v1/messages', ledger: 'messages', ...asks(anthropic) },
  {
    method: 'POST',
    path: '/v1/messages/count_tokens',
    scope: 'complete',
    ledger: 'count_tokens',
    handler: countTokens,
  },
  { path: '/v1/chat/completions', ledger: 'chat_completions', ...asks(openai) },
  { path: '/v1/responses', ledger: 'responses', ...asks(responses) },
  { method: 'GET', path: '/v1/responses/:id', ...ofJobs, handler: showResponse },
  { method: 'DELETE', path: '/v1/responses/:id', ...ofJobs, handler: deleteResponse },
  { method: 'POST', path: '/v1/responses/:id/cancel', ...ofJobs, handler: cancelResponse },
  { method: 'POST', path: '/v1/fetch', scope: 'fetch', handler: fetchPage },
  {
    method: 'POST',
    path: '/mcp',
    scope: 'complete',
    otherScope: 'fetch',
    ledger: 'mcp',
    errorFormat: mcpErrors,
    handler: mcp,
  },
  { method: 'GET', path: '/v1/jobs/:id', ...ofJobs, handler: showJob },
  { method: 'DELETE', path: '/v1/jobs/:id', ...ofJobs, handler: deleteJob },
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
  if (route !== undefined && route.anySdk === undefined) return route.errorFormat ?? native;
  if (isOfOllama(path)) return ollamaErrors;
  // The Anthropic SDKs send both headers.
  if (headers.has('anthropic-version')) return anthropic;
  return headers.has('x-stainless-lang') || lackingPath(path) !== undefined ? openai : native;
}
