/** What a port without a key requires of each request. Pure. */
import { isLoopback } from '../config.ts';
import { RelayError } from '../errors.ts';
import type { OllamaAddress } from '../keys/key.ts';
import { canonicalAddress } from '../network.ts';
import { hostOf, isForwarded } from './from-host.ts';

/**
 * Throws `forbidden` unless the request comes from a program that names this address. A browser adds `Origin` or `Sec-Fetch-Site` to a
 * page's request, and sends the name of the page's site as Host if that name was made to lead to this machine (DNS rebinding).
 */
export function requireProgram(headers: Headers, address: OllamaAddress): void {
  if (headers.has('origin') || (headers.get('sec-fetch-site') ?? 'none') !== 'none') {
    throw new RelayError('forbidden', 'This port is for programs: it answers no page in a browser.');
  }
  if (isForwarded(headers)) {
    throw new RelayError(
      'forbidden',
      'This port has no key: it answers nothing that a proxy or a tunnel forwards.',
    );
  }
  const host = hostOf(headers);
  if (canonicalAddress(host) === address.host || (isLoopback(address.host) && isLoopback(host))) return;
  throw new RelayError(
    'forbidden',
    `This port answers to ${isLoopback(address.host) ? 'localhost, 127.0.0.1 and ::1' : address.host} only. Use that as the host of the URL.`,
  );
}
