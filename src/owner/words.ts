/** Codes of the ledger, in words for the owner. */
import type { ErrorCode, LimitName } from '../errors.ts';

const errorWords: Readonly<Record<ErrorCode, string>> = {
  bad_request: 'the request was not valid, or the model refused it',
  invalid_url: 'not a valid URL',
  unauthorized: 'no valid key',
  forbidden: 'the key may not use this route or model',
  blocked_scheme: 'not http or https',
  blocked_userinfo: 'a user name or password in the URL',
  blocked_hostname: 'a name that is not public',
  blocked_address: 'an address that is not public',
  blocked_port: 'a port that FETCH_PORTS does not allow',
  not_found: 'an unknown path, job or model',
  method_not_allowed: 'a method that the path does not have',
  payload_too_large: 'the request was too large',
  unsupported_media_type: 'the body was not JSON in UTF-8',
  no_websocket: 'a WebSocket was asked for',
  idempotency_mismatch: 'an Idempotency-Key of another request',
  client_closed_request: 'the client left before the answer',
  unsupported_content_type: 'not a page, text or data',
  unsupported_encoding: 'an encoding that is not supported',
  page_too_complex: 'the page could not be read as an article',
  rate_limited: 'a limit was reached',
  internal: 'a defect of the relay: please report it',
  upstream_error: 'Claude Code or the API failed',
  invalid_output: 'the answer did not satisfy the schema',
  dns_error: 'the name was not found',
  connect_error: 'no connection to the host',
  tls_error: 'the certificate was not valid, or TLS failed',
  upstream_protocol: 'the host violated HTTP',
  headers_too_large: 'the headers were too large',
  bad_redirect: 'a redirect without a valid URL',
  too_many_redirects: 'too many redirects',
  upstream_auth: 'the login was refused: log in again on the host',
  upstream_overloaded: 'the model was overloaded',
  not_ready: 'the relay was not ready',
  shutting_down: 'the relay was being stopped',
  upstream_timeout: 'no complete answer in time',
  timeout: 'the page did not arrive in time',
};

const limitWords: Readonly<Record<LimitName, string>> = {
  global_concurrency: 'every slot was taken',
  key_concurrency: 'every slot of the key was taken',
  key_rpm: 'requests of the key in a minute',
  key_daily: 'requests of the key in a day',
  global_daily: 'requests of all keys in a day',
  key_budget: 'the budget of the key',
  global_budget: 'the budget of all keys',
  key_webhooks: 'webhooks of the key that are not delivered',
  queue_full: 'the queue was full',
  queue_timeout: 'waited too long in the queue',
  target_host: 'too many page fetches from one host',
  plan: 'the plan was used up',
  unauthenticated: 'too many wrong keys',
};

/** A value that an older or newer relay wrote has no words. */
export function inWords(error: string, limit: string | null): string {
  const words: Readonly<Record<string, string>> = limit === null ? errorWords : limitWords;
  return words[limit ?? error] ?? limit ?? error;
}
