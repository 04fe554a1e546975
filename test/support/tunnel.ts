/** The end of a tunnel: a small reverse proxy that cuts an idle connection after a while. */
import { once } from 'node:events';
import { createServer, request as ask, type Server } from 'node:http';
import { listenOn } from './ports.ts';

export type Tunnel = {
  url: string;
  /** Connections that were cut for their silence. */
  cut: () => number;
  close: () => Promise<void>;
};

/** Passes everything on to `target`, as it comes. */
export async function startTunnel(target: string, idleMs: number): Promise<Tunnel> {
  let cut = 0;
  const server: Server = createServer((incoming, outgoing) => {
    const upstream = ask(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method, headers: incoming.headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        outgoing.flushHeaders();
        response.on('data', () => idle.refresh());
        response.on('error', () => outgoing.destroy());
        response.pipe(outgoing);
      },
    );
    const idle = setTimeout(() => {
      cut += 1;
      upstream.destroy();
      outgoing.destroy();
    }, idleMs);
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => {
      clearTimeout(idle);
      upstream.destroy();
    });
    incoming.on('data', () => idle.refresh());
    incoming.pipe(upstream);
  });
  const port = await listenOn('127.0.0.1', server);
  return {
    url: `http://127.0.0.1:${port}`,
    cut: () => cut,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
