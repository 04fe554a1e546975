/**
 * The only way out: one socket to one judged address, for one request.
 *
 * The dial is ours, so that nothing resolves a name a second time, no proxy setting of the environment applies and no
 * socket is used twice; undici speaks HTTP/1.1 over the socket it is handed and could not open another.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Readable } from 'node:stream';

import { RelayError } from '../../errors.ts';
import { canonicalAddress } from './address.ts';
import type { Target } from './url.ts';

export type Reply = {
  readonly status: number;
  /** Lower-case names; a header that was sent more than once is an array. Values are latin1. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
};

export type ReplyLimits = {
  /** Bytes of status line and headers. */
  readonly headerBytes: number;
  /** Bytes off the wire, whatever they are: chunk framing and informational replies count. */
  readonly wireBytes: number;
  /** Milliseconds to the headers of the reply, and between two pieces of its body. */
  readonly silenceMs: number;
};

/** How often the wire is measured, in milliseconds: undici shows neither chunk extensions nor 1xx replies. */
const meterMs = 100;

/**
 * A TCP connection to the first of these addresses that answers. All have been judged before; the socket is checked
 * against the one that was dialled before a byte is written. Throws `connect_error` or `timeout`.
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
  return new RelayError('connect_error', 'The host of the URL could not be connected to.', { cause });
}

/** The socket must be at the address that was judged: whatever moved it there is not to be trusted with a request. */
export function assertPinned(socket: Pick<Socket, 'remoteAddress' | 'destroy'>, address: string): void {
  if (canonicalAddress(socket.remoteAddress ?? '') === canonicalAddress(address)) return;
  socket.destroy();
  throw connectError();
}

/**
 * TLS on a dialled socket, for the name in the URL. What is verified does not depend on the environment:
 * NODE_TLS_REJECT_UNAUTHORIZED and --tls-min-v1.0 change defaults only. Throws `tls_error`.
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
    const message = 'The host of the URL has no valid certificate, or speaks no usable TLS.';
    throw new RelayError('tls_error', message, { cause: error });
  }
}

/** Sends one GET and gives its reply; ends socket and client when `use` is done. Throws what `protocolError` names. */
export async function get<T>(
  socket: Socket,
  target: Target,
  headers: Readonly<Record<string, string>>,
  limits: ReplyLimits,
  signal: AbortSignal,
  use: (reply: Reply) => Promise<T>,
): Promise<T> {
  // Loaded by the first fetch: it takes memory that a relay without fetches does not need.
  const { Client } = await import('undici');
  let unused: Socket | undefined = socket;
  const client = new Client(target.origin, {
    connect: (_options, callback) => {
      const given = unused;
      unused = undefined;
      // Not at once: the client is not ready for a connection while it asks for one.
      queueMicrotask(() => {
        if (given === undefined) callback(new Error('one connection, one request'), null);
        else callback(null, given);
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
    const reply = await client.request({ method: 'GET', path: target.path, headers, signal });
    // RFC 9112 section 7: no other coding was offered, and the parser passes the bytes of others on as they are.
    if (!/^(chunked)?$/i.test(String(reply.headers['transfer-encoding'] ?? ''))) {
      throw protocolError(new Error('a transfer coding that was not offered'));
    }
    return await use({ status: reply.statusCode, headers: reply.headers, body: reply.body });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof RelayError ? error : protocolError(error);
  } finally {
    clearInterval(meter);
    socket.destroy();
    // Not awaited: nothing that a library waits for holds up the answer.
    client.destroy().catch(() => {});
  }
}

/** The host sends more than any page is allowed to, in a form that shows no body. */
class WireLimitError extends Error {}

/** undici's and the socket's errors, as what a caller can know. Never the host's own words. */
function protocolError(cause: unknown): RelayError {
  switch (codeOf(cause)) {
    case 'UND_ERR_HEADERS_OVERFLOW':
      return new RelayError('headers_too_large', 'The host of the URL sent too many header bytes.', {
        cause,
      });
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return new RelayError('timeout', 'The host of the URL fell silent.', { cause });
    default:
      return new RelayError('upstream_protocol', 'The host of the URL did not answer with valid HTTP.', {
        cause,
      });
  }
}

/** Whether the connection ended, or was ended for its size, before the body did. */
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

/** Resolves at the event; rejects when the socket fails or the signal aborts, and then the socket is destroyed. */
async function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  // Stays for the life of the socket: an error that nobody waits for must not end the process.
  socket.on('error', () => {});
  try {
    await once(socket, event, { signal });
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
