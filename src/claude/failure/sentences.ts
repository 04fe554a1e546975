/**
 * Every sentence in which the CLI reports a failed request (2.1.197, 2.1.330), the cause that it means, and the reason that its caller
 * may read. Pure.
 *
 * The status alone is no cause: a web filter answers 403, a disabled organization is a 400, and a failure in the middle of a stream has
 * no status. The patterns are anchored, because an error of the API can quote the caller.
 */
import type { Cause } from './errors.ts';

export type Sentence = {
  cause: Cause;
  pattern: RegExp;
  /** `$1` and `$2` are groups of the pattern. */
  reason?: string;
  /** The sentence means the cause with these alone: an API key that a 400 mentions can be the caller's words. */
  statuses?: readonly (number | undefined)[];
};

/** The first that matches decides. */
export const sentences: readonly Sentence[] = [
  {
    cause: 'login',
    pattern: /^(?:Not logged in|Authentication required|Invalid API key|Invalid auth token)\b/,
    statuses: [401, 403, undefined],
  },
  ...meaning('login', [
    /^(?:Login|Anthropic profile login) (?:expired|reached its time limit)|^OAuth token revoked/,
    /^Failed to authenticate: (?:OAuth|this login|your claude\.ai login)|^This session has no login/,
    /^Your account does not have access to Claude\b/,
    api('40[13]', 'Invalid bearer token|Invalid authentication credentials|invalid x-api-key'),
    api('40[13]', 'OAuth (?:access )?token (?:has|is)|OAuth authentication is currently not supported'),
    /^(?:AWS|Google Cloud|Microsoft Foundry) (?:credentials|authentication) |^API Error: Could not load /,
  ]),
  ...meaning('disabled', [
    /^Your ANTHROPIC_API_KEY belongs to a disabled organization/,
    /^Your organization has disabled (?:API key authentication|Claude subscription access)/,
    api('40[03]', '(?:This|Your) organization has been disabled|Your account is on hold'),
    api('403', 'API key authentication is disabled'),
    /^Your account is on hold/,
  ]),
  ...meaning('account', [
    /^Credit balance is too low|^API Error: Usage credits ran out/,
    /^(?:Your organization's gateway|Gateway) refused the request/,
  ]),
  ...meaning('spending_limit', [
    api('400', 'You have reached your specified (?:workspace )?API usage limits'),
  ]),
  ...meaning('model', [
    /^API Error: Usage credits required for 1M context|^[\w .-]{1,60} requires usage credits\. /,
    /^You're out of usage credits\. /,
    /^Claude Opus is not available with|^The model \S{1,100} is not available on your/,
    api('403', '[^]{0,200}\\bmodel: '),
    api('400', 'invalid model name'),
  ]),
  ...meaning('outdated', [
    api('400', 'Claude Code \\S+ (?:does not support this model|is older than|or later is required)'),
  ]),
  ...meaning('failed', [
    /^(?:Could not refresh your login because|Failed to refresh OAuth token:) another Claude Code process/,
  ]),
  ...meaning('host', [
    /^(?:Could not refresh your login|Failed to refresh OAuth token): |^OAuth access token could not be/,
    /^Invalid (?:ANTHROPIC_CUSTOM_HEADERS|request header)|^Your apiKeyHelper script|^A mod's http\.fetch/,
    /^Authentication error · The gateway|^Auto mode is unavailable/,
  ]),
  ...meaning('region', [/^API Error: Request blocked before it reached/, api('403', 'Request not allowed$')]),
  {
    cause: 'too_long',
    pattern: /^Prompt is too long · the request is ~(\d+) tokens \(limit (\d+)\)/,
    reason: 'prompt is too long: $1 tokens > $2 maximum',
  },
  { cause: 'too_long', pattern: /^Prompt is too long/, reason: 'prompt is too long' },
  { cause: 'too_large', pattern: /^Request too large \(max ([\w.]+)[^)]*\)/, reason: 'at most $1' },
  { cause: 'too_large', pattern: /^Request too large/ },
  ...refusing([
    [/^Image was too large/, 'an image is too large'],
    [
      /^An image in the conversation exceeds the dimension limit[^(.]*(\(\d+px\))?/,
      'an image exceeds the dimension limit for a request with many images $1',
    ],
    [
      /^API Error: an image in the conversation could not be processed/,
      'an image could not be processed: its data, its format or its size is not valid',
    ],
    [
      /^API Error: a document in the conversation could not be processed/,
      'a document could not be processed: its data or its format is not valid, or there are too many pages and images',
    ],
    [/^API Error: this model does not accept PDF documents/, 'this model does not accept PDF documents'],
    [/^PDF too large (\([^)]{1,60}\))/, 'a PDF is too large $1'],
    [/^PDF is password protected/, 'a PDF is password protected'],
    [/^The PDF file was not valid/, 'a PDF is not valid'],
    [
      /^API Error: 400 due to tool use concurrency/,
      'a `tool_use` block has no `tool_result` block in the next message',
    ],
    [
      /^API Error: 400 orphaned tool_result/,
      'a `tool_result` block has no `tool_use` block in the message before it',
    ],
    [/^API Error: 400 duplicate tool_use ID/, '`tool_use` ids must be unique'],
    [/^API Error: Effort '([a-z]+)' isn't available with thinking turned off/, "effort '$1' needs thinking"],
    [/^API Error: (?:400 )?(Output blocked by content filtering policy)/, '$1'],
  ]),
  ...meaning('overloaded', [/^(?:Opus|Fable) is experiencing high load|^API Error: Repeated 529 Overloaded/]),
  {
    cause: 'overloaded',
    pattern: /^API Error:[^]{0,80}\boverloaded/i,
    statuses: [undefined, 500, 503, 529],
  },
  ...unanswered('tls', [
    /^API Error: Unable to connect to API(?:: (?:SSL|Self-signed)| \((?:UNKNOWN_)?CERT)/,
  ]),
  ...unanswered('network', [
    /^API Error: (?:Couldn't connect through your proxy|API returned an empty or malformed response)/,
  ]),
  ...unanswered('cut', [
    /^API Error:[^]{0,120}\b(?:ECONNRESET|ECONNABORTED|EPIPE)\b|^API Error: Server error mid-response/,
    /^API Error: Connection (?:lost|closed|dropped|to the API was lost)/,
  ]),
  ...unanswered('unreachable', [
    /^API Error: (?:Unable to connect to API|Connection refused|Can't reach the API server|No internet route)/,
  ]),
];

function meaning(cause: Cause, patterns: readonly RegExp[]): Sentence[] {
  return patterns.map((pattern) => ({ cause, pattern }));
}

/** Without a status. */
function unanswered(cause: Cause, patterns: readonly RegExp[]): Sentence[] {
  return patterns.map((pattern) => ({ cause, pattern, statuses: [undefined] }));
}

function refusing(rows: readonly (readonly [RegExp, string])[]): Sentence[] {
  return rows.map(([pattern, reason]) => ({ cause: 'request', pattern, reason }));
}

/** `words`: how the API's message begins, after what the CLI puts before it. */
function api(status: string, words: string): RegExp {
  return new RegExp(
    `^(?:Failed to authenticate\\. |Please run /login · )?API Error: (?:${status} )?(?:${words})`,
    'i',
  );
}
