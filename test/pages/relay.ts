/**
 * A whole relay in the test internet, a process in its host's network namespace. It takes requests over HTTP, and canaries listen
 * on every address that it must not reach. See endpoint.test.ts.
 */
import { createServer } from 'node:net';

import { startTestRelay } from '../support/relay.ts';

/** Connections to this host. There must be none, except the tests' requests to the relay. */
const strays: string[] = [];
await Promise.all(
  [22, 80, 443, 6379, 8080, 8443].map((port) => {
    const server = createServer((socket) => {
      strays.push(`${socket.localAddress}:${port}`);
      socket.destroy();
    });
    return new Promise<void>((resolve) => server.listen(port, '::', resolve));
  }),
);

const relay = await startTestRelay({
  proof: false,
  settings: JSON.parse(process.env['SETTINGS'] ?? '{}') as Record<string, string>,
  until: 'listening',
});

/** `leaves`: its client leaves at the message `leave`. */
type Post = { type: 'post'; body: unknown; leaves?: true };
export type Answer = { status: number; body: Record<string, unknown> } | { left: true };
export type Seen = { strays: string[]; log: string; url: string };

let leaving = new AbortController();

process.on('message', (message: { id: number } & (Post | { type: 'observe' | 'leave' })) => {
  void (async () => process.send?.({ id: message.id, value: await answer(message) }))();
});
process.once('disconnect', () => {
  void relay.stop().finally(() => process.exit());
});

async function answer(message: Post | { type: 'observe' | 'leave' }): Promise<Answer | Seen | undefined> {
  if (message.type === 'observe') return { strays, log: relay.output().stdout, url: relay.url };
  if (message.type === 'post') return post(message);
  leaving.abort();
  leaving = new AbortController();
  return undefined;
}

async function post({ body, leaves }: Post): Promise<Answer> {
  const signal = leaves === true ? leaving.signal : null;
  try {
    const response = await relay.post(body, { path: '/v1/fetch', signal });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    return { left: true };
  }
}

process.send?.({ ready: true });
