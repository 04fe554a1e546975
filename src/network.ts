/** Networks and host names as text, for the settings and for the code that uses them. Pure. */
import { BlockList, isIP } from 'node:net';

export type Network = { address: string; prefix: number; family: 'ipv4' | 'ipv6' };

/** An address, or a network such as `203.0.113.0/24`; undefined for any other text. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  const width = family === 4 ? 32 : 128;
  const prefix = length === undefined ? width : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (family === 0 || address.includes('%') || rest.length > 0 || !(prefix <= width)) return undefined;
  return { address, prefix, family: family === 4 ? 'ipv4' : 'ipv6' };
}

/** Throws a RangeError if `text` is no address and no network. */
export function addNetwork(list: BlockList, text: string): void {
  const network = parseNetwork(text.trim());
  if (network === undefined) throw new RangeError(`Not an IP address or network: ${JSON.stringify(text)}`);
  list.addSubnet(network.address, network.prefix, network.family);
}

/** RFC 8215: each network chooses where the IPv4 address is, so it cannot be judged. */
const localNat64 = new BlockList();
localNat64.addSubnet('64:ff9b:1::', 48, 'ipv6');

/** A prefix of 96 bits that an IPv4 address follows. */
export function parseNat64(text: string): Network | undefined {
  const network = parseNetwork(text);
  const isPrefix = network?.family === 'ipv6' && text.endsWith('/96');
  return isPrefix && !localNat64.check(network.address, 'ipv6') ? network : undefined;
}

/** One spelling for each address, so that two texts of one address compare equal. Requires an IP address. */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}

/** The eight groups of an IPv6 address; the WHATWG parser writes embedded IPv4 as groups. */
export function hextetsOf(address: string): number[] {
  const [head = '', tail] = canonicalAddress(address).split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  if (tail === undefined) return groups(head);
  const [before, after] = [groups(head), groups(tail)];
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/** A host name with a dot, such as relay.example.com: no URL, no port, no address. */
export function isHostname(text: string): boolean {
  return /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/i.test(text);
}
