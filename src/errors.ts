/**
 * The closed set of error codes, and the one table that maps them to HTTP.
 *
 * Everything that can go wrong for a caller is a `RelayError` with one of these codes; whatever else is thrown
 * is a defect and becomes `internal`.
 */
export const errorTable = {
  bad_request: { status: 400 },
  invalid_url: { status: 400 },
  unauthorized: { status: 401 },
  forbidden: { status: 403 },
  blocked_scheme: { status: 403 },
  blocked_userinfo: { status: 403 },
  blocked_hostname: { status: 403 },
  blocked_address: { status: 403 },
  blocked_port: { status: 403 },
  not_found: { status: 404 },
  method_not_allowed: { status: 405 },
  payload_too_large: { status: 413 },
  unsupported_media_type: { status: 415 },
  // Nobody sees this one: the client closed the connection. For the record of requests.
  client_closed_request: { status: 499 },
  unsupported_content_type: { status: 422 },
  unsupported_encoding: { status: 422 },
  page_too_complex: { status: 422 },
  rate_limited: { status: 429 },
  internal: { status: 500 },
  upstream_error: { status: 502 },
  dns_error: { status: 502 },
  connect_error: { status: 502 },
  tls_error: { status: 502 },
  upstream_protocol: { status: 502 },
  headers_too_large: { status: 502 },
  bad_redirect: { status: 502 },
  too_many_redirects: { status: 502 },
  upstream_auth: { status: 503 },
  upstream_overloaded: { status: 503 },
  not_ready: { status: 503 },
  shutting_down: { status: 503 },
  upstream_timeout: { status: 504 },
  timeout: { status: 504 },
} as const satisfies Record<string, { status: number }>;

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
  /** Which limit refused the request. */
  limit?: LimitName;
  /** False when waiting a little cannot help (a daily limit): sent as `x-should-retry: false`. */
  shouldRetry?: boolean;
  /** Which redirect of a fetch the error is about: 0 is the URL of the request. Sent as `hop`. */
  hop?: number;
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
