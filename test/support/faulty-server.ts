/** Servers that are not a relay, or that act like a bad connection to it. They count requests, and know whether every client has left. */
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type Server, type Socket } from 'node:net';
import { listenOn } from './ports.ts';
import { eventually } from './relay.ts';

export type Faulty = {
  url: string;
  port: number;
  /** Requests, or connections if the server reads no requests. */
  count: () => number;
  requests: IncomingMessage[];
  close: () => Promise<void>;
};

type Tls = { key: string; cert: string };
export type Answering = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** Answers after it has read the whole request. */
export async function serveHttp(
  answer: Answering,
  { tls, host }: { tls?: Tls; host?: string } = {},
): Promise<Faulty> {
  const requests: IncomingMessage[] = [];
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(request);
    request.resume().on('end', () => answer(request, response, requests.length));
  };
  const server = tls === undefined ? createHttp(take) : createHttps(tls, take);
  return {
    ...(await listening(server, tls === undefined ? 'http' : 'https', host)),
    requests,
    count: () => requests.length,
  };
}

/** `talk` gets each connection and its first bytes. */
export async function serveTcp(
  talk: { atOnce?: (socket: Socket) => void; atFirst?: (socket: Socket) => void },
  scheme = 'http',
): Promise<Faulty> {
  let connections = 0;
  const server = createTcp((socket) => {
    connections += 1;
    socket.on('error', () => {});
    talk.atOnce?.(socket);
    socket.once('data', () => talk.atFirst?.(socket));
    socket.resume();
  });
  return { ...(await listening(server, scheme)), requests: [], count: () => connections };
}

async function listening(
  server: Server,
  scheme: string,
  host = '127.0.0.1',
): Promise<Pick<Faulty, 'url' | 'port' | 'close'>> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => {});
  const port = await listenOn(host, server);
  return {
    url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: async () => {
      try {
        await eventually('the client has closed every connection', () => open.size === 0);
      } finally {
        for (const socket of open) socket.destroy();
        server.close();
      }
    },
  };
}
