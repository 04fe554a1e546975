/**
 * The relay's side of the test internet, a process in its own network namespace: the relay's own fetcher, and canaries on every
 * address of this host. See network.ts.
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

/** Connections to this host. There must be none. */
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

// Another part of a program could set the dispatcher that Node's fetch and undici share.
if (proxyPort !== undefined) setGlobalDispatcher(new ProxyAgent(`http://127.0.0.1:${proxyPort}`));

const fetcher = createFetcher(config);

let peakRss = 0;
setInterval(() => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
}, 10);

type Message =
  | { id: number; type: 'fetch'; request: { timeout_ms?: number }; abortAfterMs?: number }
  | { id: number; type: 'touch'; address: string }
  | { id: number; type: 'observe' };

process.on('message', (message: Message) => {
  void (async () => process.send?.({ id: message.id, value: await answer(message) }))();
});
process.once('disconnect', () => process.exit());

async function answer(message: Message): Promise<unknown> {
  if (message.type === 'touch') {
    // Connect as a fetch must never do, to show that the test would see it.
    const socket = connect(80, message.address);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    return undefined;
  }
  if (message.type === 'observe') {
    const seen = { strays, peakRss, rss: process.memoryUsage.rss() };
    peakRss = 0;
    return seen;
  }
  const gone = new AbortController();
  if (message.abortAfterMs !== undefined)
    setTimeout(() => gone.abort(new Error('gone')), message.abortAfterMs);
  try {
    const request = pageRequest.parse(message.request);
    // A slow machine must not end a fetch whose time the test does not name.
    if (message.request.timeout_ms === undefined) request.timeout_ms = 600_000;
    return { ok: true, result: await fetcher.fetchPage(request, gone.signal) };
  } catch (error) {
    if (!(error instanceof RelayError)) return { ok: false, code: String(error), message: '' };
    return { ok: false, code: error.code, message: error.message, ...error.details, cause: undefined };
  }
}

process.send?.({ ready: true });
