/**
 * Which addresses a page may be fetched from. Every address that no rule allows is denied.
 *
 * Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, the IANA IPv6 address space registry
 * ("unicast assignments are currently limited to 2000::/3"), and the RFCs and vendors named on each line.
 */
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { addNetwork, hextetsOf, parseNat64 } from '../../network.ts';

const deniedIpv4 = [
  '0.0.0.0/8', // "this network"; 0.0.0.0 reaches localhost on Linux. RFC 1122
  '10.0.0.0/8', // private. RFC 1918
  '100.64.0.0/10', // carrier NAT, Tailscale, and Alibaba's metadata 100.100.100.200. RFC 6598
  '127.0.0.0/8', // loopback. RFC 1122
  '168.63.129.16/32', // Azure's WireServer: looks public, and no registry lists it
  '169.254.0.0/16', // link-local, and most clouds' metadata. RFC 3927
  '172.16.0.0/12', // private. RFC 1918
  '192.0.0.0/24', // IETF protocol assignments, and Oracle's metadata 192.0.0.192. RFC 6890
  '192.0.2.0/24', // documentation. RFC 5737
  '192.31.196.0/24', // AS112. RFC 7535
  '192.52.193.0/24', // AMT relays. RFC 7450
  '192.88.99.0/24', // 6to4 relays. RFC 7526
  '192.168.0.0/16', // private. RFC 1918
  '192.175.48.0/24', // AS112. RFC 7534
  '198.18.0.0/15', // benchmarking. RFC 2544
  '198.51.100.0/24', // documentation. RFC 5737
  '203.0.113.0/24', // documentation. RFC 5737
  '224.0.0.0/4', // multicast. RFC 5771
  '240.0.0.0/4', // reserved, and broadcast. RFC 1112, RFC 919
] as const;

/** The global unicast addresses. All others are denied without being named. */
const globalIpv6 = '2000::/3';

const deniedIpv6 = [
  '2001::/23', // IETF assignments: Teredo, benchmarking, AMT, AS112, ORCHID, DRIP
  '2001:db8::/32', // documentation. RFC 3849
  '2002::/16', // 6to4: holds an IPv4 address. RFC 7526
  '2620:4f:8000::/48', // AS112. RFC 7534
  '3fff::/20', // documentation. RFC 9637
] as const;

export type AddressRules = {
  /** The networks of every interface of this host, in CIDR form: the host's neighbours are not public. */
  readonly interfaces?: readonly string[];
  /** Further networks or single addresses, such as the host's public address behind NAT. */
  readonly deny?: readonly string[];
  /** A /96 through which this host reaches IPv4 by NAT64; the IPv4 address inside it is judged as such. */
  readonly nat64?: string | undefined;
};

/** True for an address that must not be connected to, and for text that is not an IP address. */
export type AddressJudge = (address: string) => boolean;

/** Throws a RangeError that names the invalid address, network or NAT64 prefix. */
export function createAddressJudge(rules: AddressRules = {}): AddressJudge {
  const denied = new BlockList();
  for (const network of [...deniedIpv4, ...deniedIpv6, ...(rules.interfaces ?? []), ...(rules.deny ?? [])]) {
    addNetwork(denied, network);
  }
  const global = new BlockList();
  addNetwork(global, globalIpv6);
  const nat64 = rules.nat64 === undefined ? undefined : nat64Network(rules.nat64);

  const ipv4 = (address: string): boolean => denied.check(address, 'ipv4');
  return (address) => {
    // BlockList reports "not in the list" for invalid text and for the wrong family, so isIP comes first.
    switch (isIP(address)) {
      case 4:
        return ipv4(address);
      case 6: {
        if (address.includes('%')) return true;
        if (denied.check(address, 'ipv6')) return true;
        const hextets = hextetsOf(address);
        if (nat64?.check(address, 'ipv6') === true) return ipv4(lastIpv4(hextets));
        return !global.check(address, 'ipv6') || isIsatap(hextets);
      }
      default:
        return true;
    }
  };
}

/** RFC 5214: the interface identifier [02]00:5efe holds an IPv4 address, after any prefix. */
function isIsatap(hextets: readonly number[]): boolean {
  return ((hextets[4] ?? 0) & 0xfcff) === 0 && hextets[5] === 0x5efe;
}

function lastIpv4(hextets: readonly number[]): string {
  const [high = 0, low = 0] = hextets.slice(6);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function nat64Network(text: string): BlockList {
  if (parseNat64(text.trim()) === undefined) {
    throw new RangeError(`Not a /96 that NAT64 addresses can be decoded from: ${JSON.stringify(text)}`);
  }
  const list = new BlockList();
  addNetwork(list, text);
  return list;
}

/** Returns a judge for the interfaces of this moment; it is rebuilt only when they have changed. */
export function createHostJudge(rules: Omit<AddressRules, 'interfaces'>): () => AddressJudge {
  let judged: string | undefined;
  let judge = createAddressJudge(rules);
  return () => {
    const networks = Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .map(({ address, cidr }) => (cidr ?? address).replace(/%[^/]*/, ''));
    const current = networks.join(' ');
    if (current !== judged) {
      judge = createAddressJudge({ ...rules, interfaces: networks });
      judged = current;
    }
    return judge;
  };
}
