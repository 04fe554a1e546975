/** Work that ends early: the relay is stopped, or the client leaves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Reply } from './support/failing-model.ts';
import { startInProcess } from './support/in-process.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import {
  clis,
  eventually,
  ledgerRow,
  newest,
  processTable,
  query,
  root,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
} from './support/relay.ts';

const byModel = join(root, 'test/fixtures/cli/by-model.sh');
const hang: Reply = { kind: 'hang', after: 'accept' };

async function start(t: TestContext, options: TestRelayOptions): Promise<TestRelay> {
  const relay = await startTestRelay(options);
  t.after(() => relay.stop('SIGKILL'));
  return relay;
}

/** A reply that waits for the test's word. */
function gate(): { reply: () => Promise<Reply>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  return { reply: () => promise, open: () => resolve({ kind: 'text', text: 'in time' }) };
}

/** The relay's exit code, once it has exited. */
async function exit(relay: TestRelay): Promise<number | null> {
  if (relay.process.exitCode === null) await once(relay.process, 'exit');
  return relay.process.exitCode;
}

async function refusal(response: Response): Promise<{ status: number; error: unknown }> {
  return { status: response.status, error: ((await response.json()) as Record<string, unknown>)['error'] };
}

function alive(pids: readonly number[]): number[] {
  return processTable()
    .filter((row) => pids.includes(row.pid) && row.state !== 'Z')
    .map((row) => row.pid);
}

describe('stopping the relay', { concurrency: 3 }, () => {
  for (const cli of clis) {
    test(`SIGTERM answers running and queued requests and refuses new ones on ${cli.version}`, async (t) => {
      const { reply, open } = gate();
      const relay = await start(t, {
        claudeBin: cli.path,
        reply,
        settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '1', DRAIN_TIMEOUT: '60' },
      });
      const running = relay.complete({ prompt: 'runs' });
      await eventually('the model is asked', () => relay.model.requests.length === 1);
      const queued = relay.post({ prompt: 'waits' });
      await eventually(
        'the queue is full',
        async () => (await relay.post({ prompt: 'third' })).status === 429,
      );
      const pids = relay.children();
      assert.ok(pids.length > 0);

      relay.process.kill('SIGTERM');
      await eventually('it drains', async () => {
        const ready = await fetch(`${relay.url}/ready`);
        return ready.status === 503 && /"accepting","ok":false/.test(await ready.text());
      });
      assert.equal((await fetch(`${relay.url}/health`)).status, 200);
      assert.deepEqual(await refusal(await relay.post({ prompt: 'late' })), {
        status: 503,
        error: 'shutting_down',
      });

      const exited = exit(relay);
      open();
      const answer = await running;
      assert.equal(answer.body['text'], 'in time', JSON.stringify(answer.body));
      const second = (await (await queued).json()) as Record<string, unknown>;
      assert.equal(second['text'], 'in time', JSON.stringify(second));
      assert.equal(await exited, 0);
      assert.deepEqual(alive(pids), []);
      assert.equal(relay.model.requests.length, 2);
      // The three of them are in the record, which is closed last.
      const rows = query(relay, 'SELECT status FROM requests WHERE status <> 429 ORDER BY status');
      assert.deepEqual(
        rows.map((row) => row['status']),
        [200, 200, 503],
      );
    });
  }

  test('DRAIN_TIMEOUT ends requests that take longer', async (t) => {
    const relay = await start(t, {
      proof: false,
      reply: () => hang,
      settings: { DRAIN_TIMEOUT: '1', GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '1' },
    });
    const running = relay.post({ prompt: 'hi' });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    const queued = relay.post({ prompt: 'waits' });
    await eventually('it waits', async () => (await relay.post({ prompt: 'third' })).status === 429);
    const pids = relay.children();
    relay.process.kill('SIGTERM');
    const exited = exit(relay);
    for (const ended of [running, queued]) {
      assert.deepEqual(await refusal(await ended), { status: 503, error: 'shutting_down' });
    }
    assert.equal(relay.model.requests.length, 1);
    assert.equal(await exited, 0);
    assert.deepEqual(alive(pids), []);
  });

  test('a second SIGINT ends running requests at once', async (t) => {
    const relay = await start(t, { reply: () => hang, settings: { DRAIN_TIMEOUT: '120' } });
    const running = relay.post({ prompt: 'hi' });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    const pids = relay.children();
    relay.process.kill('SIGINT');
    await eventually('it drains', async () => (await fetch(`${relay.url}/ready`)).status === 503);
    const exited = exit(relay);
    relay.process.kill('SIGINT');
    assert.deepEqual(await refusal(await running), { status: 503, error: 'shutting_down' });
    assert.equal(await exited, 0);
    assert.deepEqual(alive(pids), []);
  });

  test('SIGTERM while the lock is being proved leaves no process', async (t) => {
    // Minting a key takes as long as the proof.
    const relay = await start(t, { until: 'listening', key: 'none' });
    await eventually('the proof runs', () => relay.children().length > 0);
    const pids = relay.children();
    relay.process.kill('SIGTERM');
    assert.equal(await exit(relay), 0);
    assert.deepEqual(alive(pids), []);
  });

  const moments = [
    ['SIGTERM', ['serve'], 'while it asks for the login', /^relay-\d+-/],
    ['SIGINT', ['serve', '--demo'], 'while the demo proves the lock', /^relay-\d+-canary-/],
    // The terminal was closed.
    ['SIGHUP', ['serve'], 'while it proves the lock', /^relay-\d+-canary-/],
  ] as const;
  for (const [signal, args, moment, sign] of moments) {
    test(`${signal} ${moment} leaves no process and no directory`, async (t) => {
      const scratch = mkdtempSync(join(tmpdir(), 'relay-test-'));
      t.after(() => rmSync(scratch, { recursive: true, force: true }));
      const child = spawn(join(root, 'bin/claude-relay'), ['--config', join(scratch, 'none'), ...args], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          HOME: scratch,
          PATH: process.env['PATH'],
          TMPDIR: scratch,
          DATA_DIR: join(scratch, 'data'),
          CLAUDE_BIN: newest,
          PORT: '0',
          ANTHROPIC_API_KEY: 'sk-ant-stub',
        },
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      const exited = once(child, 'close');
      const left = (): string[] => readdirSync(scratch).filter((name) => name.startsWith('relay-'));
      await eventually('the moment has come', () => left().some((name) => sign.test(name)));
      child.kill(signal);
      assert.deepEqual(await exited, [0, null], stderr);
      assert.deepEqual(left(), []);
      assert.deepEqual(startedUnder(scratch), []);
    });
  }
});

/** Processes whose environment names the directory. */
function startedUnder(directory: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/environ`, 'utf8').includes(directory);
    } catch {
      return false;
    }
  });
}

/** Sends a request over a separate socket, and reads nothing from it. */
async function send(relay: Pick<TestRelay, 'url' | 'key'>, body: object): Promise<Socket> {
  const text = JSON.stringify(body);
  const { hostname, port } = new URL(relay.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => {});
  socket.pause();
  await once(socket, 'connect');
  socket.write(
    `POST /v1/complete HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${relay.key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}

async function onlyRow(relay: TestRelay): Promise<Record<string, unknown>> {
  await eventually('a row', () => query(relay, "SELECT 1 FROM requests WHERE route = 'complete'").length > 0);
  const [row] = query(relay, "SELECT request_id FROM requests WHERE route = 'complete' ORDER BY id DESC");
  return ledgerRow(relay, String(row?.['request_id']));
}

describe('a client that leaves', { concurrency: 3 }, () => {
  for (const cli of clis) {
    test(`ends the process of its request and frees the slot on ${cli.version}`, async (t) => {
      let reply: Reply = hang;
      const relay = await start(t, {
        proof: false,
        claudeBin: cli.path,
        reply: () => reply,
        settings: { GLOBAL_CONCURRENCY: '1' },
      });
      const socket = await send(relay, { prompt: 'hi' });
      await eventually('the model is asked', () => relay.model.requests.length > 0);
      assert.ok(relay.children().length > 0);
      socket.destroy();
      await eventually('its process is gone', () => relay.children().length === 0);

      const row = await onlyRow(relay);
      assert.deepEqual([row['client_gone'], row['error'], row['status']], [1, 'client_closed_request', 0]);
      reply = { kind: 'text', text: 'free' };
      const next = await relay.complete({ prompt: 'hi' });
      assert.equal(next.body['text'], 'free', JSON.stringify(next.body));
    });
  }

  test('a client that leaves the queue frees its place and is not logged as a defect', async (t) => {
    const answer = Promise.withResolvers<ScriptedReply>();
    const relay = await startInProcess({
      reply: () => answer.promise,
      settings: { GLOBAL_CONCURRENCY: '1', QUEUE_MAX: '1' },
      overrides: { times: { pingAfterMs: 50 } },
    });
    t.after(() => relay.stop());
    const first = relay.complete({ prompt: 'runs' });
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    /** A ping shows that a request waits. */
    const waitInQueue = async (): Promise<{ socket: Socket; received: () => string }> => {
      const socket = await send(relay, { prompt: 'waits', stream: true });
      let received = '';
      socket
        .setEncoding('utf8')
        .on('data', (text: string) => (received += text))
        .resume();
      await eventually('a ping', () => received.includes(': ping'));
      return { socket, received: () => received };
    };
    const waiting = await waitInQueue();
    assert.equal((await relay.post({ prompt: 'third' })).status, 429);
    waiting.socket.destroy();
    await eventually(
      'the row of the one that left',
      () => query(relay, 'SELECT 1 FROM requests WHERE client_gone = 1').length === 1,
    );
    const [row] = query(relay, 'SELECT * FROM requests WHERE client_gone = 1');
    assert.deepEqual([row?.['error'], row?.['status']], ['client_closed_request', 0]);
    assert.doesNotMatch(relay.log(), /"internal"|"defect"/);
    const next = await waitInQueue();
    answer.resolve({ kind: 'text', text: 'in time' });
    assert.equal((await first).status, 200);
    await eventually('the answer of the one that took its place', () =>
      next.received().includes('event: done'),
    );
    next.socket.destroy();
    assert.equal(relay.model.requests.length, 2, 'nothing was started for the one that left');
  });

  test('a client that never reads its answer does not hold the slot', async (t) => {
    const long = 'x'.repeat(8 * 1024 * 1024);
    let text = long;
    const relay = await start(t, {
      proof: false,
      reply: () => ({ kind: 'text', text }),
      settings: { GLOBAL_CONCURRENCY: '1' },
    });
    const socket = await send(relay, { prompt: 'hi' });
    t.after(() => socket.destroy());
    await eventually('the model is asked', () => relay.model.requests.length === 1);
    text = 'next';
    const next = await relay.complete({ prompt: 'hi' });
    assert.equal(next.body['text'], 'next', JSON.stringify(next.body));
    assert.equal(socket.bytesRead < long.length, true, 'the first answer is still unread');
    await eventually('no process is left', () => relay.children().length === 0);
  });

  test('a client that leaves before its turn begins starts no process', async (t) => {
    const relay = await start(t, {
      proof: false,
      claudeBin: byModel,
      settings: { GLOBAL_CONCURRENCY: '1', ALLOWED_MODELS: 'opus,fixture-slow,fixture-quick' },
    });
    const sockets = await Promise.all(
      Array.from({ length: 20 }, () => send(relay, { prompt: 'hi', model: 'fixture-slow' })),
    );
    for (const socket of sockets) socket.destroy();
    await eventually(
      'all are in the record',
      () => query(relay, "SELECT count(*) AS n FROM requests WHERE route = 'complete'")[0]?.['n'] === 20,
    );
    const { body } = await relay.complete({ prompt: 'hi', model: 'fixture-quick' });
    assert.equal(body['text'], 'quick', JSON.stringify(body));
    await eventually('every process is gone', () => relay.children().length === 0);
  });
});
