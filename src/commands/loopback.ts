/** A call to the relay of this machine. Nothing else is called by the commands, and no proxy is asked on the way. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { isIP } from 'node:net';
import { type Config, isLoopback } from '../config.ts';
import { CommandError } from './command-error.ts';

export type LoopbackCall = {
  method?: 'GET' | 'POST';
  key?: string;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which the call fails; for ever by default. */
  idleMs?: number;
};

export type LoopbackAnswer = {
  status: number;
  headers: IncomingHttpHeaders;
  chunks: AsyncIterable<Buffer>;
};

/** Rejects with the socket's error, an `ETIMEDOUT`, or an `AbortError`. */
export async function callRelay(url: string, call: LoopbackCall = {}): Promise<LoopbackAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<LoopbackAnswer>();
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const client = request(
    url,
    {
      method: call.method ?? (body === undefined ? 'GET' : 'POST'),
      headers: {
        ...(call.key === undefined ? {} : { authorization: `Bearer ${call.key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      // The default one would obey the environment's proxy where Node is told to.
      agent: new Agent({ keepAlive: false }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
      ...(call.idleMs === undefined ? {} : { timeout: call.idleMs }),
    },
    (response) => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        chunks: response as AsyncIterable<Buffer>,
      });
    },
  );
  client.on('timeout', () => {
    client.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
  });
  client.on('error', reject);
  client.end(body);
  return promise;
}

export async function textOf(answer: LoopbackAnswer): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer.chunks) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

/**
 * Where the relay of these settings is called from this machine. `given` is another address of the same machine.
 * Throws CommandError: a key, and what is asked, must not leave the machine by a slip of an address.
 */
export function relayUrl(config: Config, given?: string): string {
  if (given === undefined) {
    if (config.port === 0) {
      throw new CommandError(
        'PORT is 0, so the relay picks a port at each start: give its address with --url.',
      );
    }
    return `http://${reachable(config.host)}:${config.port}`;
  }
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  if (url?.protocol !== 'http:' || !(isLoopback(host) || host === config.host)) {
    throw new CommandError(
      `This command calls the relay of this machine only, such as http://127.0.0.1:8799; ${JSON.stringify(given)} is no such address. Unset CLAUDE_RELAY_URL or give another --url; for a relay elsewhere use one of the clients.`,
    );
  }
  return url.origin;
}

/** An address to connect to for one that is listened on: "every address" is none. */
function reachable(host: string): string {
  const address = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return isIP(address) === 6 ? `[${address}]` : address;
}

export async function* eventData(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).trimStart());
      // A comment alone, such as a ping, has none.
      if (data.length > 0) yield JSON.parse(data.join('\n'));
    }
  }
}
