/** What POST /v1/messages/count_tokens sends: a Messages request without `max_tokens`, whose messages need not be a whole conversation. Pure. */
import type { ParsedRequest } from '../dialect.ts';
import { refusedParameters } from './parameters.ts';
import { readMessagesRequest } from './request.ts';
import { messagesRequest } from './schema.ts';

/** Throws a `bad_request` that names the place. Parameters that POST /v1/messages does not know, or refuses, are left out. */
export function readCountRequest(body: unknown): Pick<ParsedRequest, 'conversation' | 'model'> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return readMessagesRequest(body);
  const known = Object.entries(body).filter(
    ([name]) => Object.hasOwn(messagesRequest.shape, name) && !Object.hasOwn(refusedParameters, name),
  );
  // Above every budget for thinking.
  const max_tokens = Number.MAX_SAFE_INTEGER;
  return readMessagesRequest({ ...Object.fromEntries(known), max_tokens }, 'any order');
}
