/** Whether a request comes from a program of this machine. Pure. */
import { isLoopback } from '../config.ts';

/** Headers of proxies and tunnels: what a stranger sends reaches the relay from loopback, too. */
const forwarded =
  /^(?:forwarded|via|cdn-loop|true-client-ip|x-client-ip|x-real-ip|(?:x-forwarded|x-original|x-envoy|x-ngrok|ngrok|cf|fly|tailscale)-.+)$/;

/** A proxy or a tunnel passed the request on. */
export function isForwarded(headers: Headers): boolean {
  return [...headers.keys()].some((header) => forwarded.test(header));
}

/** The host of the Host header, in lower case and without brackets; empty for none. */
export function hostOf(headers: Headers): string {
  const [, ipv6, name = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(headers.get('host') ?? '') ?? [];
  return (ipv6 ?? name).toLowerCase();
}

/**
 * The peer and the Host header are loopback, and nothing says that the request was forwarded. A web page whose name was made to lead
 * to this machine (DNS rebinding) sends that name as Host.
 */
export function isFromHost(remoteAddress: string | undefined, headers: Headers): boolean {
  const peer = (remoteAddress ?? '').replace(/^::ffff:(?=[\d.]+$)/i, '');
  return isLoopback(peer) && isLoopback(hostOf(headers)) && !isForwarded(headers);
}
