/** What each route takes and answers, for OpenAPI. */
import type { z } from 'zod';
import * as api from '../../api.ts';
import { messagesRequest } from '../../dialects/anthropic/schema.ts';
import { chatCompletionRequest } from '../../dialects/openai/request.ts';
import { responsesRequest } from '../../dialects/openai/responses/request.ts';
import { pageRequest } from '../../pages/request.ts';

/** Name of the component in OpenAPI -> its schema. Several are alternatives. */
export type NamedSchemas = Readonly<Record<string, z.ZodType>>;

export type Description = {
  /** `operationId` in OpenAPI. */
  readonly id: string;
  readonly summary: string;
  readonly body?: NamedSchemas;
  readonly example?: object;
  /** The body of a 200. Absent: there is no such answer. */
  readonly answer?: NamedSchemas;
  /** Absent: the relay's own error. */
  readonly errors?: NamedSchemas;
};

const messages = [{ role: 'user', content: 'Say hello.' }];

/** By method and path. A test holds it to the table of routes. */
export const descriptions: Readonly<Record<string, Description>> = {
  'GET /health': {
    id: 'health',
    summary: 'The relay runs.',
    answer: { Health: api.healthResponse },
  },
  'GET /ready': {
    id: 'ready',
    summary: 'A request would be served now. The details need a key, or a caller on the same machine.',
    answer: { Ready: api.readyResponse },
    errors: { Ready: api.readyResponse, Error: api.errorBody },
  },
  'GET /openapi.json': {
    id: 'openapi',
    summary: 'This description, in OpenAPI 3.1.',
    answer: {},
  },
  'GET /v1/models': {
    id: 'models',
    summary: 'The models that this key may use.',
    answer: { Models: api.modelsResponse },
  },
  'GET /v1/models/:id': {
    id: 'model',
    summary: 'A model, by any name that a request may use.',
    answer: { Model: api.modelResponse },
  },
  'GET /v1/usage': {
    id: 'usage',
    summary: 'The limits and the usage of this key.',
    answer: { Usage: api.usageResponse },
  },
  'POST /v1/complete': {
    id: 'complete',
    summary: 'Ask the model.',
    body: { CompleteRequest: api.completeRequest },
    example: { prompt: 'Say hello.' },
    answer: { CompleteText: api.completeTextResponse, CompleteJson: api.completeJsonResponse },
  },
  'POST /v1/messages': {
    id: 'messages',
    summary: 'Ask the model, as the Anthropic SDKs do.',
    // Parameters that are known and without effect are listed in `x-relay-ignored-params`.
    body: { MessagesRequest: messagesRequest.loose() },
    example: { max_tokens: 200, messages },
    answer: { Message: api.messagesResponse },
    errors: { MessagesError: api.messagesError },
  },
  'POST /v1/messages/count_tokens': {
    id: 'countTokens',
    summary: 'About how many input tokens a request has.',
    body: { CountTokensRequest: messagesRequest.partial({ max_tokens: true }).loose() },
    example: { messages },
    answer: { TokenCount: api.countTokensResponse },
    errors: { MessagesError: api.messagesError },
  },
  'POST /v1/chat/completions': {
    id: 'chatCompletions',
    summary: 'Ask the model, as the OpenAI SDKs do.',
    body: { ChatRequest: chatCompletionRequest },
    example: { messages },
    answer: { ChatCompletion: api.chatResponse },
    errors: { ChatError: api.chatError },
  },
  'POST /v1/responses': {
    id: 'responses',
    summary: 'Ask the model, as the OpenAI SDKs do with the Responses API.',
    body: { ResponsesRequest: responsesRequest },
    example: { input: 'Say hello.' },
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  'GET /v1/responses/:id': {
    id: 'getResponse',
    summary: 'A response with `background`, with its output once it has ended.',
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  'DELETE /v1/responses/:id': {
    id: 'deleteResponse',
    summary: 'Delete a response with `background`. One that has not ended is cancelled.',
    answer: { DeletedResponse: api.deletedResponse },
    errors: { ChatError: api.chatError },
  },
  'POST /v1/responses/:id/cancel': {
    id: 'cancelResponse',
    summary: 'Cancel a response with `background` that has not ended.',
    answer: { Response: api.responsesResponse },
    errors: { ChatError: api.chatError },
  },
  'POST /v1/fetch': {
    id: 'fetchPage',
    summary: 'Fetch a public page.',
    body: { FetchRequest: pageRequest },
    example: { url: 'https://example.com/', format: 'markdown' },
    answer: { Page: api.pageResponse },
  },
  'POST /mcp': {
    id: 'mcp',
    summary: 'Tools for clients of the Model Context Protocol, over its streamable HTTP.',
    body: { McpMessage: api.mcpMessage },
    answer: { McpMessage: api.mcpMessage },
    errors: { McpMessage: api.mcpMessage },
  },
  'GET /v1/jobs/:id': {
    id: 'getJob',
    summary: 'A job, with the answer once it has ended.',
    answer: { JobAnswer: api.jobResponse },
  },
  'DELETE /v1/jobs/:id': {
    id: 'deleteJob',
    summary: 'Cancel a job, or delete one that has ended.',
    answer: { JobAnswer: api.jobResponse },
  },
};
