/**
 * What becomes of each parameter of the Messages API that the relay does not pass on. The other ones are those of
 * `messagesRequest`; one that is in neither is refused as the API refuses it. Pure.
 *
 * Source: `MessageCreateParamsBase` of @anthropic-ai/sdk 1.12.0 and its beta twin.
 */
import { RelayError } from '../../errors.ts';
import { problem } from './problem.ts';
import { messagesRequest } from './schema.ts';

/** Accepted and without effect: the answer's meaning does not rest on them. */
export const ignoredParameters = {
  cache_control: 'The CLI sets its own cache breakpoints, and the model answers the same.',
  metadata: 'The CLI sends its own.',
  service_tier: 'The login that the relay uses decides it.',
  speed: 'The answer is the same, and comes at the usual speed.',
  diagnostics: 'It tells of cache misses, and nothing else.',
  context_management:
    'Edits that clear old tool results or thinking save tokens: the model sees all that was sent.',
  billing_policy: 'The login that the relay uses pays.',
  fallback_credit_token: 'The login that the relay uses pays.',
} as const;

/** Refused: an answer without them would not be what was asked for. */
export const refusedParameters = {
  container: 'the relay has no containers: the model is offered the tools of the request and nothing else',
  mcp_servers: 'the relay connects to no MCP server: offer its tools as tools of your own',
  inference_geo: 'the relay cannot choose where the model runs',
  compaction: 'the relay cannot let the API summarise a conversation: send a shorter one',
  thread: 'the relay keeps no conversation: send all of its messages',
  fallbacks: 'the relay asks one model once',
} as const;

/** What the SDK's tool runner looks for: it then sends the whole conversation by itself. */
const noThreads = { error_code: 'thread_unsupported_request', unsupported: [] };

/** Splits a body: what is passed on, without what is null, and the names of what was ignored. Throws `bad_request` for what is refused. */
export function sortParameters(body: Record<string, unknown>): {
  known: Record<string, unknown>;
  ignored: string[];
} {
  const known: Record<string, unknown> = {};
  const ignored: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    if (isIn(refusedParameters, name)) {
      if (asksForNothing(name, value)) continue;
      const { code, message } = problem([name], `not supported here: ${refusedParameters[name]}`);
      throw new RelayError(code, message, name === 'thread' ? { apiDetails: noThreads } : {});
    } else if (isIn(ignoredParameters, name)) {
      if (value === null) continue;
      requireShape(name, value);
      ignored.push(name);
    } else if (value !== null || !Object.hasOwn(messagesRequest.shape, name)) {
      Object.defineProperty(known, name, { value, enumerable: true });
    }
  }
  return { known, ignored };
}

function isIn<Table extends object>(table: Table, name: PropertyKey): name is keyof Table {
  return Object.hasOwn(table, name);
}

/** Null, or the value that is the API's own default. */
function asksForNothing(name: string, value: unknown): boolean {
  if (value === null) return true;
  if (name === 'mcp_servers') return Array.isArray(value) && value.length === 0;
  return name === 'inference_geo' && value === 'global';
}

function requireShape(name: string, value: unknown): void {
  if (name === 'service_tier' || name === 'speed') {
    if (typeof value !== 'string') throw problem([name], 'Input should be a valid string');
    return;
  }
  if (name === 'fallback_credit_token' && typeof value === 'string') return;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw problem([name], 'Input should be an object');
  }
  if (name === 'context_management') requireClearing((value as { edits?: unknown }).edits ?? []);
}

/** A compaction would put a summary of the model's own into the answer. */
function requireClearing(edits: unknown): void {
  if (!Array.isArray(edits)) throw problem(['context_management', 'edits'], 'Input should be a valid list');
  edits.forEach((edit: unknown, index) => {
    const { type } = (edit ?? {}) as { type?: unknown };
    if (typeof type !== 'string' || !type.startsWith('clear_')) {
      throw problem(
        ['context_management', 'edits', index, 'type'],
        'not supported here: only edits that clear (clear_tool_uses_*, clear_thinking_*) can be left out without changing the answer',
      );
    }
  });
}
