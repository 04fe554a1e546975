/** One hop of a fetch: from a judged URL to the reply of one judged address. */
import { isUtf8 } from 'node:buffer';
import { RelayError } from '../../errors.ts';
import type { PageCaps } from '../caps.ts';
import type { AddressJudge } from './address.ts';
import { resolve } from './resolve.ts';
import { type Reply, type Sent, dial, secure, send } from './transport.ts';
import { type Target, blockedAddress } from './url.ts';

export type HopRules = {
  readonly denied: AddressJudge;
  readonly caps: PageCaps;
  readonly ipv6: boolean;
  readonly nameServers?: readonly string[] | undefined;
};

/** Makes every connection of the relay to a page or a webhook, each only after every address of the page was judged. */
export async function visit<T>(
  target: Target,
  sent: Sent,
  { denied, caps, ipv6, nameServers }: HopRules,
  signal: AbortSignal,
  use: (reply: Reply) => Promise<T>,
): Promise<T> {
  // 1. Resolve, once.
  const addresses = target.literal
    ? [target.host]
    : await resolve(target.host, { servers: nameServers, ipv6, timeoutMs: caps.dnsMs }, signal);
  // 2. Judge every address. One address that is not public blocks the fetch.
  if (addresses.some((address) => denied(address))) throw blockedAddress();
  if (addresses.length > caps.addresses) {
    throw new RelayError('dns_error', 'The host of the URL has too many addresses.');
  }
  // 3. Dial a judged address, and check that the socket is connected to it.
  const socket = await dial(addresses.slice(0, caps.dials), target.port, caps.connectMs, signal);
  // 4. TLS for the name, not for the address.
  const channel = target.secure ? await secure(socket, target, signal) : socket;
  // 5. One request with a bounded reply.
  return send(channel, target, sent, caps, signal, use);
}

const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** The text of the Location, to be parsed and judged like a caller's URL. Throws `bad_redirect`. */
export function readRedirect(status: number, header: string | string[] | undefined): string | undefined {
  if (!redirectStatuses.has(status) || header === undefined) return undefined;
  if (Array.isArray(header))
    throw new RelayError('bad_redirect', 'The page redirects to more than one place.');
  if (header.trim() === '') throw new RelayError('bad_redirect', 'The page redirects to an empty URL.');
  return asUtf8(header);
}

/** Header values arrive as latin1, but servers send other characters in UTF-8. */
function asUtf8(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : latin1;
}
