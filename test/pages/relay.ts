/**
 * A whole relay in the test internet, a process in its host's network namespace. It takes requests over HTTP, and canaries listen
 * on every address that it must not reach. See endpoint.test.ts and webhooks.test.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startTestRelay, type TestRelay } from '../support/relay.ts';

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

const scratch = mkdtempSync(join(tmpdir(), 'relay-pages-'));
const start = (key?: string): Promise<TestRelay> =>
  startTestRelay({
    proof: false,
    scratch,
    ...(key === undefined ? {} : { key }),
    settings: JSON.parse(process.env['SETTINGS'] ?? '{}') as Record<string, string>,
    env: { NODE_EXTRA_CA_CERTS: process.env['NODE_EXTRA_CA_CERTS'] },
    until: 'listening',
    reply: ({ body }) =>
      body.includes('no answer') ? { kind: 'hang', after: 'accept' } : { kind: 'text', text: 'hello' },
  });
let relay = await start();

/** `leaves`: its client leaves at the message `leave`. */
type Post = { type: 'post'; body: unknown; path?: string; key?: string; leaves?: true };
type Message =
  | Post
  | { type: 'get'; path: string; key?: string }
  /** Runs `bin/claude-relay`. */
  | { type: 'command'; args: string[] }
  /** Kills the relay with SIGKILL, and starts it again on its data. */
  | { type: 'restart' }
  | { type: 'observe' | 'leave' };
export type Answer = { status: number; body: Record<string, unknown> } | { left: true };
export type Seen = { strays: string[]; log: string; url: string };

let leaving = new AbortController();

process.on('message', (message: { id: number } & Message) => {
  void (async () => process.send?.({ id: message.id, value: await answer(message) }))();
});
process.once('disconnect', () => {
  void relay.stop().finally(() => {
    rmSync(scratch, { recursive: true, force: true });
    process.exit();
  });
});

async function answer(message: Message): Promise<unknown> {
  switch (message.type) {
    case 'observe':
      return { strays, log: relay.output().stdout, url: relay.url } satisfies Seen;
    case 'post':
      return post(message);
    case 'get': {
      const headers = { 'x-api-key': message.key ?? relay.key };
      return read(await fetch(`${relay.url}${message.path}`, { headers }));
    }
    case 'command':
      return relay.command('claude-relay', ...message.args);
    case 'restart':
      await relay.stop('SIGKILL');
      relay = await start(relay.key);
      return undefined;
    case 'leave':
      leaving.abort();
      leaving = new AbortController();
      return undefined;
  }
}

async function post({ body, path = '/v1/fetch', key = relay.key, leaves }: Post): Promise<Answer> {
  const signal = leaves === true ? leaving.signal : null;
  try {
    return await read(await relay.post(body, { path, signal, headers: { authorization: `Bearer ${key}` } }));
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    return { left: true };
  }
}

async function read(response: Response): Promise<Answer> {
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

process.send?.({ ready: true });
