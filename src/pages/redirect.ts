/** Whether a reply sends us elsewhere, and where to (pure). Only a status and one Location do: no Refresh, no meta tag. */
import { RelayError } from '../errors.ts';

const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** The text of the Location, still to be parsed and judged like a caller's URL. Throws `bad_redirect`. */
export function readRedirect(status: number, header: string | string[] | undefined): string | undefined {
  if (!redirectStatuses.has(status) || header === undefined) return undefined;
  if (Array.isArray(header))
    throw new RelayError('bad_redirect', 'The page redirects to more than one place.');
  if (header.trim() === '') throw new RelayError('bad_redirect', 'The page redirects to nowhere.');
  return asUtf8(header);
}

/** Header values arrive as latin1; servers that send other characters mean UTF-8. */
function asUtf8(latin1: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return latin1;
  }
}
