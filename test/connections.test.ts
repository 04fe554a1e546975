/** More connections than the system has files for: those that are of no use make room for those that ask. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { callRelay, parsedJson, textOf } from '../src/service/call.ts';
import { eventually, root, startTestRelay, type TestRelay } from './support/relay.ts';

const byModel = join(root, 'test/fixtures/cli/by-model.sh');

async function start(t: TestContext, fileLimit: number): Promise<TestRelay> {
  const relay = await startTestRelay({
    proof: false,
    claudeBin: byModel,
    fileLimit,
    settings: { ALLOWED_MODELS: 'opus,fixture-quick,fixture-slow' },
  });
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

/** Opens connections that stay open, whatever becomes of them, and sends `text` on each. */
async function hold(t: TestContext, relay: TestRelay, count: number, text = ''): Promise<Socket[]> {
  const { hostname, port } = new URL(relay.url);
  const sockets: Socket[] = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  for (let i = 0; i < count; i += 1) {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    if (text !== '') socket.write(text);
  }
  return sockets;
}

/** In tens, each of which the relay has read before the next. */
async function holdInTens(t: TestContext, relay: TestRelay, count: number, text: string): Promise<void> {
  for (let held = 0; held < count; held += 10) {
    await hold(t, relay, 10, text);
    // It comes after them.
    await textOf(await callRelay(`${relay.url}/health`));
  }
}

/** On a new connection: a client can lose a kept one in the moment in which it sends. */
async function works({ url, key }: TestRelay): Promise<void> {
  const body = { prompt: 'hi', model: 'fixture-quick' };
  const answer = await callRelay(`${url}/v1/complete`, { key, body });
  const text = await textOf(answer);
  assert.equal(answer.statusCode, 200, text);
  assert.equal((parsedJson(text) as { text: string }).text, 'quick');
}

describe('connections', { concurrency: 3 }, () => {
  for (const [fileLimit, count] of [
    [1024, 1200],
    [256, 300],
  ] as const) {
    test(`${count} idle connections under a limit of ${fileLimit} files leave completions working`, async (t) => {
      const relay = await start(t, fileLimit);
      const sockets = await hold(t, relay, count);
      await works(relay);
      const most = Number(/"connections":(\d+),"msg":"listening"/.exec(relay.output().stdout)?.[1]);
      assert.ok(most > fileLimit / 4 && most < fileLimit, `at most ${most} connections`);
      await eventually('the oldest made room', () =>
        sockets.slice(0, count - most).every(({ closed }) => closed),
      );
      assert.ok(
        sockets.slice(-most + 20).every(({ closed }) => !closed),
        'the newest are open',
      );
      // Again, when it has been at its limit for a while.
      await hold(t, relay, count);
      await works(relay);
    });
  }

  test('slow requests make room for others, and neither an answer under way nor a kept connection ends', async (t) => {
    const relay = await start(t, 280);
    const running = relay.complete({ prompt: 'hi', model: 'fixture-slow' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const models = (): Promise<boolean> =>
      new Promise((resolve, reject) => {
        const headers = { 'x-api-key': relay.key };
        const asked = request(`${relay.url}/v1/models`, { agent, headers }, (response) => {
          response.resume().on('end', () => resolve(asked.reusedSocket));
        });
        asked.on('error', reject).end();
      });
    assert.equal(await models(), false);
    const head = `POST /v1/complete HTTP/1.1\r\nhost: x\r\nx-api-key: ${relay.key}\r\ncontent-type: application/json\r\n`;
    await holdInTens(t, relay, 60, `${head}content-length: 1000\r\n\r\n{"prompt":"`);
    await holdInTens(t, relay, 60, head);
    await holdInTens(t, relay, 60, 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal(await models(), true, 'the connection of a key was kept');
    await works(relay);
    assert.equal((await running).body['text'], 'quick');
    // Its request comes later than its connection.
    const [late] = await hold(t, relay, 1);
    await holdInTens(t, relay, 90, `${head}content-length: 1000\r\n\r\n{"prompt":"`);
    late?.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.match(String(await once(late ?? relay.process, 'data')), /^HTTP\/1\.1 200 /);
    // More of them than there may be connections: the oldest goes, although it has shown a key.
    const bodies = await hold(t, relay, 150, `${head}content-length: 1000\r\n\r\n{"prompt":"`);
    await eventually('the first makes room', () => bodies[0]?.closed === true);
    await works(relay);
  });
});
