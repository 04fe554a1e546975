/** One hop of a fetch: from a judged URL to the reply of the one address it was judged to be at. */
import { RelayError } from '../errors.ts';
import type { AddressJudge } from './address.ts';
import type { PageCaps } from './caps.ts';
import { resolve } from './resolve.ts';
import { dial, get, secure, type Reply } from './transport.ts';
import { blockedAddress, type Target } from './url.ts';

export type HopContext = {
  readonly denied: AddressJudge;
  readonly caps: PageCaps;
  readonly ipv6: boolean;
  readonly nameServers?: readonly string[] | undefined;
};

/** Every connection of the relay to a page is made here, and none is made before every address has been judged. */
export async function visit<T>(
  target: Target,
  headers: Readonly<Record<string, string>>,
  { denied, caps, ipv6, nameServers }: HopContext,
  signal: AbortSignal,
  use: (reply: Reply) => Promise<T>,
): Promise<T> {
  // 1. Resolve, once.
  const addresses = target.literal
    ? [target.host]
    : await resolve(target.host, { servers: nameServers, ipv6, timeoutMs: caps.dnsMs }, signal);
  // 2. Judge every address: one that is not public refuses them all.
  if (addresses.some((address) => denied(address))) throw blockedAddress();
  if (addresses.length > caps.addresses) {
    throw new RelayError('dns_error', 'The host of the URL has more addresses than a page needs.');
  }
  // 3. Dial a judged address, and check that the socket is connected to it.
  const socket = await dial(addresses.slice(0, caps.dials), target.port, caps.connectMs, signal);
  // 4. TLS, for the name and not for the address.
  const channel = target.secure ? await secure(socket, target, signal) : socket;
  // 5. One request, whose reply is bounded.
  return get(channel, target, headers, caps, signal, use);
}
