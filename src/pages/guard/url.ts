/**
 * From the text of a URL to the place it names: the WHATWG parser, then rules that need no network.
 *
 * The parser resolves every spelling of an address (decimal, octal, hexadecimal, short, full-width, percent-encoded),
 * so no rule below sees the caller's spelling. The parser keeps userinfo, port 0, empty labels and characters such as `;`.
 */
import { isIP } from 'node:net';

import { RelayError } from '../../errors.ts';
import type { AddressJudge } from './address.ts';

/** Longer than any page's URL, and short enough to parse quickly. Characters. */
const maxUrlLength = 8192;

/** Names that only a local network, a cloud or a non-DNS system resolves: RFC 6761, 6762, 7686, 8375, 9476, ICANN. */
const specialSuffixes = [
  ...'localhost localdomain localdomain6 local internal intranet private corp home lan home.arpa'.split(' '),
  ...'mail svc onion i2p alt test invalid example metadata.goog metadata.packet.net'.split(' '),
  // Tailnet names: this machine's neighbours, or this relay behind Tailscale Funnel.
  ...'metadata.platformequinix.com ts.net'.split(' '),
];

export type UrlRules = {
  readonly ports: readonly number[];
  /** The relay's own public names, which it must not fetch. Lower case, no trailing dot. */
  readonly selfNames: readonly string[];
  readonly denied: AddressJudge;
};

export type Target = {
  /** The page, without a fragment and without a dot at the end of its host. */
  readonly url: string;
  readonly origin: string;
  readonly path: string;
  readonly secure: boolean;
  /** A lower-case name, or the canonical text of an address (no brackets). */
  readonly host: string;
  /** True when the URL names an address: there is nothing to resolve. */
  readonly literal: boolean;
  readonly port: number;
};

/** Throws `invalid_url`, `blocked_scheme`, `blocked_userinfo`, `blocked_address`, `blocked_hostname`, `blocked_port`. */
export function parseTarget(text: string, rules: UrlRules, base?: string): Target {
  if (text.length > maxUrlLength) throw new RelayError('invalid_url', 'The URL is too long.');
  const url = URL.parse(text, base);
  if (url === null) throw new RelayError('invalid_url', 'The URL is not an absolute http or https URL.');

  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new RelayError('blocked_scheme', 'Only http and https URLs can be fetched.');
  }
  if (url.username !== '' || url.password !== '') {
    throw new RelayError('blocked_userinfo', 'The URL must not contain a user name or a password.');
  }

  // The host is checked before the port: a special address is "blocked_address" on every port.
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname.replace(/\.$/, '');
  const literal = isIP(host) !== 0;
  if (literal) {
    if (rules.denied(host)) throw blockedAddress();
  } else {
    checkName(host, rules.selfNames);
    url.hostname = host;
  }

  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  if (!rules.ports.includes(port)) {
    throw new RelayError('blocked_port', `The port of the URL must be one of ${rules.ports.join(', ')}.`);
  }

  url.hash = '';
  const path = url.pathname + url.search;
  return { url: url.href, origin: url.origin, path, secure, host, literal, port };
}

/** The same message for an address in the URL and for a name's address, so that it reveals neither. */
export function blockedAddress(): RelayError {
  return new RelayError('blocked_address', 'The host of the URL is not on the public internet.');
}

function checkName(host: string, selfNames: readonly string[]): void {
  const labels = host.split('.');
  if (host.length > 253 || !labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label))) {
    throw new RelayError('invalid_url', 'The host of the URL is not a DNS name.');
  }
  const special = specialSuffixes.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
  if (labels.length === 1 || special || selfNames.includes(host)) {
    throw new RelayError('blocked_hostname', 'The host of the URL is a name on a local or special network.');
  }
}
