/** What POST /v1/messages/count_tokens sends: a Messages request without `max_tokens`, whose messages need not be a whole conversation. Pure. */
import type { ParsedRequest } from '../dialect.ts';
import { given } from '../given.ts';
import { refusedParameters } from './parameters.ts';
import { readMessagesRequest } from './request.ts';
import { messagesRequest } from './schema.ts';

/**
 * Throws a `bad_request` that names the place. Parameters that POST /v1/messages does not know, or refuses, are left out, and so are
 * tools that Anthropic defines: their definitions are not in the request.
 */
export function readCountRequest(body: unknown): Pick<ParsedRequest, 'conversation' | 'model'> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return readMessagesRequest(body);
  const known = Object.entries(body).filter(
    ([name]) => Object.hasOwn(messagesRequest.shape, name) && !Object.hasOwn(refusedParameters, name),
  );
  const { tool_choice: _choice, tools, ...rest } = Object.fromEntries(known);
  const counted = Array.isArray(tools) ? { tools: tools.filter(isOwn) } : given({ tools });
  // Above every budget for thinking.
  return readMessagesRequest({ ...rest, ...counted, max_tokens: Number.MAX_SAFE_INTEGER }, 'any order');
}

function isOwn(tool: unknown): boolean {
  return ((Object(tool) as { type?: unknown }).type ?? 'custom') === 'custom';
}
