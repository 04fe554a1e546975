/**
 * The load: a separate process that keeps a number of connections busy, one request at a time on each, and times every answer.
 * Sockets instead of an HTTP client, so that it takes as little as possible of the processors it shares with what it measures.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { percentile } from './stats.ts';

export type LoadOrder = { url: string; keys: string[]; connections: number; seconds: number };

export type LoadResult = { requests: number; seconds: number; p50Ms: number; p99Ms: number; failed: number };

/** Runs one load; resolves when every request of it is answered. */
export async function runLoad(order: LoadOrder): Promise<LoadResult> {
  const child = fork(import.meta.filename, { execArgv: [] });
  child.send(order);
  const [result] = (await once(child, 'message')) as [LoadResult];
  child.disconnect();
  await once(child, 'exit');
  return result;
}

const body = JSON.stringify({ prompt: 'Say in one sentence what a relay does.', model: 'haiku' });

function requestBytes(host: string, key: string): Buffer {
  return Buffer.from(
    `POST /v1/complete HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
}

async function load({ url, keys, connections, seconds }: LoadOrder): Promise<LoadResult> {
  const { host, hostname, port } = new URL(url);
  const requests = keys.map((key) => requestBytes(host, key));
  const took: number[] = [];
  let failed = 0;
  let next = 0;
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;

  const connection = (): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let sentAt = 0;
    let held = '';
    const send = (): void => {
      if (performance.now() >= until) {
        socket.end();
        return;
      }
      held = '';
      const bytes = requests[next++ % requests.length];
      sentAt = performance.now();
      if (bytes !== undefined) socket.write(bytes);
    };
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('data', (chunk: string) => {
      held += chunk;
      const end = held.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(held)?.[1]);
      if (held.length < end + 4 + length) return;
      took.push(performance.now() - sentAt);
      if (!held.startsWith('HTTP/1.1 200')) failed += 1;
      send();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
    return promise;
  };
  await Promise.all(Array.from({ length: connections }, connection));
  return {
    requests: took.length,
    seconds: (performance.now() - startedAt) / 1000,
    p50Ms: percentile(took, 0.5),
    p99Ms: percentile(took, 0.99),
    failed,
  };
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const [order] = (await once(process, 'message')) as [LoadOrder];
  process.send(await load(order));
}
