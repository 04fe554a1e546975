/** The listening socket, with bounds on everything a client can do before it is known. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Connections } from './connections.ts';
import { openExchange, respondError } from './exchange.ts';
import { RelayError, type ErrorCode } from '../errors.ts';
import { probeHalfClosed } from './half-close.ts';
import type { Times } from './times.ts';

export type ServerOptions = {
  host: string;
  port: number;
  /** An answer may take this long to begin, in milliseconds: a connection on which nothing moves for longer is closed. */
  longestAnswerMs: number;
  connections: Connections;
  times: Times;
};

export type HttpServer = {
  /** `http://<address>:<port>` as bound, not as asked for. */
  readonly url: string;
  /** Stops listening, lets answers that are being written finish for a second, and cuts the rest. */
  close(): Promise<void>;
};

/** Rejects with the system's error, such as EADDRINUSE. */
export async function listen(
  fetch: Parameters<typeof getRequestListener>[0],
  options: ServerOptions,
): Promise<HttpServer> {
  const listener = getRequestListener(fetch, { errorHandler: malformed });
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
  server.on('clientError', refuse);
  // An expectation other than 100-continue may be passed over; the server's own 417 would have no body.
  server.on('checkExpectation', answer);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return { url: urlOf(server), close: () => closeServer(server) };
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), 1000);
  await closed;
  clearTimeout(cut);
}

/** A request that never became one: an impossible Host header or target. */
function malformed(): Response {
  return respondError(
    openExchange({ method: '', route: '(malformed)' }),
    new RelayError('bad_request', 'The request line or the Host header is not valid HTTP.'),
  );
}

const parserErrors: Record<string, [ErrorCode, string]> = {
  HPE_HEADER_OVERFLOW: ['bad_request', 'The request headers are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['bad_request', 'The request did not arrive in time.'],
};

/** What the HTTP parser rejects gets the same shape of error; then the connection ends. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [code, message] = parserErrors[error.code ?? ''] ?? ['bad_request', 'The request is not valid HTTP.'];
  const exchange = openExchange({ method: '', route: '(malformed)' });
  const body = JSON.stringify({ ok: false, error: code, message, request_id: exchange.requestId });
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nrequest-id: ${exchange.requestId}\r\nx-request-id: ${exchange.requestId}\r\nconnection: close\r\n\r\n${body}`,
  );
}
