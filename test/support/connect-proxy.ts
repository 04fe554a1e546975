/** A proxy that records its requests, and connects every tunnel to this host. */
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { listenOn } from './ports.ts';
import { eventually } from './relay.ts';

export type ConnectProxy = {
  url: string;
  /** The targets of the requested tunnels. */
  tunnels: { place: string; credentials: string | undefined }[];
  /** Requests that came without a tunnel. */
  plain: { request: string; credentials: string | undefined }[];
  /** Every byte that came from a client, in Latin-1. */
  text: () => string;
  close: () => Promise<void>;
};

/** `answer` replies to the request for a tunnel, instead of opening one. */
export async function startConnectProxy(answer?: (client: Socket) => void): Promise<ConnectProxy> {
  const tunnels: ConnectProxy['tunnels'] = [];
  const plain: ConnectProxy['plain'] = [];
  const open = new Set<Socket>();
  let text = '';
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    plain.push({ request: `${method} ${url}`, credentials: headers['proxy-authorization'] });
    response.end();
  });
  server.on('connect', ({ url = '', headers }, client: Socket) => {
    tunnels.push({ place: url, credentials: headers['proxy-authorization'] });
    if (answer !== undefined) return answer(client.on('end', () => client.destroy()).resume());
    const relay = connect(Number(url.split(':').at(-1)), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(relay).pipe(client);
    });
    client.on('data', (bytes) => (text += bytes.toString('latin1')));
    for (const [socket, other] of [
      [client, relay],
      [relay, client],
    ] as const) {
      socket.on('error', () => {}).on('close', () => other.destroy());
    }
  });
  server.on('connection', (socket: Socket) => {
    open.add(socket.on('error', () => {}));
    socket.on('close', () => open.delete(socket));
  });
  const port = await listenOn('127.0.0.1', server);
  return {
    url: `http://127.0.0.1:${port}`,
    tunnels,
    plain,
    text: () => text,
    close: async () => {
      try {
        await eventually('the client has closed every tunnel', () => open.size === 0);
      } finally {
        for (const socket of open) socket.destroy();
        server.close();
      }
    },
  };
}
