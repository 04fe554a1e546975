/**
 * A network in front of the stand-in, as a separate process: `far-network.ts <url of the stand-in> <folder> <ms each way>`. A forwarder
 * that delays every byte leads to a TLS server, which hands the requests on to the stand-in.
 *
 * A real connection opens after a round trip, while one on loopback opens at once. So the forwarder treats what a client sends in
 * the first round trip as sent at its end: the TLS handshake begins a round trip late, as after a real TCP handshake.
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { listenOn } from '../test/support/ports.ts';

export type FarNetwork = {
  /** The variables that lead a CLI through it. */
  env: Record<string, string>;
  /** The connections that it has accepted so far. */
  connections: () => Promise<number>;
  close: () => Promise<void>;
};

export async function startFarNetwork(
  standIn: string,
  scratch: string,
  oneWayMs: number,
): Promise<FarNetwork> {
  const folder = mkdtempSync(join(scratch, 'far-'));
  const child = fork(import.meta.filename, [standIn, folder, String(oneWayMs)], { execArgv: [] });
  const [port] = (await once(child, 'message')) as [number];
  return {
    env: {
      ANTHROPIC_BASE_URL: `https://localhost:${port}`,
      NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem'),
    },
    connections: async () => {
      const answered = once(child, 'message');
      child.send('connections');
      return ((await answered) as [number])[0];
    },
    close: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

/** Valid for this run only. */
function certificate(folder: string): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const command = ['req', '-x509', ...curve, '-days', '2', ...names, '-keyout', key, '-out', cert];
  execFileSync('openssl', command, { stdio: 'pipe' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** What comes from one end goes to the other `oneWayMs` later, in its order, and no byte counts as sent before `openAt`. */
function delay(from: Socket, to: Socket, oneWayMs: number, openAt: number): void {
  const underWay: (() => void)[] = [];
  const later = (arrive: () => void): void => {
    underWay.push(arrive);
    const ms = Math.max(0, openAt - performance.now()) + oneWayMs;
    setTimeout(() => underWay.shift()?.(), ms);
  };
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => later(() => to.destroy()));
}

async function run(standIn: string, folder: string, oneWayMs: number): Promise<void> {
  const handOn = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { method, headers, url = '/' } = incoming;
    const further = ask(new URL(url, standIn), { method, headers }, (response) => {
      // Of the connection to the stand-in, not of this one.
      const { connection: _connection, 'keep-alive': _keepAlive, ...answered } = response.headers;
      outgoing.writeHead(response.statusCode ?? 502, answered);
      outgoing.flushHeaders();
      response.pipe(outgoing);
    });
    further.on('error', () => outgoing.destroy());
    outgoing.on('close', () => further.destroy());
    incoming.pipe(further);
  };
  // As at the API, a connection that waits for its next request is not closed soon.
  const far = createTls({ ...certificate(folder), keepAliveTimeout: 600_000 }, handOn);
  const farPort = await listenOn('127.0.0.1', far);
  let connections = 0;
  const near = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connections += 1;
    const server = connect({ port: farPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const acceptedAt = performance.now();
    delay(client, server, oneWayMs, acceptedAt + 2 * oneWayMs);
    delay(server, client, oneWayMs, acceptedAt);
  });
  process.on('message', () => process.send?.(connections));
  process.once('disconnect', () => process.exit());
  process.send?.(await listenOn('127.0.0.1', near));
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const [, , standIn = '', folder = '', oneWayMs] = process.argv;
  await run(standIn, folder, Number(oneWayMs));
}
