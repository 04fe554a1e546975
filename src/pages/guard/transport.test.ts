import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';

import { assertPinned, dial, send } from './transport.ts';

const limits = { headerBytes: 16_384, wireBytes: 1_000_000, silenceMs: 5000 };
const target = {
  url: '',
  origin: 'http://site.com',
  path: '/x',
  secure: false,
  host: 'site.com',
  literal: false,
  port: 80,
};

test('a socket connected to another address is destroyed before anything is written', () => {
  let destroyed = 0;
  const socket = (remoteAddress: string) => ({
    remoteAddress,
    destroy() {
      destroyed += 1;
      return this as never;
    },
  });
  assertPinned(socket('2606:4700::1111'), '2606:4700:0:0:0:0:0:1111');
  assertPinned(socket('93.184.216.34'), '93.184.216.34');
  assert.equal(destroyed, 0);
  for (const elsewhere of ['127.0.0.1', '::ffff:93.184.216.34', '']) {
    assert.throws(() => assertPinned(socket(elsewhere), '93.184.216.34'), { code: 'connect_error' });
  }
  assert.equal(destroyed, 3);
});

test('send sends one request over the dialled socket and closes it', async () => {
  const requests: string[] = [];
  const server = createServer((socket) => {
    socket.once('data', (data) => {
      requests.push(data.toString('latin1'));
      socket.end('HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const signal = new AbortController().signal;
  try {
    const socket = await dial(['127.0.0.1'], port, 5000, signal);
    const body = await send(socket, target, { headers: { 'x-a': 'b' } }, limits, signal, async (reply) => {
      let text = '';
      for await (const chunk of reply.body) text += String(chunk);
      return text;
    });
    assert.equal(body, 'ok');
    assert.ok(socket.destroyed);
    assert.deepEqual(requests, ['GET /x HTTP/1.1\r\nhost: site.com\r\nconnection: close\r\nx-a: b\r\n\r\n']);
  } finally {
    server.close();
  }
});

test('an aborted dial rejects with the signal’s reason', async () => {
  const gone = new AbortController();
  gone.abort(new Error('gone'));
  await assert.rejects(dial(['127.0.0.1'], 9, 5000, gone.signal), /gone/);
});

test('a signal that aborts while the socket of an unread reply closes has no effect', async () => {
  const server = createServer((socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok'));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const caller = new AbortController();
  const socket = await dial(['127.0.0.1'], port, 5000, caller.signal);
  assert.equal(
    await send(socket, target, { headers: {} }, limits, caller.signal, async ({ status }) => status),
    200,
  );
  caller.abort();
  await new Promise((resolve) => socket.once('close', resolve));
  server.close();
});
