/**
 * A client that has sent its request may close its side of the connection and wait for the answer. A client that is gone looks the
 * same until something is written to it: then its system refuses.
 *
 * The first bytes of every answer are the same, so they can be sent while the answer is still unknown: one at a time, until one is
 * refused or the answer follows. The client receives an ordinary answer.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Node's server always answers with this version. */
const firstBytes = 'HTTP/1.1 ';

/**
 * Milliseconds between these bytes. The refusal of a byte is noticed at the next one. The first two bytes find a client that closed
 * its connection; the others find a client that leaves later, or whose end comes late through a tunnel.
 */
const waitsMs = [1, 20, 300, 1000, 4000, 12_000, 40_000, 90_000] as const;
/** Milliseconds between two looks at an answer that waits for the answers before it on the same connection. */
const queuedMs = 1000;

/** Finds out, once the client has closed its side, whether it still waits for an answer that has not begun. */
export function probeHalfClosed(outgoing: ServerResponse): void {
  const { socket } = outgoing.req;
  let write: ((byte: string) => boolean) | undefined;
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  const probe = (): void => {
    if (outgoing.headersSent) return;
    let ms: number | undefined = queuedMs;
    if (outgoing.socket === socket) {
      write ??= leaveOut(socket, () => sent);
      write(firstBytes.charAt(sent));
      sent += 1;
      ms = waitsMs[sent - 1];
    }
    if (ms !== undefined) timer = setTimeout(probe, ms);
  };
  socket.once('end', probe);
  outgoing.once('close', () => {
    clearTimeout(timer);
    socket.off('end', probe);
  });
}

/** The next write, an answer, leaves out the bytes that were sent already. Returns the function that writes such a byte. */
function leaveOut(socket: Socket, sent: () => number): (byte: string) => boolean {
  const write = socket.write.bind(socket);
  const writeRest = (chunk: unknown, ...rest: never[]): boolean => {
    Reflect.deleteProperty(socket, 'write');
    if (typeof chunk === 'string' && chunk.startsWith(firstBytes)) {
      return socket.write(chunk.slice(sent()), ...rest);
    }
    // Only an answer may follow these bytes.
    socket.destroy();
    return false;
  };
  Object.assign(socket, { write: writeRest });
  return write;
}
