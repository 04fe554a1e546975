/** The listening socket, with bounds on everything that a client can do before its key is known. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Connections } from './connections.ts';
import type { ErrorFormat } from '../dialects/dialect.ts';
import { RelayError } from '../errors.ts';
import { openExchange, respondError, type Exchange } from './exchange.ts';
import { probeHalfClosed } from './half-close.ts';
import type { Times } from './times.ts';

export type ServerOptions = {
  host: string;
  port: number;
  /** An answer may take this long to begin, in milliseconds: a connection on which nothing moves for longer is closed. */
  longestAnswerMs: number;
  connections: Connections;
  times: Times;
  /** The error format for requests that are not valid HTTP. */
  errorFormat: ErrorFormat;
};

/**
 * Connections that wait until they are accepted; the system can allow fewer (net.core.somaxconn). Beyond it, a connection is delayed
 * for up to a minute, and then reset: Node's 511 are not enough for a burst while the relay is busy.
 */
const backlog = 4096;

/** Rejects with the system's error, such as EADDRINUSE. */
export async function listen(fetch: Parameters<typeof getRequestListener>[0], options: ServerOptions) {
  const listener = getRequestListener(fetch, {
    errorHandler: () =>
      respondError(
        openMalformed(options.errorFormat),
        new RelayError('bad_request', 'The request line or the Host header is not valid HTTP.'),
      ),
  });
  const answer = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    options.connections.asks(incoming, outgoing);
    probeHalfClosed(outgoing);
    void listener(incoming, outgoing);
  };
  const server = createServer(
    {
      headersTimeout: options.times.headersMs,
      requestTimeout: options.times.requestMs,
      connectionsCheckingInterval: Math.min(2000, options.times.headersMs / 5),
      keepAliveTimeout: 65_000,
      maxHeaderSize: 16 * 1024,
      noDelay: true,
    },
    answer,
  );
  // A client may close its side when it has sent its request. Node's own handling would close the other side with it.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.maxHeadersCount = 100;
  server.timeout = options.longestAnswerMs + 60_000;
  server.on('connection', (socket) => {
    // Each request of a connection listens to it.
    socket.setMaxListeners(0);
    options.connections.add(socket);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    refuse(error, socket, options.errorFormat);
  });
  // An expectation other than 100-continue may be ignored; the server's own 417 would have no body.
  server.on('checkExpectation', answer);
  server.listen({ port: options.port, host: options.host, backlog });
  await once(server, 'listening');
  return { url: urlOf(server), close: () => closeServer(server) };
}

/** As bound, not as asked for. */
function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** Stops listening, lets answers that are being written finish for a second, and cuts the rest. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), 1000);
  await closed;
  clearTimeout(cut);
}

function openMalformed(errorFormat: ErrorFormat): Exchange {
  return openExchange({ route: { path: '(malformed)' }, errorFormat });
}

const parserErrors: Record<string, string> = {
  HPE_HEADER_OVERFLOW: 'The request headers are larger than 16 KiB.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not arrive in time.',
};

/** A request that the HTTP parser rejects gets the same shape of error; then the connection ends. */
function refuse(error: NodeJS.ErrnoException, socket: Socket, errorFormat: ErrorFormat): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const message = parserErrors[error.code ?? ''] ?? 'The request is not valid HTTP.';
  const { requestId } = openMalformed(errorFormat);
  const body = JSON.stringify(errorFormat.errorBody(new RelayError('bad_request', message), requestId));
  const head = [
    'HTTP/1.1 400 Bad Request',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `request-id: ${requestId}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
