/**
 * The internet of the tests, a process in its own network namespace. Every address there answers, so a connection to an address
 * that must not be dialled is seen. See network.ts.
 */
import { createServer as createHttp } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, createServer as createTls, type TLSSocket } from 'node:tls';

import type { Certificates } from './certificates.ts';
import { startDns } from './dns-server.ts';
import { rawReplies, type RawReply } from './raw-replies.ts';
import { serve } from './site.ts';
import { rawAddress, webAddress, webAddress6, zone } from './zone.ts';

const { certificates } = JSON.parse(process.env['INTERNET'] ?? '{}') as { certificates: Certificates };

/** Connections to addresses that are not public. */
const strays: string[] = [];
let bodiesRead = 0;
let open = 0;
let answering = 0;
let mostAtOnce = 0;
const offeredProtocols: string[] = [];

const raw = new Map<string, RawReply>(
  Object.values<RawReply>(rawReplies).map((reply, index) => [rawAddress(index), reply]),
);
const published = (address: string): boolean =>
  address === webAddress ||
  address === webAddress6 ||
  /^(93\.184\.217|1\.1\.1|45\.60\.250)\.\d+$/.test(address);

const web = createHttp((request, response) => {
  answering += 1;
  mostAtOnce = Math.max(mostAtOnce, answering);
  // Ahead of the client's next request, unlike the end of a connection. A broken answer only closes.
  const end = (): void => {
    answering -= 1;
    response.off('finish', end).off('close', end);
  };
  response.on('finish', end).on('close', end);
  serve(request, response, () => {
    bodiesRead += 1;
  });
});

const localAddress = (socket: Socket): string => (socket.localAddress ?? '').replace(/^::ffff:/, '');

function accept(socket: Socket): void {
  socket.on('error', () => {});
  const address = localAddress(socket);
  const reply = raw.get(address);
  if (reply !== undefined) {
    void (async () => {
      // Wait for a request, as any server does.
      await new Promise((resolve) => socket.once('data', resolve));
      socket.resume();
      await reply.send(socket);
    })();
    return;
  }
  if (!published(address)) {
    strays.push(`${address}:${socket.localPort}`);
    socket.destroy();
    return;
  }
  open += 1;
  socket.on('close', () => {
    open -= 1;
  });
  web.emit('connection', socket);
}

const contexts = {
  'expired.site.com': certificates.expired,
  'wrong-name.site.com': certificates.wrongName,
  'self-signed.site.com': certificates.selfSigned,
} as Readonly<Record<string, { key: string; cert: string }>>;

const tls = createTls(
  {
    ...certificates.good,
    ALPNProtocols: ['h2', 'http/1.1'],
    requestCert: true,
    rejectUnauthorized: false,
    SNICallback: (name, done) => done(null, createSecureContext(contexts[name] ?? certificates.good)),
  },
  (socket) => {
    offeredProtocols.push(
      `${socket.servername || '-'} ${socket.alpnProtocol || '-'} ${Object.keys(socket.getPeerCertificate()).length}`,
    );
    accept(socket);
  },
);
tls.on('tlsClientError', (_error, socket: TLSSocket) => socket.destroy());

const dns = await startDns('10.77.0.1', zone);
const listening = [80, 8080, 8443].map((port) => createServer(accept).listen(port, '::'));
listening.push(
  createServer((socket) => {
    socket.on('error', () => {});
    const address = localAddress(socket);
    if (published(address) && address !== '93.184.217.2') tls.emit('connection', socket);
    else if (address === '93.184.217.2') socket.end('HTTP/1.1 200 OK\r\n\r\nplain');
    else accept(socket);
  }).listen(443, '::'),
);
await Promise.all(listening.map((server) => new Promise((resolve) => server.once('listening', resolve))));

process.on('message', (message: { id: number; type: 'observe'; name?: string }) => {
  const queries = message.name === undefined ? 0 : dns.queries(message.name);
  process.send?.({
    id: message.id,
    value: { strays, bodiesRead, open, mostAtOnce, offeredProtocols, queries },
  });
});
process.once('disconnect', () => process.exit());
process.send?.({ ready: true });
