/**
 * The closed set of error codes, and the one table that maps them to HTTP and to the error types of the two dialects.
 *
 * Everything that can go wrong for a caller is a `RelayError` with one of these codes; whatever else is thrown
 * is a defect and becomes `internal`.
 */
export const errorTable = {
  bad_request: { status: 400, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  invalid_url: { status: 400, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  unauthorized: { status: 401, anthropic: 'authentication_error', openai: 'invalid_request_error' },
  forbidden: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_scheme: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_userinfo: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_hostname: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_address: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  blocked_port: { status: 403, anthropic: 'permission_error', openai: 'invalid_request_error' },
  not_found: { status: 404, anthropic: 'not_found_error', openai: 'invalid_request_error' },
  method_not_allowed: { status: 405, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  payload_too_large: { status: 413, anthropic: 'request_too_large', openai: 'invalid_request_error' },
  unsupported_media_type: {
    status: 415,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
  },
  idempotency_mismatch: { status: 422, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  // Nobody sees this one: the client closed the connection. For the record of requests.
  client_closed_request: { status: 499, anthropic: 'api_error', openai: 'server_error' },
  unsupported_content_type: {
    status: 422,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
  },
  unsupported_encoding: { status: 422, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  page_too_complex: { status: 422, anthropic: 'invalid_request_error', openai: 'invalid_request_error' },
  rate_limited: { status: 429, anthropic: 'rate_limit_error', openai: 'rate_limit_exceeded' },
  internal: { status: 500, anthropic: 'api_error', openai: 'server_error' },
  not_supported: { status: 501, anthropic: 'api_error', openai: 'server_error' },
  upstream_error: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  invalid_output: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  dns_error: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  connect_error: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  tls_error: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  upstream_protocol: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  headers_too_large: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  bad_redirect: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  too_many_redirects: { status: 502, anthropic: 'api_error', openai: 'server_error' },
  upstream_auth: { status: 503, anthropic: 'api_error', openai: 'server_error' },
  upstream_overloaded: { status: 503, anthropic: 'overloaded_error', openai: 'server_error' },
  not_ready: { status: 503, anthropic: 'api_error', openai: 'server_error' },
  shutting_down: { status: 503, anthropic: 'api_error', openai: 'server_error' },
  upstream_timeout: { status: 504, anthropic: 'timeout_error', openai: 'server_error' },
  timeout: { status: 504, anthropic: 'timeout_error', openai: 'server_error' },
} as const satisfies Record<string, { status: number; anthropic: string; openai: string }>;

export type ErrorCode = keyof typeof errorTable;

/** The limits that a 429 can name in its `limit` field. */
export const limitNames = [
  'global_concurrency',
  'key_concurrency',
  'key_rpm',
  'key_daily',
  'global_daily',
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
  /** Unix milliseconds at which the plan of the host is usable again. */
  untilMs?: number;
  /** The model of whose family the plan is used up until then; absent: it is for all models. */
  closesModel?: string;
  /** Which limit refused the request. */
  limit?: LimitName;
  /** False when waiting a little cannot help (a daily limit): sent as `x-should-retry: false`. */
  shouldRetry?: boolean;
  /** The upstream refused the login of the host: no request can work before the owner acts. */
  loginLost?: true;
  /** What a dialect has a code of its own for, where the relay's code covers more. */
  reason?: 'unknown_model' | 'prompt_too_long';
  /** Which redirect of a fetch the error is about: 0 is the URL of the request. Sent as `hop`. */
  hop?: number;
  /** Which part of the request it is about, as its dialect names places. Sent as `param` in the OpenAI dialect. */
  param?: string;
  /** `details` of an error in the Messages API's shape: its SDKs act upon the `error_code` in it. */
  apiDetails?: Readonly<Record<string, unknown>>;
  /** Further response headers, such as `Allow`. */
  headers?: Record<string, string>;
  /** For logs and tests only; never shown to a caller. */
  cause?: unknown;
};

/** An error that a caller may see: a code of the table, and a sentence that says what to do. */
export class RelayError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'RelayError';
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

/** `why` says how the answer fails. An SDK that retried by itself would spend as much again, unasked. */
export function invalidOutput(why: string): RelayError {
  return new RelayError('invalid_output', `No answer that satisfies the schema: ${why}.`, {
    shouldRetry: false,
  });
}
