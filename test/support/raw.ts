/** Bytes on a socket, for requests that no HTTP client would send. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Sends the chunks, `everyMs` apart, until the other side ends the connection; resolves to everything that came back. */
export async function rawExchange(url: string, chunks: Iterable<string>, everyMs = 0): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const ended = new AbortController();
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  // A reset is an end, too.
  socket.on('error', () => {}).on('close', () => ended.abort());
  const closed = new Promise((resolve) => socket.on('close', resolve));
  for (const chunk of chunks) {
    if (ended.signal.aborted) break;
    socket.write(chunk);
    if (everyMs > 0) await sleep(everyMs, undefined, { signal: ended.signal }).catch(() => {});
  }
  await closed;
  return received;
}
