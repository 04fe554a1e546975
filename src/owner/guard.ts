/** What each request to the owner's listener must satisfy before anything of it is used. Pure. */
import { isForwarded } from '../http/from-host.ts';

/** A script of another site cannot add it without a preflight, which is refused. */
export const ownHeader = 'x-claude-relay-owner';

export type Refusal = { status: 403 | 421; sentence: string };

/**
 * Returns why a request is refused. The peer's address proves nothing: a tunnel connects from loopback, and the name of a web page can
 * be made to lead to it (DNS rebinding). A browser sends that name as Host.
 */
export function refusalOf(method: string, headers: Headers, port: number): Refusal | undefined {
  const host = headers.get('host') ?? '';
  if (!hostsOf(port).includes(host.toLowerCase())) {
    return { status: 421, sentence: `This listener answers to ${hostsOf(port)[0]} and localhost only.` };
  }
  if (isForwarded(headers)) {
    return { status: 403, sentence: 'This listener answers nothing that a proxy or a tunnel forwards.' };
  }
  if (method === 'GET' || method === 'HEAD') return undefined;
  const own =
    headers.get('origin') === `http://${host}` &&
    headers.get('sec-fetch-site') === 'same-origin' &&
    headers.get(ownHeader) === '1';
  return own ? undefined : { status: 403, sentence: 'Only the page itself can change anything.' };
}

/** A name and its port, as a browser sends them. */
function hostsOf(port: number): string[] {
  return ['127.0.0.1', 'localhost', '[::1]'].map((name) => (port === 80 ? name : `${name}:${port}`));
}

/** Only its own files run or are shown, no other page can frame it, and nothing of it is kept or told to another site. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};
