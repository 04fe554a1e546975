/**
 * What 2.1.197 and 2.1.330 print for each answer of the API, of a proxy or of a web filter, as it was measured with the stand-in, and
 * what the caller gets for it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { errorOf, type Cause } from './errors.ts';
import { causeOf, type Refusal } from './causes.ts';

type Row = {
  text: string;
  status?: number;
  kind?: string;
  /** 2.1.330 passes it on; a row without one is what 2.1.197 prints, or an answer that is not the API's. */
  apiType?: string;
  code?: string;
  /** The builds that print it; both without. */
  build?: '2.1.197' | '2.1.330';
  cause: Cause;
  reason?: string;
};

const auth = 'authentication_failed';
const at = (status: number, kind: string, apiType?: string): Pick<Row, 'status' | 'kind' | 'apiType'> => ({
  status,
  kind,
  ...(apiType === undefined ? {} : { apiType }),
});
const invalid = at(400, 'invalid_request', 'invalid_request_error');
const unknown400 = at(400, 'unknown', 'invalid_request_error');
const refused401 = at(401, auth, 'authentication_error');
const refused403 = at(403, auth, 'permission_error');
const gateway = 'This is a server-side issue, usually temporary — try again in a moment.';
const removed = 'in the conversation could not be processed and was removed. Re-read the file';

const rows: Row[] = [
  // The login.
  { text: 'Not logged in · Please run /login', kind: auth, cause: 'login' },
  { text: 'Not logged in · Please run /login', ...refused401, cause: 'login' },
  { text: 'Invalid API key · Fix external API key', ...refused401, cause: 'login' },
  { text: 'Login expired · Please run /login', kind: auth, cause: 'login' },
  {
    text: 'Failed to authenticate: OAuth session expired and could not be refreshed',
    kind: auth,
    cause: 'login',
  },
  { text: 'Failed to authenticate: this login reached its time limit', kind: auth, cause: 'login' },
  { text: 'Failed to authenticate: OAuth token revoked. Please log in again', ...refused403, cause: 'login' },
  { text: 'Your account does not have access to Claude. Please login again', ...refused403, cause: 'login' },
  { text: 'Failed to authenticate. API Error: 401 Invalid bearer token', ...refused401, cause: 'login' },
  { text: 'Failed to authenticate. API Error: 401 OAuth token has expired.', ...refused401, cause: 'login' },
  {
    text: 'Failed to authenticate. API Error: 401 OAuth access token has been revoked.',
    ...refused401,
    cause: 'login',
  },
  {
    text: 'Failed to authenticate. API Error: 401 OAuth authentication is currently not supported.',
    ...refused401,
    cause: 'login',
  },
  {
    text: 'Failed to authenticate. API Error: 401 A new sentence about the token',
    ...refused401,
    cause: 'login',
  },
  { text: 'API Error: Could not load AWS credentials · x', kind: 'cloud_credential_error', cause: 'login' },
  { text: 'AWS credentials expired or invalid · API Error: 403 x', ...at(403, auth), cause: 'login' },
  { text: 'Something new about logging in', kind: auth, cause: 'login' },
  // The account.
  {
    text: 'Your ANTHROPIC_API_KEY belongs to a disabled organization · Update it',
    ...invalid,
    cause: 'disabled',
  },
  { text: 'API Error: 400 This organization has been disabled.', ...unknown400, cause: 'disabled' },
  {
    text: 'Failed to authenticate. API Error: 403 This organization has been disabled.',
    ...refused403,
    cause: 'disabled',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Your account is on hold',
    ...refused403,
    cause: 'disabled',
  },
  {
    text: 'Your organization has disabled API key authentication · Unset it',
    ...at(403, 'invalid_request', 'permission_error'),
    cause: 'disabled',
  },
  {
    text: 'Your organization has disabled Claude subscription access',
    ...at(403, 'oauth_org_not_allowed'),
    cause: 'disabled',
  },
  {
    text: 'Credit balance is too low',
    ...at(400, 'billing_error', 'invalid_request_error'),
    cause: 'account',
  },
  {
    text: 'API Error: 402 Your payment method failed',
    ...at(402, 'unknown', 'billing_error'),
    cause: 'account',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Your API key does not have permission',
    ...refused403,
    cause: 'account',
  },
  {
    text: 'API Error: Verify the account of jane@example.com',
    ...at(403, 'verification_required', 'permission_error'),
    cause: 'account',
  },
  {
    text: 'API Error: 400 You have reached your specified API usage limits.',
    ...unknown400,
    cause: 'spending_limit',
  },
  {
    text: 'API Error: 400 You have reached your specified workspace API usage limits.',
    ...unknown400,
    cause: 'spending_limit',
  },
  // The model.
  {
    text: "There's an issue with the selected model (x). It may not exist",
    ...at(404, 'model_not_found', 'not_found_error'),
    cause: 'model',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Your account does not have access to model: x',
    ...refused403,
    cause: 'model',
  },
  { text: 'Claude Opus is not available with the Claude Pro plan.', ...invalid, cause: 'model' },
  { text: 'API Error: 400 invalid model name', ...unknown400, cause: 'model' },
  {
    text: 'API Error: Usage credits required for 1M context · turn on',
    ...at(429, 'rate_limit', 'rate_limit_error'),
    cause: 'model',
  },
  {
    text: 'Opus 5.5 requires usage credits. Switch to another model to continue.',
    ...at(429, 'rate_limit', 'rate_limit_error'),
    cause: 'model',
  },
  // The host and its network.
  {
    text: 'API Error: 400 Claude Code 2.1.197 does not support this model; version 2.1.999 or newer is required.',
    ...invalid,
    cause: 'outdated',
  },
  {
    text: 'Failed to refresh OAuth token: the disk that holds the Claude Code config directory is full',
    kind: 'invalid_request',
    cause: 'host',
  },
  {
    text: "Could not refresh your login: can't save to the Keychain",
    kind: 'invalid_request',
    cause: 'host',
  },
  {
    text: 'Failed to refresh OAuth token: another Claude Code process is refreshing it',
    kind: 'server_error',
    cause: 'failed',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Blocked by web filter',
    ...at(403, auth),
    build: '2.1.330',
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: Blocked by web filter',
    ...at(403, auth),
    build: '2.1.197',
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Access denied by policy',
    ...at(403, auth),
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: 403 status code (no body)',
    ...at(403, auth),
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: 401 Captive portal login',
    ...at(401, auth),
    build: '2.1.330',
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: Captive portal login',
    ...at(401, auth),
    build: '2.1.197',
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: 401 status code (no body)',
    ...at(401, auth),
    cause: 'network',
  },
  {
    text: "There's an issue with the selected model (x).",
    ...at(404, 'model_not_found'),
    build: '2.1.330',
    cause: 'network',
  },
  { text: 'API Error: 400 Bad Request', ...at(400, 'unknown'), cause: 'network' },
  { text: 'API Error: 400 status code (no body)', ...at(400, 'unknown'), cause: 'network' },
  { text: 'API Error: 407 Proxy Authentication Required', ...at(407, 'unknown'), cause: 'network' },
  { text: 'API Error: 451 status code (no body)', ...at(451, 'unknown'), cause: 'network' },
  { text: 'API Error: 405 Method not allowed', ...at(405, 'unknown'), cause: 'network' },
  { text: `API Error: 511 Log in to the network. ${gateway}`, ...at(511, 'server_error'), cause: 'network' },
  {
    text: "API Error: Couldn't connect through your proxy (ERR_PROXY_TUNNEL) — the proxy refused the tunnel",
    kind: 'server_error',
    cause: 'network',
  },
  {
    text: 'Failed to authenticate. API Error: 403 Request not allowed',
    ...at(403, auth, 'forbidden'),
    cause: 'region',
  },
  {
    text: "API Error: Request blocked before it reached Anthropic's API (HTTP 403)",
    ...at(403, 'invalid_request'),
    cause: 'region',
  },
  {
    text: 'API Error: Unable to connect to API: Self-signed certificate detected (X).',
    kind: 'server_error',
    cause: 'tls',
  },
  {
    text: 'API Error: Unable to connect to API: SSL certificate has expired',
    kind: 'server_error',
    cause: 'tls',
  },
  {
    text: 'API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)',
    kind: 'server_error',
    cause: 'unreachable',
  },
  {
    text: "API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)",
    kind: 'server_error',
    cause: 'unreachable',
  },
  {
    text: 'API Error: Unable to connect to API (FailedToOpenSocket)',
    kind: 'server_error',
    cause: 'unreachable',
  },
  { text: 'API Error: Unable to connect to API (ECONNRESET)', kind: 'server_error', cause: 'cut' },
  {
    text: 'API Error: Connection dropped (ECONNRESET). Check the gateway',
    kind: 'server_error',
    cause: 'cut',
  },
  {
    text: 'API Error: Connection closed mid-response. The response above may be incomplete.',
    kind: 'server_error',
    cause: 'cut',
  },
  { text: 'API Error: Stream ended without receiving any events', kind: 'unknown', cause: 'failed' },
  { text: 'Request timed out', kind: 'server_error', cause: 'failed' },
  { text: `API Error: 502 Bad Gateway. ${gateway}`, ...at(502, 'server_error'), cause: 'failed' },
  { text: `API Error: 503 Service Unavailable. ${gateway}`, ...at(503, 'server_error'), cause: 'failed' },
  {
    text: `API Error: 500 Internal server error. ${gateway}`,
    ...at(500, 'server_error', 'api_error'),
    cause: 'failed',
  },
  { text: 'API Error: 408 status code (no body)', ...at(408, 'unknown'), cause: 'failed' },
  // The model's load and limits.
  {
    text: `API Error: 529 Overloaded. ${gateway}`,
    ...at(529, 'server_error', 'overloaded_error'),
    cause: 'overloaded',
  },
  {
    text: `API Error: 529 status code (no body). ${gateway}`,
    ...at(529, 'server_error'),
    cause: 'overloaded',
  },
  { text: 'API Error: Overloaded', kind: 'unknown', apiType: 'overloaded_error', cause: 'overloaded' },
  {
    text: 'API Error: Repeated 529 Overloaded errors. The API is at capacity',
    kind: 'server_error',
    cause: 'overloaded',
  },
  {
    text: 'Opus is experiencing high load, please use /model to switch to Sonnet',
    kind: 'rate_limit',
    cause: 'overloaded',
  },
  {
    text: "You've hit your Opus limit · resets 8:39pm (UTC)",
    ...at(429, 'rate_limit', 'rate_limit_error'),
    cause: 'rate_limited',
  },
  {
    text: 'API Error: Request rejected (429) · Too many requests',
    ...at(429, 'rate_limit'),
    cause: 'rate_limited',
  },
  {
    text: 'API Error: slow down',
    kind: 'unknown',
    apiType: 'rate_limit_error',
    build: '2.1.330',
    cause: 'rate_limited',
  },
  // The request: its images and documents.
  {
    text: 'Image was too large. Try resizing the image',
    ...invalid,
    cause: 'request',
    reason: 'an image is too large',
  },
  {
    text: 'An image in the conversation exceeds the dimension limit for many-image requests (2000px). Start a new session',
    ...invalid,
    cause: 'request',
    reason: 'an image exceeds the dimension limit for a request with many images (2000px)',
  },
  {
    text: `API Error: an image ${removed}`,
    ...invalid,
    code: 'media_removed',
    cause: 'request',
    reason: 'an image could not be processed: its data, its format or its size is not valid',
  },
  {
    text: `API Error: a document ${removed}`,
    ...invalid,
    code: 'media_removed',
    cause: 'request',
    reason:
      'a document could not be processed: its data or its format is not valid, or there are too many pages and images',
  },
  {
    text: 'API Error: this model does not accept PDF documents, so a PDF was removed',
    ...invalid,
    cause: 'request',
    reason: 'this model does not accept PDF documents',
  },
  {
    text: 'PDF too large (max 100 pages, 20MB). Try reading the file',
    ...invalid,
    code: 'pdf_too_large',
    cause: 'request',
    reason: 'a PDF is too large (max 100 pages, 20MB)',
  },
  {
    text: 'PDF is password protected. Try using a CLI tool',
    ...invalid,
    code: 'pdf_password_protected',
    cause: 'request',
    reason: 'a PDF is password protected',
  },
  {
    text: 'The PDF file was not valid. Try converting it',
    ...invalid,
    cause: 'request',
    reason: 'a PDF is not valid',
  },
  {
    text: 'API Error: 400 Unable to download the file. Please verify the URL and try again.',
    ...unknown400,
    cause: 'request',
    reason: 'Unable to download the file. Please verify the URL and try again.',
  },
  {
    text: 'Video was too short in some build to come',
    ...invalid,
    cause: 'request',
    reason: 'Video was too short in some build to come',
  },
  // The request: the rest of it.
  { text: 'API Error: 400 messages: too odd', ...unknown400, cause: 'request', reason: 'messages: too odd' },
  {
    text: 'API Error: 400 max_tokens: 9 > 8',
    ...at(400, 'unknown'),
    cause: 'request',
    reason: 'max_tokens: 9 > 8',
  },
  { text: 'API Error: 400 A page of ACME Inc.', ...at(400, 'unknown'), build: '2.1.330', cause: 'request' },
  {
    text: 'API Error: 422 unprocessable',
    ...at(422, 'unknown', 'invalid_request_error'),
    cause: 'request',
    reason: 'unprocessable',
  },
  {
    text: 'API Error: Output blocked by content filtering policy',
    kind: 'unknown',
    apiType: 'invalid_request_error',
    cause: 'request',
    reason: 'Output blocked by content filtering policy',
  },
  {
    text: 'API Error: 400 due to tool use concurrency issues.',
    ...invalid,
    code: 'tool_history_mismatch',
    cause: 'request',
    reason: 'a `tool_use` block has no `tool_result` block in the next message',
  },
  {
    text: 'API Error: 400 orphaned tool_result in conversation history.',
    ...invalid,
    cause: 'request',
    reason: 'a `tool_result` block has no `tool_use` block in the message before it',
  },
  {
    text: 'API Error: 400 duplicate tool_use ID in conversation history.',
    ...invalid,
    cause: 'request',
    reason: '`tool_use` ids must be unique',
  },
  {
    text: "API Error: Effort 'max' isn't available with thinking turned off on this model",
    ...invalid,
    cause: 'request',
    reason: "effort 'max' needs thinking",
  },
  {
    text: 'Prompt is too long · the request is ~300000 tokens (limit 200000) but',
    ...invalid,
    cause: 'too_long',
    reason: 'prompt is too long: 300000 tokens > 200000 maximum',
  },
  {
    text: 'Prompt is too long · this conversation is a single exchange',
    ...invalid,
    cause: 'too_long',
    reason: 'prompt is too long',
  },
  {
    text: 'Request too large (max 32MB). Try with a smaller file.',
    ...at(413, 'invalid_request', 'request_too_large'),
    cause: 'too_large',
    reason: 'at most 32MB',
  },
  // The words of a caller that the API quotes decide nothing.
  {
    text: 'Invalid API key · Fix external API key',
    ...at(400, auth, 'invalid_request_error'),
    cause: 'request',
  },
  {
    text: 'API Error: 400 tools.0.name: "This organization has been disabled"',
    ...unknown400,
    cause: 'request',
  },
  {
    text: 'API Error: 400 tools.0.name: "overloaded (ECONNRESET)"',
    ...unknown400,
    cause: 'request',
    reason: 'tools.0.name: "overloaded (ECONNRESET)"',
  },
];

const upstream: Partial<Record<Cause, string>> = {
  login: 'upstream_auth',
  disabled: 'upstream_auth',
  account: 'upstream_auth',
  spending_limit: 'rate_limited',
  overloaded: 'upstream_overloaded',
  model: 'not_found',
  request: 'bad_request',
  too_long: 'bad_request',
  too_large: 'payload_too_large',
};
const passing: ReadonlySet<Cause> = new Set(['unreachable', 'cut', 'failed', 'overloaded']);
const now = Date.parse('2026-01-01T00:00:00Z');

function refusalOf({ text, status, kind, apiType, code }: Row, build: string): Refusal {
  const typed = build === '2.1.330';
  return { text, status, kind, typed, apiType: typed ? apiType : undefined, code: typed ? code : undefined };
}

for (const build of ['2.1.197', '2.1.330'] as const) {
  describe(`what ${build} prints`, () => {
    for (const row of rows.filter((one) => one.build === undefined || one.build === build)) {
      test(`"${row.text.slice(0, 70)}" (${row.status ?? 'no status'}) means ${row.cause}`, () => {
        const refusal = refusalOf(row, build);
        const { cause, reason } = causeOf(refusal);
        assert.deepEqual([cause, reason], [row.cause, row.reason]);
        if (cause === 'rate_limited') return;
        const { code, message, details, status } = errorOf(cause, reason, row.text, now);
        assert.equal(code, upstream[cause] ?? 'upstream_error');
        assert.ok(message.includes(row.reason ?? ''), message);
        assert.match(message, /[^:]$/);
        assert.equal(details.loginLost === true, cause === 'login' || cause === 'disabled');
        // A client tries a 429 and a 5xx again by itself, unless it is told not to.
        if (status === 429 || status >= 500) assert.equal(details.shouldRetry !== false, passing.has(cause));
      });
    }
  });
}

test('a spending limit with an end date reports the date and the seconds until then', () => {
  const text =
    'API Error: 400 You have reached your specified API usage limits. You will regain access on 2026-02-01 at 06:30 UTC.';
  const { message, details } = errorOf('spending_limit', undefined, text, now);
  assert.match(message, /until 2026-02-01T06:30:00/);
  assert.deepEqual([details.retryAfter, details.limit], [31 * 86_400 + 6.5 * 3600, 'plan']);
  assert.equal(errorOf('spending_limit', undefined, 'no date', now).details.retryAfter, 3600);
});
