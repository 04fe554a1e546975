/**
 * Which address a request came from. Pure.
 *
 * Anyone can send `X-Forwarded-For`. Only what a trusted proxy appended to it counts: the list is walked from its right
 * end as long as the one who vouches for an entry is trusted, and the first one who is not is the client.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { parseNetwork } from '../network.ts';

export type TrustedProxies = (address: string) => boolean;

const loopback = ['127.0.0.0/8', '::1'] as const;

/**
 * `entries`: addresses, CIDR ranges, or `loopback`. Throws a `RangeError` that names an entry which is none of these.
 */
export function trustedProxies(entries: readonly string[]): TrustedProxies {
  const list = new BlockList();
  for (const entry of entries.flatMap((each) => (each === 'loopback' ? loopback : [each]))) {
    const network = parseNetwork(entry);
    if (network === undefined)
      throw new RangeError(`"${entry}" is not an IP address, a CIDR range or "loopback"`);
    list.addSubnet(network.address, network.prefix, network.family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** The socket's address when it has none (a Unix socket, or a connection that is gone). */
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
    // Not an address: whatever stands to the left of it is worth no more.
    if (address === undefined) break;
    client = address;
  }
  return client;
}

/** Without port, brackets and zone, an IPv4 address inside an IPv6 one taken out; undefined if it is no address. */
function plainAddress(text: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1];
  const plain = mapped ?? address;
  return isIP(plain) === 0 ? undefined : plain;
}

/**
 * What one client is counted under: an IPv4 address, or the /64 of an IPv6 one, as anyone with one such address has
 * all of its /64.
 */
export function clientBlock(address: string): string {
  if (isIP(address) !== 6) return address;
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  // A tail written as IPv4 stands for two groups; it is always beyond the first four.
  const tail = right === undefined || right === '' ? [] : right.replace(/[\d.]+\.\d+$/, '0:0').split(':');
  const zeros =
    right === undefined ? [] : Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  const groups = [...head, ...zeros, ...tail].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
