/**
 * The way out of a running process, shut and open again by a setting: while it is shut, its next request meets a proxy at a port where
 * nothing can listen without being root. A request that is under way goes on (2.1.197, 2.1.330). Pure.
 */
import { settingsLine } from './protocol.ts';

const refusing = 'http://127.0.0.1:1';
export const proxyVariables = [
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'https_proxy',
  'http_proxy',
  'no_proxy',
] as const;

/** Only a proxy that is set makes its `no_proxy` count, and an empty value is as good as none (null would not be). */
export const wayOut = {
  shut: Object.fromEntries(
    proxyVariables.map((name) => [name, name.toLowerCase() === 'no_proxy' ? '' : refusing]),
  ),
  open: Object.fromEntries(proxyVariables.map((name) => [name, ''])),
};

/** Sent when the model has begun its one message: what the CLI would ask after it goes nowhere, should it be killed too late. */
export const noFurtherRequests = {
  id: 'no-further-requests',
  line: settingsLine('no-further-requests', { env: wayOut.shut }),
};
