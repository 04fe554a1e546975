/** A client that closes its side of the connection may wait for its answer, or be gone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { eventually, query } from './support/relay.ts';

/** What each model replies. */
const replies: Record<string, () => ScriptedReply | Promise<ScriptedReply>> = {
  quick: () => ({ kind: 'text', text: 'quick' }),
  slow: async () => {
    await sleep(400);
    return { kind: 'text', text: ['qui', 'ck'] };
  },
  fails: () => ({ kind: 'error', status: 500, type: 'api_error', message: 'failed' }),
  hangs: () => ({ kind: 'hang', after: 'text', text: 'so far' }),
};

let relay: InProcessRelay;
before(async () => {
  relay = await startInProcess({
    settings: {
      ALLOWED_MODELS: Object.keys(replies).join(','),
      DEFAULT_MODEL: 'quick',
      GLOBAL_CONCURRENCY: '8',
    },
    reply: ({ json }) => {
      const name = Object.keys(replies).find((model) => json?.model.includes(model)) ?? 'quick';
      return replies[name]?.() ?? { kind: 'text', text: 'none' };
    },
  });
});
after(() => relay.stop());

type Client = { socket: Socket; received: () => string };

async function open(): Promise<Client> {
  const { hostname, port } = new URL(relay.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.on('error', () => {});
  await once(socket, 'connect');
  return { socket, received: () => received };
}

function post(body: object, version = '1.1', key = relay.key): string {
  const text = JSON.stringify({ prompt: 'hi', ...body });
  return `POST /v1/complete HTTP/${version}\r\nhost: x\r\nx-api-key: ${key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** What comes back when the request is sent and the client's side is closed. */
async function halfClosed(request: string): Promise<string> {
  const { socket, received } = await open();
  socket.end(request);
  await once(socket, 'close');
  return received();
}

describe('a client that closes its side after its request', { concurrency: 4 }, () => {
  const answers: [name: string, request: () => string, answer: RegExp][] = [
    ['at once', () => post({ model: 'quick' }), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/],
    ['later', () => post({ model: 'slow' }), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/],
    [
      'later over HTTP/1.0',
      () => post({ model: 'slow' }, '1.0'),
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/,
    ],
    ['as events', () => post({ model: 'slow', stream: true }), /^HTTP\/1\.1 200 OK\r\n[^]*event: done\n/],
    [
      'as an error',
      () => post({ model: 'fails' }),
      /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*"error":"upstream_error"/,
    ],
    ['as a refusal', () => post({}, '1.1', 'nonsense'), /^HTTP\/1\.1 401 Unauthorized\r\n/],
    [
      'twice, for two requests',
      () => post({ model: 'slow' }) + post({ model: 'quick' }),
      /^HTTP\/1\.1 200 OK\r\n[^]*"model":"slow"[^]*"text":"quick"\}HTTP\/1\.1 200 OK\r\n[^]*"text":"quick"\}$/,
    ],
  ];
  for (const [name, request, answer] of answers) {
    test(`a half-closed client gets its answer ${name}`, async () => {
      assert.match(await halfClosed(request()), answer);
    });
  }

  test('a half-closed client gets a 400 when its request is incomplete', async () => {
    assert.match(await halfClosed(post({}).slice(0, -3)), /^HTTP\/1\.1 400 /);
  });
});

describe('a client that closes its connection', () => {
  const ways: [name: string, stream: boolean, leave: (client: Client) => unknown][] = [
    ['a client that leaves while it waits ends its turn', false, ({ socket }) => socket.destroy()],
    ['a client that leaves while it reads events ends its turn', true, ({ socket }) => socket.destroy()],
    [
      'a client that closes its side and leaves later ends its turn',
      false,
      async ({ socket, received }) => {
        socket.end();
        await eventually('the relay has probed the connection', () => received().length > 1);
        socket.destroy();
      },
    ],
  ];
  for (const [name, stream, leave] of ways) {
    test(name, async () => {
      const turns = (): number =>
        query(relay, "SELECT 1 FROM requests WHERE error = 'client_closed_request' AND client_gone = 1")
          .length;
      const before = turns();
      const client = await open();
      client.socket.write(post({ model: 'hangs', stream }));
      await eventually('its turn runs', () => relay.model.running() > 0);
      if (stream) await eventually('it has begun', () => client.received().includes('event: '));
      await leave(client);
      await eventually('its turn has ended', () => relay.model.running() === 0);
      await eventually('it is recorded', () => turns() === before + 1);
    });
  }
});
