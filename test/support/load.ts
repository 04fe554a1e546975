/**
 * A load generator as a separate process, so that its cost does not slow down the measurement.
 * Arguments: kind, url, key, and the number of requests. It prints one JSON object when its work is done, or `{"ready":true}` when all it holds is open.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';

const [kind = '', url = '', key = '', count = ''] = process.argv.slice(2);
const { hostname, port } = new URL(url);

async function open(): Promise<Socket> {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** The status of one request, or why the connection broke. */
function post(agent: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const fail = ({ code, message }: NodeJS.ErrnoException): void => resolve(code ?? message);
    const body = JSON.stringify({ prompt: 'hi', model: 'fixture-quick' });
    const sent = request(
      {
        host: hostname,
        port,
        agent,
        method: 'POST',
        path: '/v1/complete',
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', fail);
      },
    );
    sent.on('error', fail);
    sent.end(body);
  });
}

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

if (kind === 'silent') {
  for (let i = 0; i < 1000; i += 1) await open();
  say({ ready: true });
} else if (kind === 'slow-bodies') {
  for (let i = 0; i < 200; i += 1) {
    const socket = await open();
    socket.write(
      `POST /v1/complete HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{"prompt":"`,
    );
    setInterval(() => socket.write('x'), 500);
  }
  say({ ready: true });
} else {
  const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
  const statuses = await Promise.all(Array.from({ length: Number(count) }, () => post(agent)));
  agent.destroy();
  const counts: Record<string, number> = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  say({ counts });
}
