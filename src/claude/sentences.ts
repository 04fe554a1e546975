/**
 * Every sentence in which the CLI reports a failed request (2.1.197, 2.1.330), the cause that it means, and the reason that its caller
 * may read. Pure.
 *
 * The status alone is no cause: a web filter answers 403, a disabled organization is a 400, and a failure in the middle of a stream has
 * no status. The patterns are anchored, because an error of the API can quote the caller.
 */
import type { Cause } from './cause-errors.ts';

/** `statuses`: where the sentence means the cause with these alone: an API key that a 400 speaks of can be the caller's words. */
export type Sentence = readonly [
  cause: Cause,
  says: RegExp,
  reason?: string,
  statuses?: readonly (number | undefined)[],
];

const refusedLogin = [401, 403, undefined];
/** No answer came. */
const lost = [undefined];

/** `$1` and `$2` in a reason are groups of the sentence. */
export const sentences: readonly Sentence[] = [
  [
    'login',
    /^(?:Not logged in|Authentication required|Invalid API key|Invalid auth token)\b/,
    '',
    refusedLogin,
  ],
  ['login', /^(?:Login|Anthropic profile login) (?:expired|reached its time limit)|^OAuth token revoked/],
  ['login', /^Failed to authenticate: (?:OAuth|this login|your claude\.ai login)|^This session has no login/],
  ['login', /^Your account does not have access to Claude\b/],
  ['login', api('40[13]', 'Invalid bearer token|Invalid authentication credentials|invalid x-api-key')],
  [
    'login',
    api('40[13]', 'OAuth (?:access )?token (?:has|is)|OAuth authentication is currently not supported'),
  ],
  [
    'login',
    /^(?:AWS|Google Cloud|Microsoft Foundry) (?:credentials|authentication) |^API Error: Could not load /,
  ],
  ['disabled', /^Your ANTHROPIC_API_KEY belongs to a disabled organization/],
  ['disabled', /^Your organization has disabled (?:API key authentication|Claude subscription access)/],
  ['disabled', api('40[03]', '(?:This|Your) organization has been disabled|Your account is on hold')],
  ['disabled', api('403', 'API key authentication is disabled')],
  ['disabled', /^Your account is on hold/],
  ['account', /^Credit balance is too low|^API Error: Usage credits ran out/],
  ['account', /^(?:Your organization's gateway|Gateway) refused the request/],
  ['spending_limit', api('400', 'You have reached your specified (?:workspace )?API usage limits')],
  [
    'model',
    /^API Error: Usage credits required for 1M context|^[\w .-]{1,60} requires usage credits\. |^You're out of usage credits\. /,
  ],
  ['model', /^Claude Opus is not available with|^The model \S{1,100} is not available on your/],
  ['model', api('403', '[^]{0,200}\\bmodel: ')],
  ['model', api('400', 'invalid model name')],
  [
    'outdated',
    api('400', 'Claude Code \\S+ (?:does not support this model|is older than|or later is required)'),
  ],
  [
    'failed',
    /^(?:Could not refresh your login because|Failed to refresh OAuth token:) another Claude Code process/,
  ],
  [
    'host',
    /^(?:Could not refresh your login|Failed to refresh OAuth token): |^OAuth access token could not be/,
  ],
  [
    'host',
    /^Invalid (?:ANTHROPIC_CUSTOM_HEADERS|request header)|^Your apiKeyHelper script|^A mod's http\.fetch/,
  ],
  ['host', /^Authentication error · The gateway|^Auto mode is unavailable/],
  ['region', /^API Error: Request blocked before it reached/],
  ['region', api('403', 'Request not allowed$')],
  [
    'too_long',
    /^Prompt is too long · the request is ~(\d+) tokens \(limit (\d+)\)/,
    'prompt is too long: $1 tokens > $2 maximum',
  ],
  ['too_long', /^Prompt is too long/, 'prompt is too long'],
  ['too_large', /^Request too large \(max ([\w.]+)[^)]*\)/, 'at most $1'],
  ['too_large', /^Request too large/, ''],
  ['request', /^Image was too large/, 'an image is too large'],
  [
    'request',
    /^An image in the conversation exceeds the dimension limit[^(.]*(\(\d+px\))?/,
    'an image exceeds the dimension limit for a request with many images $1',
  ],
  [
    'request',
    /^API Error: an image in the conversation could not be processed/,
    'an image could not be processed: its data, its format or its size is not valid',
  ],
  [
    'request',
    /^API Error: a document in the conversation could not be processed/,
    'a document could not be processed: its data or its format is not valid, or there are too many pages and images',
  ],
  [
    'request',
    /^API Error: this model does not accept PDF documents/,
    'this model does not accept PDF documents',
  ],
  ['request', /^PDF too large (\([^)]{1,60}\))/, 'a PDF is too large $1'],
  ['request', /^PDF is password protected/, 'a PDF is password protected'],
  ['request', /^The PDF file was not valid/, 'a PDF is not valid'],
  [
    'request',
    /^API Error: 400 due to tool use concurrency/,
    'a `tool_use` block has no `tool_result` block in the next message',
  ],
  [
    'request',
    /^API Error: 400 orphaned tool_result/,
    'a `tool_result` block has no `tool_use` block in the message before it',
  ],
  ['request', /^API Error: 400 duplicate tool_use ID/, '`tool_use` ids must be unique'],
  [
    'request',
    /^API Error: Effort '([a-z]+)' isn't available with thinking turned off/,
    "effort '$1' needs thinking",
  ],
  ['request', /^API Error: (?:400 )?(Output blocked by content filtering policy)/, '$1'],
  ['overloaded', /^(?:Opus|Fable) is experiencing high load|^API Error: Repeated 529 Overloaded/],
  ['overloaded', /^API Error:[^]{0,80}\boverloaded/i, '', [undefined, 500, 503, 529]],
  ['tls', /^API Error: Unable to connect to API(?:: (?:SSL|Self-signed)| \((?:UNKNOWN_)?CERT)/, '', lost],
  [
    'network',
    /^API Error: (?:Couldn't connect through your proxy|API returned an empty or malformed response)/,
    '',
    lost,
  ],
  [
    'cut',
    /^API Error:[^]{0,120}\b(?:ECONNRESET|ECONNABORTED|EPIPE)\b|^API Error: Connection (?:lost|closed|dropped|to the API was lost)|^API Error: Server error mid-response/,
    '',
    lost,
  ],
  [
    'unreachable',
    /^API Error: (?:Unable to connect to API|Connection refused|Can't reach the API server|No internet route)/,
    '',
    lost,
  ],
];

/** `words`: what the API's message begins with, after what the CLI puts before it. */
function api(status: string, words: string): RegExp {
  return new RegExp(
    `^(?:Failed to authenticate\\. |Please run /login · )?API Error: (?:${status} )?(?:${words})`,
    'i',
  );
}
