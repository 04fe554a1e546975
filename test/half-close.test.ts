/** A client that closes its side of the connection: it may wait for its answer, or it is gone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually, query, root, startTestRelay, type TestRelay } from './support/relay.ts';

let relay: TestRelay;
before(async () => {
  relay = await startTestRelay({
    claudeBin: join(root, 'test/fixtures/cli/by-model.sh'),
    settings: {
      ALLOWED_MODELS: 'opus,fixture-quick,fixture-slow,fixture-nothing,fixture-hangs-in-the-middle',
      GLOBAL_CONCURRENCY: '8',
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
    [
      'at once',
      () => post({ model: 'fixture-quick' }),
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/,
    ],
    [
      'later',
      () => post({ model: 'fixture-slow' }),
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/,
    ],
    [
      'later over HTTP/1.0',
      () => post({ model: 'fixture-slow' }, '1.0'),
      /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{[^]*"text":"quick"\}$/,
    ],
    [
      'as events',
      () => post({ model: 'fixture-slow', stream: true }),
      /^HTTP\/1\.1 200 OK\r\n[^]*event: done\n/,
    ],
    [
      'as an error',
      () => post({ model: 'fixture-nothing' }),
      /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*"error":"upstream_error"/,
    ],
    ['as a refusal', () => post({}, '1.1', 'nonsense'), /^HTTP\/1\.1 401 Unauthorized\r\n/],
    [
      'twice, for two requests',
      () => post({ model: 'fixture-slow' }) + post({ model: 'fixture-quick' }),
      /^HTTP\/1\.1 200 OK\r\n[^]*"model":"fixture-slow"[^]*"text":"quick"\}HTTP\/1\.1 200 OK\r\n[^]*"text":"quick"\}$/,
    ],
  ];
  for (const [name, request, answer] of answers) {
    test(`gets its answer ${name}`, async () => {
      assert.match(await halfClosed(request()), answer);
    });
  }

  test('gets a 400 when the request is incomplete', async () => {
    assert.match(await halfClosed(post({}).slice(0, -3)), /^HTTP\/1\.1 400 /);
  });
});

describe('a client that closes its connection', () => {
  const ways: [name: string, stream: boolean, leave: (client: Client) => unknown][] = [
    ['ends its turn when it waited for a whole answer', false, ({ socket }) => socket.destroy()],
    ['ends its turn when it read events', true, ({ socket }) => socket.destroy()],
    [
      'ends its turn when it leaves after a while',
      false,
      async ({ socket, received }) => {
        socket.end();
        await eventually('it looks as if it waited', () => received().length > 1);
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
      client.socket.write(post({ model: 'fixture-hangs-in-the-middle', stream }));
      await eventually('its process runs', () => relay.children().length > 0);
      if (stream) await eventually('it has begun', () => client.received().includes('event: '));
      await leave(client);
      await eventually('no process is left', () => relay.children().length === 0);
      await eventually('it is recorded', () => turns() === before + 1);
    });
  }
});
