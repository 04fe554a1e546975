/** A proxy that cuts a connection when the answer so far matches a pattern. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { listenOn } from './ports.ts';

export type CuttingProxy = {
  url: string;
  /** The number of connections so far. */
  connections: () => number;
  /** Cuts each of the next connections, in turn, once its answer so far matches its pattern. */
  cutAt: (...patterns: RegExp[]) => void;
  close: () => Promise<void>;
};

/** `target` is an origin: `http://127.0.0.1:1234`. */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let connections = 0;
  let cuts: RegExp[] = [];
  const server = createServer((client) => {
    connections += 1;
    const pattern = cuts.shift();
    const upstream = connect(Number(port), hostname);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    client.on('data', (bytes) => upstream.write(bytes));
    let seen = '';
    upstream.on('data', (bytes) => {
      seen += bytes.toString('latin1');
      client.write(bytes);
      if (pattern?.test(seen) === true) client.end(end);
    });
  });
  const ownPort = await listenOn('127.0.0.1', server);
  return {
    url: `http://127.0.0.1:${ownPort}`,
    connections: () => connections,
    cutAt: (...patterns) => (cuts = patterns),
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
