/** Stands between a program and the relay, and records each request with its answer's status. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { pipeline } from 'node:stream';
import { listenOn } from '../support/ports.ts';

export type Exchange = { method: string; path: string; status: number; type: string; refusal: string };

export type Tap = { url: string; exchanges: Exchange[]; close: () => Promise<void> };

/** `target` is an origin: `http://127.0.0.1:1234`. A WebSocket's upgrade passes as an ordinary request. */
export async function startTap(target: string): Promise<Tap> {
  const exchanges: Exchange[] = [];
  const server = createServer({ shouldUpgradeCallback: () => false }, (incoming, answer) => {
    const { method = '', url: path = '/', headers } = incoming;
    const onward = request(target + path, { method, headers }, (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      const exchange = { method, path, status, type: answered['content-type'] ?? '', refusal: '' };
      exchanges.push(exchange);
      if (status >= 400) response.on('data', (part: Buffer) => (exchange.refusal += part.toString()));
      answer.writeHead(status, answered);
      pipeline(response, answer, () => {});
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    pipeline(incoming, onward, () => {});
  });
  const port = await listenOn('127.0.0.1', server);
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
