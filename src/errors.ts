const invalid = { anthropic: 'invalid_request_error', openai: 'invalid_request_error' } as const;
const failed = { anthropic: 'api_error', openai: 'server_error' } as const;

/** The closed set of error codes. Every error for a caller has one of them; any other error is a defect and becomes `internal`. */
export const errorTable = {
  bad_request: { status: 400, ...invalid },
  invalid_url: { status: 400, ...invalid },
  unauthorized: { status: 401, anthropic: 'authentication_error', openai: 'invalid_request_error' },
  forbidden: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_scheme: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_userinfo: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_hostname: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_address: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_port: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  not_found: { status: 404, anthropic: 'not_found_error', openai: 'invalid_request_error' },
  method_not_allowed: { status: 405, ...invalid },
  payload_too_large: { status: 413, anthropic: 'request_too_large', openai: 'invalid_request_error' },
  unsupported_media_type: { status: 415, ...invalid },
  // Codex asks by WebSocket first. This status makes it use POST at once; any other one, after five tries.
  no_websocket: { status: 426, ...invalid },
  idempotency_mismatch: { status: 422, ...invalid },
  // Only for the ledger: the client closed the connection.
  client_closed_request: { status: 499, ...failed },
  unsupported_content_type: { status: 422, ...invalid },
  unsupported_encoding: { status: 422, ...invalid },
  page_too_complex: { status: 422, ...invalid },
  rate_limited: { status: 429, anthropic: 'rate_limit_error', openai: 'rate_limit_exceeded' },
  internal: { status: 500, ...failed },
  upstream_error: { status: 502, ...failed },
  invalid_output: { status: 502, ...failed },
  dns_error: { status: 502, ...failed },
  connect_error: { status: 502, ...failed },
  tls_error: { status: 502, ...failed },
  upstream_protocol: { status: 502, ...failed },
  headers_too_large: { status: 502, ...failed },
  bad_redirect: { status: 502, ...failed },
  too_many_redirects: { status: 502, ...failed },
  upstream_auth: { status: 503, ...failed },
  upstream_overloaded: { status: 503, anthropic: 'overloaded_error', openai: 'server_error' },
  not_ready: { status: 503, ...failed },
  shutting_down: { status: 503, ...failed },
  upstream_timeout: { status: 504, anthropic: 'timeout_error', openai: 'server_error' },
  timeout: { status: 504, anthropic: 'timeout_error', openai: 'server_error' },
} as const satisfies Record<string, { status: number; anthropic: string; openai: string }>;

export type ErrorCode = keyof typeof errorTable;

/** Whether the guard of the page fetches denied the request. */
export function isDenial(code: string): boolean {
  return code.startsWith('blocked_');
}

/** The limits that a 429 can name in its `limit` field. */
export const limitNames = [
  'global_concurrency',
  'key_concurrency',
  'key_rpm',
  'key_daily',
  'global_daily',
  'key_budget',
  'global_budget',
  'key_webhooks',
  'queue_full',
  'queue_timeout',
  'target_host',
  'plan',
  'unauthenticated',
] as const;

export type LimitName = (typeof limitNames)[number];

export type ErrorDetails = {
  /** Whole seconds until a retry can work. Sent as `retry_after` and the `retry-after` header. */
  retryAfter?: number;
  /** Unix milliseconds at which the plan is usable again. */
  untilMs?: number;
  /** The plan is used up for the model: a key's fallback can answer. */
  usedUp?: true;
  /** A model: the plan is used up for its family; absent: for all models. */
  closesModel?: string;
  limit?: LimitName;
  /** False if a short wait cannot help (a daily limit): sent as `x-should-retry: false`. */
  shouldRetry?: boolean;
  /** The upstream refused the login: no request can work before the owner acts. */
  loginLost?: true;
  /** For a dialect that has a separate code for it. */
  reason?: 'unknown_model' | 'prompt_too_long';
  /** The redirect of a fetch that failed: 0 is the URL of the request. Sent as `hop`. */
  hop?: number;
  /** The part of the request that is wrong, as its dialect names it. Sent as `param` in the OpenAI dialect. */
  param?: string;
  /** `details` of an error in the Messages API: its SDKs use the `error_code` in it. */
  apiDetails?: Readonly<Record<string, unknown>>;
  /** The server-sent events that end a stream with this error, where they depend on what was sent before. */
  events?: string;
  headers?: Record<string, string>;
  /** For the log; never shown to a caller. */
  cause?: unknown;
};

/** An error that a caller can see: a code of the table, and a sentence that says what to do. */
export class RelayError extends Error {
  override name = 'RelayError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = errorTable[code].status;
    this.details = details;
  }
}

/** `why` says how the answer fails. No retry by an SDK: each would spend as much again. */
export function invalidOutput(why: string): RelayError {
  return new RelayError('invalid_output', `The answer does not satisfy the schema: ${why}.`, {
    shouldRetry: false,
  });
}
