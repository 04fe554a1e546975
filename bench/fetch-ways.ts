/** The ways to fetch a page that are compared. */
import { Agent, request as httpRequest } from 'node:http';
import { createFetcher } from '../src/pages/fetch.ts';
import { pageRequest } from '../src/pages/request.ts';
import { fetchUnguarded } from './fetch-unguarded.ts';
import { onceOnly } from './fetch-pages.ts';
import type { HttpTarget } from './http-target.ts';
import { ownCpuSeconds } from './proc.ts';

export const wayNames = ['relay', 'endpoint', 'unstripped', 'unguarded', 'node', 'nodeKept'] as const;
export type WayName = (typeof wayNames)[number];

export type Way = {
  readonly name: WayName;
  /** The page as text; throws for anything else. */
  readonly fetch: (url: string) => Promise<string>;
  /** CPU seconds so far of the process that fetches, all its threads. */
  readonly cpuSeconds: () => number;
};

const userAgent = 'claude-relay-bench/1';
/** The largest allowed value, so that no page is cut. */
const maxBytes = 2_000_000;

/** `relay`: also measures the HTTP side of a relay. */
export function createWays(relay: HttpTarget): { ways: Way[]; close: () => Promise<void> } {
  const fetcher = createFetcher({
    ports: [80, 443, 8080, 8443],
    denyCidrs: [],
    selfNames: [],
    ipv6: true,
    userAgent,
  });
  const agent = new Agent({ keepAlive: true });
  const never = new AbortController().signal;

  const guarded = async (url: string, strip: boolean): Promise<string> => {
    const page = await fetcher.fetchPage(pageRequest.parse({ url, max_bytes: maxBytes, strip }), never);
    if (page.status !== 200 || page.truncated || page.html === undefined)
      throw new Error(`${url} did not come whole`);
    return page.html;
  };
  /**
   * A server that keeps a connection for a second only makes Node's fetch close it after its page. Not by `connection: close`: a server
   * that closes while the reader of a page is behind ends a process with undici 7, which Node 24 has in it (nodejs/undici#5360).
   */
  const node = async (url: string, kept: boolean): Promise<string> => {
    const response = await fetch(url);
    if (response.status !== 200) throw new Error(`${url} has status ${response.status}`);
    if (!kept && response.headers.get('x-request-of-connection') !== '1')
      throw new Error('the connection was not a fresh one');
    return response.text();
  };
  const ownCpu = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };

  const calls: Record<WayName, (url: string) => Promise<string>> = {
    relay: (url) => guarded(url, true),
    endpoint: (url) => callEndpoint(relay, agent, url),
    unstripped: (url) => guarded(url, false),
    unguarded: (url) => fetchUnguarded(pageRequest.parse({ url, max_bytes: maxBytes }), userAgent),
    node: (url) => node(url.replace('//page-', `//${onceOnly}`), false),
    nodeKept: (url) => node(url, true),
  };
  return {
    ways: wayNames.map((name) => ({
      name,
      fetch: calls[name],
      cpuSeconds: name === 'endpoint' ? () => ownCpuSeconds(relay.pid) : ownCpu,
    })),
    close: async () => {
      agent.destroy();
      await fetcher.close();
    },
  };
}

/** POST /v1/fetch over a kept connection. The answer's JSON is not parsed: that is its caller's work. */
function callEndpoint({ url: relay, keys }: HttpTarget, agent: Agent, url: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = httpRequest(
    `${relay}/v1/fetch`,
    {
      method: 'POST',
      agent,
      headers: { authorization: `Bearer ${keys[0]}`, 'content-type': 'application/json' },
    },
    (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`the relay answered ${response.statusCode}: ${text.slice(0, 500)}`));
      });
    },
  );
  call.on('error', reject);
  call.end(JSON.stringify({ url, max_bytes: maxBytes }));
  return promise;
}
