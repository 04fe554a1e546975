/**
 * A failed request, as the CLI reports it -> its cause. Pure. The CLI's sentences come first, then its codes, then the status and the
 * API's type of error (2.1.330 passes that on).
 */
import type { Cause } from './errors.ts';
import { callerReason } from './reason.ts';
import { sentences } from './sentences.ts';

/** What the CLI reported of a request that failed. */
export type Refusal = {
  /** HTTP status; undefined for a lost connection, and for most errors in the middle of a stream. */
  status: number | undefined;
  /** The CLI's kind of error, such as `invalid_request`. */
  kind: string | undefined;
  /** The CLI's name for what it recognised, such as `media_removed` (2.1.330). */
  code: string | undefined;
  /** `error.type` of the API's answer (2.1.330); undefined where it was not the API that answered. */
  apiType: string | undefined;
  /** Whether the build passes `apiType` on at all. */
  typed: boolean;
  text: string;
};

/** The CLI's codes (2.1.330) and kinds, for a text that no sentence matches. */
const byCode: ReadonlyMap<string | undefined, Cause> = new Map<string, Cause>([
  ['oauth_org_not_allowed', 'disabled'],
  ['account_on_hold', 'disabled'],
  ['api_key_auth_disabled', 'disabled'],
  ['billing_error', 'account'],
  ['verification_required', 'account'],
  ['cloud_credential_error', 'login'],
  ['provider_credentials', 'login'],
  ['model_requires_usage_credits', 'model'],
  ['long_context_credits_required', 'model'],
  ['claude_code_version_too_old', 'outdated'],
  ['message_over_context_limit', 'too_long'],
  ['network_edge_blocked', 'region'],
  ['tls_untrusted_ca', 'tls'],
  ['tls_cert_signature_failure', 'tls'],
  ['gateway_content_type', 'network'],
  ['overloaded', 'overloaded'],
  ['rate_limit', 'rate_limited'],
]);

/** For a failure without a status, which would say more. */
const byKind: ReadonlyMap<string | undefined, Cause> = new Map<string, Cause>([
  ['authentication_failed', 'login'],
  ['model_not_found', 'model'],
  ['invalid_request', 'request'],
]);

/** The status that the API sends with each of its types, for an error in the middle of a stream. */
const statusOfType: ReadonlyMap<string | undefined, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['overloaded_error', 529],
]);

/** A gateway's 400 has no type, and can still hold the API's message, which begins with a place in the request. */
const placeOfTheApi =
  /^API Error: 400 (?:messages|system|tools|tool_choice|thinking|max_tokens|temperature|top_[pk]|stop_sequences|output_config)\b/;

/** The 400 of a web server. */
const bareBadRequest = /\(no body\)|^API Error: (?:400 )?Bad Request$/;

export function causeOf(refusal: Refusal): { cause: Cause; reason?: string | undefined } {
  const { text, status, kind, code } = refusal;
  for (const { cause, pattern, reason, statuses } of sentences) {
    const match = pattern.exec(text);
    if (match === null || statuses?.includes(status) === false) continue;
    if (reason === undefined) return { cause };
    const filled = reason.replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '');
    return { cause, reason: filled.trim() };
  }
  const cause = byCode.get(code) ?? byCode.get(kind) ?? causeOfStatus(refusal);
  if (cause !== 'request' || (isForeign(refusal) && !placeOfTheApi.test(text))) return { cause };
  return { cause, reason: callerReason(text.replace(/^API Error: (?:\d{3} )?/, '')) };
}

const wordsOfAccounts = /\b(?:key|token|oauth|permission|account|organi[sz]ation|payment|billing)/i;

/** Where there are words, something else than the API may have sent the status: see `isForeign`. */
const byStatus: ReadonlyMap<number, readonly [Cause, apiWords?: RegExp]> = new Map([
  [401, ['login', /\b(?:key|token|oauth|credentials?|authenticat)/i]],
  [402, ['account', wordsOfAccounts]],
  [403, ['account', wordsOfAccounts]],
  [404, ['model', /^/]],
  [408, ['failed']],
  [409, ['failed']],
  [413, ['too_large']],
  [422, ['request']],
  [425, ['failed']],
  [429, ['rate_limited']],
  // Not implemented, not this version of HTTP, and the status of a captive portal.
  [501, ['network']],
  [505, ['network']],
  [511, ['network']],
  [529, ['overloaded']],
]);

function causeOfStatus(refusal: Refusal): Cause {
  const status = refusal.status ?? statusOfType.get(refusal.apiType);
  if (status === undefined) return byKind.get(refusal.kind) ?? 'failed';
  if (status === 400) return bareBadRequest.test(refusal.text) ? 'network' : 'request';
  const [cause, apiWords] = byStatus.get(status) ?? (status >= 500 ? ['failed'] : ['request', /^$/]);
  return apiWords !== undefined && isForeign(refusal, apiWords) ? 'network' : cause;
}

/**
 * Whether something other than the API answered. 2.1.197 passes no type on. It leaves the status out if the body was a page; otherwise
 * the text has to match `apiWords`, the words of the API.
 */
function isForeign({ typed, apiType, status, text }: Refusal, apiWords?: RegExp): boolean {
  if (typed) return apiType === undefined;
  if (status === undefined) return false;
  if (text.includes('(no body)')) return true;
  if (!text.includes('API Error:')) return false;
  return !text.includes(`API Error: ${status} `) || apiWords?.test(text) === false;
}
