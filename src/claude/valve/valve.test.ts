/** The valve, with real sockets: a played process on one side, an API of raw bytes on the other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPlay, type Play } from '../../../test/support/played-child.ts';
import { eventually } from '../../../test/support/relay.ts';

const established = 'HTTP/1.1 200 Connection established\r\n\r\n';
const request = 'r'.repeat(64);
const alert = 'a'.repeat(31);
/** What must not happen would have happened by then. */
const settledMs = 100;

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function play(options?: Parameters<typeof startPlay>[0]): Promise<Play & { held: () => number }> {
  const played = await startPlay(options);
  open.push(() => played.close());
  let held = 0;
  played.valve.onHeld = () => (held += 1);
  return { ...played, held: () => held };
}

/** Writes until the other side takes no more; resolves to the number of bytes that it took. */
async function flood(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(64 * 1024, 'f');
  let isStuck = false;
  while (!isStuck) {
    if (socket.write(chunk)) continue;
    isStuck = await Promise.race([
      once(socket, 'drain').then(() => false),
      sleep(2 * settledMs).then(() => true),
    ]);
  }
  return socket.bytesWritten - socket.writableLength;
}

/** More than the system keeps for two connections. */
const floodBytes = 64 * 1024 * 1024;

test('bytes pass in both directions while the valve is open', async () => {
  const { tunnel, valve, api } = await play({ answer: (socket) => void socket.pipe(socket) });
  const { socket, text } = await tunnel();
  socket.write(request);
  await eventually('the answer', () => text() === established + request);
  assert.equal(valve.passedBytes, request.length);
  assert.equal(valve.wentOut, 1);
  assert.equal(api.lines[0]?.text(), request);
});

test('bytes are held while the valve is shut, and pass in order when it is opened', async () => {
  const { tunnel, valve, api, held } = await play();
  const { socket } = await tunnel();
  socket.write('first');
  await eventually('the first bytes', () => api.lines[0]?.text() === 'first');
  valve.shut();
  const parts = Array.from({ length: 200 }, (_, index) => `${index} `);
  for (const part of parts) {
    socket.write(part);
    if (Number(part) < 20) await sleep(1);
  }
  await eventually('a request is held', () => valve.heldBytes >= 64);
  await sleep(settledMs);
  assert.equal(api.lines[0]?.text(), 'first');
  assert.equal(held(), 1);
  valve.open();
  assert.equal(valve.heldBytes, 0);
  await eventually('all bytes', () => api.lines[0]?.text() === `first${parts.join('')}`);
  assert.equal(valve.passedBytes, parts.join('').length);
});

test('64 bytes are a request, and 63 are not', async () => {
  const { tunnel, valve, api, held } = await play();
  const { socket } = await tunnel();
  valve.shut();
  for (let bytes = 1; bytes <= 63; bytes += 1) {
    socket.write('x');
    await eventually('one byte more is held', () => valve.heldBytes === bytes);
  }
  assert.equal(held(), 0);
  socket.write('x');
  await eventually('the request is held', () => held() === 1);
  socket.write('x'.repeat(1000));
  await sleep(settledMs);
  assert.equal(held(), 1);
  assert.equal(api.lines[0]?.text(), '');
});

test('an alert that ends a connection is no request, and ends it while the valve is shut', async () => {
  const { tunnel, valve, api, held } = await play();
  const { socket, text } = await tunnel();
  const other = await tunnel();
  valve.shut();
  socket.end(alert);
  await once(socket, 'close');
  await eventually('the connection to the API has ended', () => api.lines[0]?.socket.readableEnded === true);
  assert.equal(text(), established);
  assert.equal(api.lines[0]?.text(), '');
  assert.equal(valve.heldBytes, 0);
  assert.equal(held(), 0);
  assert.equal(other.socket.readyState, 'open');
});

test('what was held stays counted when its connection is gone', async () => {
  const { tunnel, valve } = await play();
  const { socket } = await tunnel();
  valve.shut();
  socket.write(request);
  await eventually('the request is held', () => valve.heldBytes === 64);
  socket.resetAndDestroy();
  await sleep(settledMs);
  assert.equal(valve.heldBytes, 64);
});

test('a request that waits for a slow API when the valve is shut is held and counted', async () => {
  const { tunnel, valve, api, held } = await play({ answer: (socket) => void socket.pause() });
  const { socket } = await tunnel();
  await flood(socket);
  assert.equal(held(), 0);
  valve.shut();
  assert.equal(held(), 1);
  api.lines[0]?.socket.resume();
  await sleep(settledMs);
  const passed = valve.passedBytes;
  await sleep(settledMs);
  assert.equal(valve.passedBytes, passed);
});

describe('a new connection while the valve is shut', () => {
  test('waits, is a request, and is connected when the valve is opened', async () => {
    const { tunnel, valve, api, held } = await play();
    valve.shut();
    const tunnelled = tunnel();
    await eventually('it is held', () => held() === 1);
    await sleep(settledMs);
    assert.equal(api.lines.length, 0);
    valve.open();
    assert.equal((await tunnelled).text(), established);
  });

  test('is forgotten when the process closes it', async () => {
    const { dial, credentials, place, valve, api, held } = await play();
    for (const close of ['end', 'destroy', 'resetAndDestroy'] as const) {
      valve.shut();
      const { socket } = await dial();
      const before = held();
      socket.write(`CONNECT ${place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n`);
      await eventually('it is held', () => held() === before + 1);
      socket[close]();
      await eventually('it is closed', () => socket.closed);
      await sleep(20);
      valve.open();
      await sleep(settledMs);
      assert.equal(api.lines.length, 0, close);
    }
    assert.equal(valve.isQuiet, true);
  });

  test('waits longer when the valve is opened and shut at once', async () => {
    const { tunnel, valve, api, held } = await play();
    valve.shut();
    const tunnelled = tunnel();
    await eventually('it is held', () => held() === 1);
    valve.open();
    valve.shut();
    await eventually('it is held again', () => held() === 2);
    assert.equal(api.lines.length, 0);
    valve.open();
    assert.equal((await tunnelled).text(), established);
  });

  test('gets 503 when the valve is cut', async () => {
    const { dial, credentials, place, valve, held } = await play();
    valve.shut();
    const { socket } = await dial();
    socket.write(`CONNECT ${place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n`);
    await eventually('it is held', () => held() === 1);
    valve.cut();
    await eventually('it is closed', () => socket.readableEnded || socket.closed);
  });
});

test('bytes that come while the valve opens and shuts are held', async () => {
  const { tunnel, valve, api } = await play();
  const { socket } = await tunnel();
  valve.shut();
  for (let round = 0; round < 50; round += 1) {
    const before = valve.passedBytes;
    socket.write(request);
    await sleep(round % 3);
    valve.shut();
    await sleep(1);
    assert.equal(valve.passedBytes, before);
    valve.open();
    await eventually('it passes', () => valve.passedBytes === request.length);
    valve.shut();
  }
  await eventually('all bytes', () => api.lines[0]?.text() === request.repeat(50));
});

describe('a process that floods', () => {
  test('is paused while the valve is shut, with little memory', async () => {
    const { tunnel, valve } = await play();
    const { socket } = await tunnel();
    valve.shut();
    assert.ok((await flood(socket)) < floodBytes);
    assert.ok(valve.heldBytes <= 128 * 1024, String(valve.heldBytes));
  });

  test('is paused while the API does not read', async () => {
    const { tunnel } = await play({ answer: (socket) => void socket.pause() });
    const { socket } = await tunnel();
    assert.ok((await flood(socket)) < floodBytes);
  });

  test('opens no more than 32 connections at once', async () => {
    const { tunnel, api } = await play({ answer: (socket) => socket.on('end', () => socket.end()) });
    const lines = await Promise.all(Array.from({ length: 100 }, () => tunnel()));
    const refused = lines.filter(({ text }) => text().startsWith('HTTP/1.1 503 '));
    assert.equal(refused.length, 68);
    assert.equal(api.lines.length, 32);
    for (const { socket } of lines) socket.destroy();
    await eventually('the connections have ended', () =>
      api.lines.every(({ socket }) => socket.readableEnded),
    );
    assert.equal((await tunnel()).text(), established);
  });
});

test('an API that floods is paused while the process does not read', async () => {
  const { tunnel, api } = await play();
  const { socket } = await tunnel();
  socket.pause();
  const line = api.lines[0] as Play['api']['lines'][number];
  assert.ok((await flood(line.socket)) < floodBytes);
});

describe('the end of one direction', () => {
  test('from the process is passed on, and the answer comes back whole', async () => {
    const { tunnel } = await play({
      answer: (socket) => socket.on('end', () => setTimeout(() => socket.end('answer'), 50)),
    });
    const { socket, text } = await tunnel();
    socket.end(request);
    await once(socket, 'close');
    assert.equal(text(), `${established}answer`);
  });

  test('from the API is passed on after the whole answer, also to a process that reads slowly', async () => {
    const answer = 'x'.repeat(20_000_000);
    const { tunnel, api } = await play({ answer: (socket) => socket.on('data', () => socket.end(answer)) });
    const { socket, text } = await tunnel();
    socket.write(request);
    socket.pause();
    await sleep(3 * settledMs);
    socket.resume();
    await once(socket, 'end');
    assert.equal(text().length, established.length + answer.length);
    socket.end();
    await eventually('both ends are closed', () => socket.closed && api.lines[0]?.socket.closed === true);
  });

  test('ends the connection to the API when the process resets its own', async () => {
    const { tunnel, api } = await play();
    const { socket } = await tunnel();
    socket.resetAndDestroy();
    await eventually('it has ended', () => api.lines[0]?.socket.readableEnded === true);
  });

  test('ends the connection of the process when the API resets its own', async () => {
    const { tunnel, api } = await play();
    const { socket } = await tunnel();
    api.lines[0]?.socket.resetAndDestroy();
    await eventually('it has ended', () => socket.readableEnded);
  });
});

describe('a valve that is cut', () => {
  test('ends every connection at once and for good', async () => {
    const { tunnel, valve, api } = await play();
    const lines = [await tunnel(), await tunnel()];
    valve.cut();
    for (const { socket } of lines)
      await eventually('it is closed', () => socket.readableEnded || socket.closed);
    for (const { socket } of api.lines) await eventually('it has ended', () => socket.readableEnded);
    valve.open();
    assert.match((await tunnel()).text(), /^HTTP\/1\.1 503 /);
    assert.equal(api.lines.length, 2);
  });

  test('passes nothing that was held', async () => {
    const { tunnel, valve, api } = await play();
    const { socket } = await tunnel();
    valve.shut();
    socket.write(request);
    await eventually('the request is held', () => valve.heldBytes === 64);
    valve.cut();
    valve.open();
    await eventually('the connection has ended', () => api.lines[0]?.socket.readableEnded === true);
    assert.equal(api.lines[0]?.text(), '');
  });

  test('ends a connection that is being made', async () => {
    const never = await startPlay();
    open.push(() => never.close());
    // A host proxy that says nothing.
    const { dial, credentials, valve, place } = await play({
      env: () => ({ HTTPS_PROXY: `http://${never.place}` }),
    });
    const { socket } = await dial();
    socket.write(`CONNECT ${place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n`);
    await eventually('the host proxy is asked', () => never.api.lines.length === 1);
    assert.equal(valve.isQuiet, false);
    valve.cut();
    await eventually('the attempt has ended', () => never.api.lines[0]?.socket.readableEnded === true);
    await eventually('nothing is being made', () => valve.isQuiet);
    assert.equal(valve.wentOut, 0);
  });

  test('ends a connection whose answer nobody reads', async () => {
    const { tunnel, valve, api } = await play();
    const { socket } = await tunnel();
    socket.pause();
    const line = api.lines[0] as Play['api']['lines'][number];
    await flood(line.socket);
    line.socket.end();
    valve.cut();
    socket.resume();
    await eventually('it is closed', () => socket.readableEnded || socket.closed);
  });
});

describe('a valve that refuses', () => {
  test('answers a new connection with 503', async () => {
    const { tunnel, valve, api } = await play();
    valve.refuse();
    assert.match((await tunnel()).text(), /^HTTP\/1\.1 503 /);
    assert.equal(valve.refused, 1);
    assert.equal(api.lines.length, 0);
    valve.open();
    assert.equal((await tunnel()).text(), established);
  });

  test('ends an old connection that sends a request, and no other', async () => {
    const { tunnel, valve, api } = await play();
    const [old, silent] = [await tunnel(), await tunnel()];
    valve.refuse();
    old.socket.write(request);
    await eventually('it has ended', () => old.socket.readableEnded);
    assert.equal(valve.refused, 1);
    assert.equal(silent.socket.readyState, 'open');
    api.lines[1]?.socket.write('late answer');
    await eventually('a late answer passes', () => silent.text().endsWith('late answer'));
    assert.equal(api.lines[0]?.text(), '');
  });
});

test('a valve is quiet when no connection waits for an answer, and none has just moved', async () => {
  const { tunnel, valve, api } = await play();
  assert.equal(valve.isQuiet, true);
  const { socket } = await tunnel();
  assert.equal(valve.isQuiet, false, 'a connection without a request yet');
  await eventually('it is quiet', () => valve.isQuiet);
  socket.write(request);
  await sleep(700);
  assert.equal(valve.isQuiet, false, 'a request without an answer yet');
  api.lines[0]?.socket.write('answer');
  await eventually('it is quiet', () => valve.isQuiet);
});

test('a valve that hangs up ends its connections, and lets a later one through', async () => {
  const { tunnel, valve, api } = await play();
  const { socket } = await tunnel();
  socket.write(request);
  await eventually('the request', () => api.lines[0]?.text() === request);
  valve.shut();
  valve.hangUp();
  await eventually('the process hears of it', () => socket.readableEnded);
  await eventually('the API hears of it', () => api.lines[0]?.socket.readableEnded === true);
  valve.open();
  (await tunnel()).socket.write(request);
  await eventually('a new connection', () => api.lines[1]?.text() === request);
  assert.equal(valve.heldBytes, 0);
});

/** Prints the beginning of an answer and then asks again, each time that it reads a byte. */
const asksAgain = `
  const { writeSync } = require('node:fs');
  const socket = require('node:net').connect(+process.argv[1], '127.0.0.1');
  const busy = (ms) => { for (const until = performance.now() + ms; performance.now() < until;); };
  socket.write(process.argv[2]);
  socket.once('data', () => writeSync(1, 'ready\\n'));
  process.stdin.on('data', () => {
    socket.write('.');
    busy(Math.random());
    writeSync(1, 'message_start\\n');
    socket.write('${request}');
  });
`;

test('a request that a process sends after it has printed is held by what it printed, in a busy relay', async () => {
  const { valve, api, proxy, place, credentials, held } = await play();
  const connect = `CONNECT ${place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n`;
  const child = spawn(process.execPath, ['-e', asksAgain, String(proxy.port), connect]);
  open.push(() => void child.kill());
  let rounds = -1;
  createInterface(child.stdout).on('line', (line) => {
    rounds += 1;
    if (line === 'message_start') valve.shut();
  });
  await eventually('the process is ready', () => rounds === 0);
  const busy = setInterval(() => {
    for (const until = performance.now() + 3 * Math.random(); performance.now() < until;);
  }, 1);
  open.push(() => clearInterval(busy));
  for (let round = 1; round <= 300; round += 1) {
    valve.open();
    while (api.lines[0]?.text().length !== (round - 1) * 65) await sleep(1);
    child.stdin.write('x');
    while (held() < round) await sleep(1);
    assert.equal(rounds, round);
    assert.ok((api.lines[0]?.text().length ?? 0) <= (round - 1) * 65 + 1, `round ${round}`);
  }
});

test('200 connections leave no socket behind', async () => {
  const { tunnel, valve, api } = await play({ answer: (socket) => void socket.pipe(socket) });
  const sockets = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = sockets();
  for (let round = 0; round < 10; round += 1) {
    const lines = await Promise.all(Array.from({ length: 20 }, () => tunnel()));
    for (const [index, { socket }] of lines.entries()) {
      socket.write(request);
      if (index % 4 === 0) socket.destroy();
      else if (index % 4 === 1) socket.end();
      else if (index % 4 === 2) socket.resetAndDestroy();
      else api.lines.at(-1 - index)?.socket.destroy();
    }
    await sleep(10);
    for (const { socket } of lines) socket.destroy();
  }
  await eventually('no socket is left', () => sockets() <= before);
  await eventually('the valve is quiet', () => valve.isQuiet);
});
