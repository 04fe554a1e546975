/**
 * A proxy that refuses every connection, which a setting turns on and off in a running process: its next request meets a port where
 * nothing can listen without being root. A request that is under way goes on (2.1.197, 2.1.330). Pure.
 */
import { settingsLine } from './protocol.ts';

export const proxyVariables = [
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'https_proxy',
  'http_proxy',
  'no_proxy',
] as const;

const refusing = 'http://127.0.0.1:1';

/** The CLI uses `no_proxy` only with a proxy, and takes an empty value for none (a null it does not). */
export const blackholeProxy = {
  on: Object.fromEntries(proxyVariables.map((name) => [name, /no_proxy/i.test(name) ? '' : refusing])),
  off: Object.fromEntries(proxyVariables.map((name) => [name, ''])),
};

/** Sent when the model has begun its one message: what the CLI asks after it goes nowhere, even if the kill comes too late. */
export const blockFurtherRequests = {
  id: 'block-further-requests',
  line: settingsLine('block-further-requests', { env: blackholeProxy.on }),
};
