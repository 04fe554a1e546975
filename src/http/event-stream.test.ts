import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as round } from 'node:timers/promises';
import { native } from '../dialects/native.ts';
import { maxUnreadBytes, openEventStream } from './event-stream.ts';
import { openExchange, type Exchange } from './exchange.ts';
import { defaultTimes } from './times.ts';

const { pingAfterMs, maxUnreadMs } = defaultTimes;

type Pair = { outgoing: ServerResponse; client: Socket; exchange: Exchange; received: () => string };

/** A real connection, and a clock that only the test moves. */
async function pair(t: TestContext, { halfOpen = false } = {}): Promise<Pair> {
  const server = createServer();
  Object.assign(server, { httpAllowHalfOpen: halfOpen });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let received = '';
  client.setEncoding('utf8').on('data', (text: string) => (received += text));
  client.on('error', () => {});
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [, outgoing] = (await once(server, 'request')) as [unknown, ServerResponse];
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const exchange = openExchange({ route: { path: '/' }, errorFormat: native, outgoing });
  return { outgoing, client, exchange, received: () => received };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await round();
}

/** Fills what lies between the relay and a client that does not read, until none of it moves any more. */
async function fill(outgoing: ServerResponse, send: (text: string) => void): Promise<void> {
  for (let still = 0; still < 50;) {
    still = outgoing.writableNeedDrain ? still + 1 : 0;
    if (still === 0) send('x'.repeat(65_536));
    await round();
  }
}

test('an event stream sends nothing before the first event, and pings in silence', async (t) => {
  const { outgoing, exchange, received } = await pair(t);
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  stream.send('');
  await round();
  assert.deepEqual([stream.begun, outgoing.headersSent, received()], [false, false, '']);
  stream.send('event: a\n\n');
  await until(() => received().includes('event: a'));
  assert.match(received(), /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream/);
  assert.ok(stream.begun);

  t.mock.timers.tick(pingAfterMs - 1);
  stream.send('event: b\n\n');
  t.mock.timers.tick(pingAfterMs - 1);
  await until(() => received().includes('event: b'));
  assert.doesNotMatch(received(), /: ping/, 'an event is as good as a ping');
  t.mock.timers.tick(1);
  await until(() => received().includes(': ping'));
  t.mock.timers.tick(pingAfterMs);
  await until(() => (received().match(/: ping/g) ?? []).length === 2);
  await stream.end();
  t.mock.timers.tick(10 * pingAfterMs);
  await until(() => received().endsWith('0\r\n\r\n'));
  const events = ['event: a\n\n', 'event: b\n\n', ': ping\n\n', ': ping\n\n'].join('');
  assert.equal(exchange.bytesOut, events.length);
});

test('a stream of JSON lines sends no ping, because the lines have no comment', async (t) => {
  const { outgoing, exchange, received } = await pair(t);
  Object.assign(exchange, { errorFormat: { ...native, streamForm: 'lines' } });
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  t.mock.timers.tick(10 * pingAfterMs);
  assert.equal(stream.begun, false);
  stream.send('{}\n');
  t.mock.timers.tick(10 * pingAfterMs);
  await stream.end();
  await until(() => received().endsWith('0\r\n\r\n'));
  assert.match(received(), /^HTTP\/1\.1 200 OK\r\ncontent-type: application\/x-ndjson\r\n/);
  assert.equal(exchange.bytesOut, 3);
});

test('a stream of JSON lines sends a space, which JSON allows, to a client that has closed its side', async (t) => {
  const { outgoing, client, exchange, received } = await pair(t, { halfOpen: true });
  Object.assign(exchange, { errorFormat: { ...native, streamForm: 'lines' } });
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  stream.send('{"a":1}\n');
  client.end();
  await until(() => exchange.bytesOut === 9);
  t.mock.timers.tick(1);
  stream.send('{"b":2}\n');
  await stream.end();
  await until(() => received().endsWith('0\r\n\r\n'));
  const [, body = ''] = received().split('\r\n\r\n');
  const chunks = body.split('\r\n').filter((_line, index) => index % 2 === 1);
  assert.deepEqual(chunks, ['{"a":1}\n', ' ', ' ', '{"b":2}\n']);
});

test('the time until the first ping begins at the request’s arrival', async (t) => {
  const { outgoing, exchange, received } = await pair(t);
  Object.assign(exchange, { startedAt: exchange.startedAt - 2000 });
  openEventStream(exchange, outgoing, defaultTimes);
  t.mock.timers.tick(pingAfterMs - 2000);
  await until(() => received().includes(': ping'));
});

test('a forgotten event stream writes nothing', async (t) => {
  const { outgoing, exchange, received } = await pair(t);
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  stream.forget();
  t.mock.timers.tick(10 * pingAfterMs);
  outgoing.writeHead(503).end('no');
  await until(() => received().includes('no'));
  assert.doesNotMatch(received(), /ping|event-stream/);
});

test('a client that reads again gets the rest; a client that does not is dropped after a while', async (t) => {
  const { outgoing, client, exchange } = await pair(t);
  client.pause();
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  await fill(outgoing, stream.send);
  assert.ok(!outgoing.destroyed);
  const room = stream.room();
  t.mock.timers.tick(maxUnreadMs - 1);
  client.resume();
  await room;
  t.mock.timers.tick(2);
  assert.ok(!outgoing.destroyed, 'it has read');
  client.pause();
  await fill(outgoing, stream.send);
  const before = exchange.bytesOut;
  t.mock.timers.tick(maxUnreadMs - 1);
  assert.equal(exchange.bytesOut, before, 'no ping is added to unread events');
  assert.ok(!outgoing.destroyed);
  t.mock.timers.tick(1);
  assert.ok(outgoing.destroyed);
  await stream.room();
  await stream.end();
  stream.send('more');
  assert.equal(exchange.bytesOut, before);
});

test('a client that leaves too much unread is dropped at once', async (t) => {
  const { outgoing, client, exchange } = await pair(t);
  client.pause();
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  await fill(outgoing, stream.send);
  for (let sent = 0; sent <= maxUnreadBytes; sent += 65_536) stream.send('x'.repeat(65_536));
  assert.ok(outgoing.destroyed);
  await stream.end();
});

test('an event of any size, and the events after it, reach a client that reads', async (t) => {
  const { outgoing, exchange, received } = await pair(t);
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  const large = 8 * maxUnreadBytes;
  stream.send('x'.repeat(large));
  stream.send('event: last\n\n');
  assert.ok(!outgoing.destroyed);
  await stream.end();
  await until(() => received().endsWith('0\r\n\r\n'));
  assert.ok(received().length > large && received().includes('event: last'));
});

test('the end of a stream waits for the client for a limited time', async (t) => {
  const { outgoing, client, exchange } = await pair(t);
  client.pause();
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  await fill(outgoing, stream.send);
  let ended = false;
  const end = stream.end().then(() => (ended = true));
  await round();
  assert.ok(!ended);
  t.mock.timers.tick(maxUnreadMs);
  await end;
  assert.ok(outgoing.destroyed && !outgoing.writableFinished);
});

test('a client that is already gone is sent nothing', async (t) => {
  const { outgoing, client, exchange } = await pair(t);
  client.destroy();
  await once(outgoing, 'close');
  const stream = openEventStream(exchange, outgoing, defaultTimes);
  t.mock.timers.tick(10 * pingAfterMs);
  stream.send('x');
  await stream.end();
  assert.deepEqual([stream.begun, exchange.bytesOut], [false, 0]);
});
