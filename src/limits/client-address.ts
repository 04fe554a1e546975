/**
 * The address that a request came from. Pure. Anyone can send `X-Forwarded-For`, so only what trusted proxies appended is used: the
 * list is read from its right end, and the first address that is not a trusted proxy is the client's.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { addNetwork, hextetsOf } from '../network.ts';

export type TrustedProxies = (address: string) => boolean;

/** `entries`: addresses, networks, or `loopback`. Throws a `RangeError` for any other entry. */
export function trustedProxies(entries: readonly string[]): TrustedProxies {
  const list = new BlockList();
  for (const entry of entries) {
    for (const network of entry === 'loopback' ? ['127.0.0.0/8', '::1'] : [entry]) addNetwork(list, network);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** For a Unix socket, or a connection that is gone. */
const unknownAddress = 'unknown';

export function clientAddress(
  socketAddress: string | undefined,
  forwardedFor: string | undefined,
  trusted: TrustedProxies,
): string {
  let client = plainAddress(socketAddress ?? '') ?? unknownAddress;
  for (const hop of (forwardedFor ?? '').split(',').toReversed()) {
    if (!trusted(client)) break;
    const address = plainAddress(hop.trim());
    // Everything to the left of an invalid entry cannot be trusted either.
    if (address === undefined) break;
    client = address;
  }
  return client;
}

/** Without port, brackets and zone; IPv4 inside IPv6 as IPv4. Undefined if it is no address. */
function plainAddress(text: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1];
  const plain = mapped ?? address;
  return isIP(plain) === 0 ? undefined : plain;
}

/** An IPv4 address, or the /64 of an IPv6 address: whoever has one such address has the whole /64. */
export function clientBlock(address: string): string {
  if (isIP(address) !== 6) return address;
  const prefix = hextetsOf(address).slice(0, 4);
  return `${prefix.map((group) => group.toString(16)).join(':')}::/64`;
}
