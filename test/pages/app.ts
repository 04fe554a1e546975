/**
 * The relay's side of the test internet, a process in a network namespace of its own: the fetcher as the relay uses it,
 * with nothing put in its place, and canaries on every address this host has. See network.ts.
 */
import { connect, createServer } from 'node:net';
import { setGlobalDispatcher, ProxyAgent } from 'undici';

import { RelayError } from '../../src/errors.ts';
import { createFetcher, type PageConfig } from '../../src/pages/fetch.ts';
import { pageRequest } from '../../src/pages/request.ts';

const { config, proxyPort } = JSON.parse(process.env['APP'] ?? '{}') as {
  config: PageConfig;
  proxyPort?: number;
};

/** Whatever reaches this host itself: nothing should. */
const strays: string[] = [];
const ports = [22, 80, 443, 3128, 6379, 8080, 8443];
await Promise.all(
  ports.map((port) => {
    const server = createServer((socket) => {
      strays.push(`${socket.localAddress}:${port}`);
      socket.destroy();
    });
    return new Promise<void>((resolve) => server.listen(port, '::', resolve));
  }),
);

// What another part of a program could do to the dispatcher that Node's own fetch and undici share.
if (proxyPort !== undefined) setGlobalDispatcher(new ProxyAgent(`http://127.0.0.1:${proxyPort}`));

const fetcher = createFetcher(config);

/** The longest time in which nothing else had a turn, in milliseconds, since it was last asked for. */
let worstLag = 0;
let last = performance.now();
setInterval(() => {
  worstLag = Math.max(worstLag, performance.now() - last - 20);
  last = performance.now();
}, 20);

let peakRss = 0;
setInterval(() => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
}, 10);

type Message =
  | { id: number; type: 'fetch'; request: unknown; abortAfterMs?: number }
  | { id: number; type: 'touch'; address: string }
  | { id: number; type: 'observe' };

process.on('message', (message: Message) => {
  void (async () => process.send?.({ id: message.id, value: await answer(message) }))();
});
process.once('disconnect', () => process.exit());

async function answer(message: Message): Promise<unknown> {
  if (message.type === 'touch') {
    // What the fetch must never do, to show that it would be seen.
    const socket = connect(80, message.address);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    return undefined;
  }
  if (message.type === 'observe') {
    const seen = { strays, worstLag, peakRss, rss: process.memoryUsage.rss() };
    worstLag = 0;
    peakRss = 0;
    return seen;
  }
  const gone = new AbortController();
  if (message.abortAfterMs !== undefined)
    setTimeout(() => gone.abort(new Error('gone')), message.abortAfterMs);
  try {
    return { ok: true, result: await fetcher.fetchPage(pageRequest.parse(message.request), gone.signal) };
  } catch (error) {
    if (!(error instanceof RelayError)) return { ok: false, code: String(error), message: '' };
    return { ok: false, code: error.code, message: error.message, ...error.details, cause: undefined };
  }
}

process.send?.({ ready: true });
