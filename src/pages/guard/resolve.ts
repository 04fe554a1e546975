/**
 * Resolves a name to its addresses, once.
 *
 * Uses c-ares, not the system's getaddrinfo: it can be cancelled, reads neither /etc/hosts nor numeric hosts nor search
 * domains, and does not occupy a thread while a name server is silent. Each look-up has its own resolver, so
 * nothing is cached and cancelling one does not touch another.
 */
import { Resolver } from 'node:dns/promises';
import { addAbortListener } from 'node:events';

import { RelayError } from '../../errors.ts';

export type ResolveOptions = {
  /** Name servers (`address` or `address:port`) in place of those of /etc/resolv.conf. */
  readonly servers?: readonly string[] | undefined;
  readonly ipv6: boolean;
  /** Milliseconds for the whole look-up. */
  readonly timeoutMs: number;
};

/** Both kinds of address, IPv4 first. Throws `dns_error`; rejects with the signal's reason when it aborts. */
export async function resolve(host: string, options: ResolveOptions, signal: AbortSignal): Promise<string[]> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: Math.ceil(options.timeoutMs / 2), tries: 2 });
  if (options.servers !== undefined) resolver.setServers([...options.servers]);
  const cancel = (): void => resolver.cancel();
  const timer = setTimeout(cancel, options.timeoutMs);
  using _listener = addAbortListener(signal, cancel);
  try {
    const answers = await Promise.allSettled([
      resolver.resolve4(host),
      options.ipv6 ? resolver.resolve6(host) : Promise.resolve([]),
    ]);
    signal.throwIfAborted();
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length === 0) {
      throw new RelayError('dns_error', 'The host of the URL could not be resolved to an address.');
    }
    return addresses;
  } finally {
    clearTimeout(timer);
  }
}
