/** Ports of this host. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

/** Only root can listen on this port. A free port that was just found could be taken by the next server. */
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
