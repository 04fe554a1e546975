/** Ports of this host. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

/** Nothing can listen on it without being root. A free port that was just found could be the next server's. */
export const closedPort = 1;

/** Lets a server listen on a port that the system chooses; resolves to the port. */
export async function listenOn(host: string, server: Server): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that nothing listens on yet, for a program whose settings name one. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOn('127.0.0.1', server);
  server.close();
  await once(server, 'close');
  return port;
}
