/**
 * The receiver of webhooks in the test internet, a process in its own network namespace: each path is one kind of receiver. A connection
 * to an address that is not public is seen. See webhooks.test.ts.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcp, type Socket } from 'node:net';
import { createSecureContext, createServer as createTls } from 'node:tls';

import type { Certificates } from './certificates.ts';
import { startDns } from './dns-server.ts';
import { webAddress, webAddress6, zone } from './zone.ts';

export type Received = {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
};
export type ReceiverSeen = { received: Received[]; strays: string[]; open: number };

const { certificates } = JSON.parse(process.env['INTERNET'] ?? '{}') as { certificates: Certificates };

const received: Received[] = [];
const strays: string[] = [];
let open = 0;

function answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
  const ofPath = received.filter((each) => each.url.endsWith(url)).length;
  switch (url) {
    case '/500':
      response.writeHead(500).end('later');
      return;
    case '/500-once':
      response.writeHead(ofPath === 1 ? 500 : 204).end();
      return;
    case '/410':
      response.writeHead(410).end();
      return;
    case '/redirect':
      response.writeHead(307, { location: 'https://hooks.site.com/target' }).end();
      return;
    case '/redirect-private':
      response.writeHead(302, { location: 'https://127.0.0.1/target' }).end();
      return;
    case '/silent':
      return;
    case '/drip': {
      const { socket } = response;
      socket?.write('HTTP/1.1 200 OK\r\nx-drip: ');
      const timer = setInterval(() => socket?.write('x'), 100);
      socket?.once('close', () => clearInterval(timer));
      return;
    }
    case '/huge': {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
      return;
    }
    default:
      response.writeHead(200, { 'set-cookie': 'a=b' }).end('{}');
  }
}

const web = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.once('end', () => {
    const { method = '', url = '', headers } = request;
    const named = Object.entries(headers).map(([name, value]) => [name, String(value)] as const);
    received.push({ method, url: `${headers.host}${url}`, headers: Object.fromEntries(named), body });
    answer(request, response);
  });
});

const tls = createTls(
  {
    ...certificates.good,
    SNICallback: (name, done) =>
      done(null, createSecureContext(name === 'expired.site.com' ? certificates.expired : certificates.good)),
  },
  (socket) => {
    socket.on('error', () => {});
    web.emit('connection', socket);
  },
);
tls.on('tlsClientError', (_error, socket) => socket.destroy());

function accept(socket: Socket): void {
  socket.on('error', () => {});
  const address = (socket.localAddress ?? '').replace(/^::ffff:/, '');
  if (address !== webAddress && address !== webAddress6) {
    strays.push(`${address}:${socket.localPort}`);
    socket.destroy();
    return;
  }
  open += 1;
  socket.on('close', () => {
    open -= 1;
  });
  tls.emit('connection', socket);
}

await startDns('10.77.0.1', zone);
await Promise.all(
  [80, 443].map((port) => new Promise<void>((resolve) => createTcp(accept).listen(port, '::', resolve))),
);

process.on('message', ({ id }: { id: number }) => {
  process.send?.({ id, value: { received, strays, open } satisfies ReceiverSeen });
});
process.once('disconnect', () => process.exit());
process.send?.({ ready: true });
