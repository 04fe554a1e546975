/** The internet of the fetch benchmark, a process in its own network namespace: a name server and a web server. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { Certificate } from '../test/pages/certificates.ts';
import { startDns } from '../test/pages/dns-server.ts';
import { webAddress } from '../test/pages/zone.ts';
import { makePage, onceOnly, pagePath, pageSizes, type PageName } from './fetch-pages.ts';

const { certificate } = JSON.parse(process.env['WEB'] ?? '{}') as { certificate: Certificate };

const pages = new Map<string, { body: Buffer; headers: Record<string, string> }>();
for (const [name, bytes] of Object.entries(pageSizes) as [PageName, number][]) {
  const page = Buffer.from(makePage(bytes));
  const headers = { 'content-type': 'text/html; charset=utf-8' };
  pages.set(pagePath(name, 'identity'), { body: page, headers });
  pages.set(pagePath(name, 'gzip'), {
    body: gzipSync(page),
    headers: { ...headers, 'content-encoding': 'gzip' },
  });
}

/** The number of requests on each connection. The answer reports it, so that "a fresh connection" can be checked. */
const requests = new WeakMap<Socket, number>();

function serve(request: IncomingMessage, response: ServerResponse): void {
  const nth = (requests.get(request.socket) ?? 0) + 1;
  requests.set(request.socket, nth);
  const page = pages.get(request.url ?? '');
  if (page === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    ...page.headers,
    'content-length': String(page.body.length),
    'x-request-of-connection': String(nth),
    ...(request.headers.host?.startsWith(onceOnly) === true && {
      connection: 'keep-alive',
      'keep-alive': 'timeout=1',
    }),
  });
  response.end(page.body);
}

// Connections stay open for a whole run, so that the comparison does not depend on a timeout of the server.
const options = { keepAliveTimeout: 600_000 };
const servers = [
  createServer(options, serve).listen(80, '0.0.0.0'),
  createTls({ ...options, ...certificate }, serve).listen(443, '0.0.0.0'),
];
await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
await startDns('10.77.0.1', () => [webAddress]);
process.once('disconnect', () => process.exit());
process.send?.({ ready: true });
