/** Bytes on a socket, for what no HTTP client would send. */
import { connect } from 'node:net';

export type RawExchange = {
  /** Everything that came back. */
  received: string;
  /** Milliseconds until the connection had ended. */
  ms: number;
};

/** Sends the chunks, `everyMs` apart, and resolves when the other side has ended the connection. */
export async function rawExchange(url: string, chunks: Iterable<string>, everyMs = 0): Promise<RawExchange> {
  const { hostname, port } = new URL(url);
  const startedAt = performance.now();
  const socket = connect({ host: hostname, port: Number(port) });
  let received = '';
  let closed = false;
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => (received += text));
  // A reset is an end, too.
  socket.on('error', () => {});
  const ended = new Promise<void>((resolve) => {
    socket.on('close', () => {
      closed = true;
      resolve();
    });
  });
  const send = async (): Promise<void> => {
    for (const chunk of chunks) {
      if (closed) return;
      socket.write(chunk);
      if (everyMs > 0) {
        await Promise.race([
          ended,
          new Promise<void>((resolve) => {
            setTimeout(resolve, everyMs).unref();
          }),
        ]);
      }
    }
  };
  await Promise.all([send(), ended]);
  return { received, ms: performance.now() - startedAt };
}
