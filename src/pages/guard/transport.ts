/**
 * The only connection to a page: one socket to one judged address, for one request.
 *
 * This file dials, so that nothing resolves a name a second time, no proxy setting of the environment applies and no socket
 * is used twice. undici speaks HTTP/1.1 over the socket that it is given and cannot open another.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Readable } from 'node:stream';

import { RelayError } from '../../errors.ts';
import { canonicalAddress } from '../../network.ts';
import type { PageCaps } from '../caps.ts';
import type { Target } from './url.ts';

/** A GET, or with a `body` a POST. */
export type Sent = {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
};

export type Reply = {
  readonly status: number;
  /** Names in lower case. A header that was sent more than once is an array. Values are latin1. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
};

/** How often the wire is measured, in milliseconds: undici reports neither chunk extensions nor 1xx replies. */
const meterMs = 100;

/**
 * A TCP connection to the first of these judged addresses that answers. The socket is checked against the dialled address
 * before a byte is written. Throws `connect_error` or `timeout`.
 */
export async function dial(
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  let failure = connectError();
  for (const address of addresses) {
    signal.throwIfAborted();
    const socket = connectTcp({ host: address, port, autoSelectFamily: false, noDelay: true });
    const late = new RelayError('timeout', 'The host of the URL did not accept a connection in time.');
    const timer = setTimeout(() => socket.destroy(late), timeoutMs);
    try {
      await opened(socket, 'connect', signal);
      assertPinned(socket, address);
      return socket;
    } catch (error) {
      signal.throwIfAborted();
      failure = error instanceof RelayError ? error : connectError(error);
    } finally {
      clearTimeout(timer);
    }
  }
  throw failure;
}

function connectError(cause?: unknown): RelayError {
  return new RelayError('connect_error', 'Could not connect to the host of the URL.', { cause });
}

/** The socket must be connected to the judged address. Otherwise nothing is sent. */
export function assertPinned(socket: Pick<Socket, 'remoteAddress' | 'destroy'>, address: string): void {
  if (canonicalAddress(socket.remoteAddress ?? '') === canonicalAddress(address)) return;
  socket.destroy();
  throw connectError();
}

/**
 * TLS on a dialled socket, for the name in the URL. The checks are set here, because NODE_TLS_REJECT_UNAUTHORIZED and
 * --tls-min-v1.0 change the defaults. Throws `tls_error`.
 */
export async function secure(socket: Socket, target: Target, signal: AbortSignal): Promise<Socket> {
  const wrapped = connectTls({
    socket,
    host: target.host,
    servername: target.literal ? '' : target.host,
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  });
  try {
    await opened(wrapped, 'secureConnect', signal);
    return wrapped;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    const message = 'The host of the URL has no valid certificate or no usable TLS.';
    throw new RelayError('tls_error', message, { cause: error });
  }
}

/** Sends one request and passes its reply to `use`, then closes the socket. Throws the errors of `protocolError`. */
export async function send<T>(
  socket: Socket,
  target: Target,
  sent: Sent,
  limits: Pick<PageCaps, 'headerBytes' | 'wireBytes' | 'silenceMs'>,
  signal: AbortSignal,
  use: (reply: Reply) => Promise<T>,
): Promise<T> {
  // Loaded by the first fetch, to save memory in a relay without fetches.
  const { Client } = await import('undici');
  let unused: Socket | undefined = socket;
  const client = new Client(target.origin, {
    connect: (_options, callback) => {
      const dialled = unused;
      unused = undefined;
      // In a microtask: the client is not ready for a connection while it asks for one.
      queueMicrotask(() => {
        if (dialled === undefined) callback(new Error('one connection, one request'), null);
        else callback(null, dialled);
      });
    },
    pipelining: 0,
    allowH2: false,
    useMilo: false,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.silenceMs,
    bodyTimeout: limits.silenceMs,
  });
  const meter = setInterval(() => {
    if (socket.bytesRead > limits.wireBytes) socket.destroy(new WireLimitError());
  }, meterMs);
  try {
    const reply = await client.request({
      method: sent.body === undefined ? 'GET' : 'POST',
      path: target.path,
      ...sent,
      signal,
    });
    // RFC 9112 section 7: no other coding was offered, and the parser does not decode others.
    if (!/^(chunked)?$/i.test(String(reply.headers['transfer-encoding'] ?? ''))) {
      throw protocolError(new Error('a transfer coding that was not offered'));
    }
    return await use({ status: reply.statusCode, headers: reply.headers, body: reply.body });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof RelayError ? error : protocolError(error);
  } finally {
    clearInterval(meter);
    // With an error: undici takes any other close for the end of a reply, and a signal that aborts meanwhile ends the process.
    socket.destroy(new Error('the reply was used'));
    // Not awaited: the answer does not wait for the library.
    client.destroy().catch(() => {});
  }
}

/** The host sent more than any page may, without showing a body. */
class WireLimitError extends Error {}

/** The error for a caller. It never contains text from the host. */
function protocolError(cause: unknown): RelayError {
  switch (codeOf(cause)) {
    case 'UND_ERR_HEADERS_OVERFLOW':
      return new RelayError('headers_too_large', 'The host of the URL sent too many header bytes.', {
        cause,
      });
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return new RelayError('timeout', 'The host of the URL stopped sending.', { cause });
    default:
      return new RelayError('upstream_protocol', 'The host of the URL did not answer with valid HTTP.', {
        cause,
      });
  }
}

/** Whether the connection ended before the body, or was closed for its size. */
export function isBrokenOff(error: unknown): boolean {
  const code = codeOf(error);
  return (
    error instanceof WireLimitError ||
    ['UND_ERR_SOCKET', 'ECONNRESET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'].includes(code)
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Waits for the event. Destroys the socket and rejects when it fails or the signal aborts. */
async function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  // Kept for the life of the socket: a later error must not end the process.
  socket.on('error', () => {});
  try {
    await once(socket, event, { signal });
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
