/**
 * The open connections, never more than the system has files for. A new connection replaces the least useful one: first a connection
 * that never showed a valid key, then one that waits for its next request, then one whose request still arrives; the oldest of a kind
 * goes first. A request that is being answered is never cut off.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Connections beyond the most: they have just been accepted, and their request has not been read yet. */
export const newcomers = 16;

type Connection = {
  readonly socket: Socket;
  /** Its first request, if it came at once, has been read. */
  settled: boolean;
  /** A valid key came with one of its requests. */
  known: boolean;
  readonly exchanges: Set<{ incoming: IncomingMessage; outgoing: ServerResponse }>;
};

export class Connections {
  readonly most: number;
  readonly #all = new Map<Socket, Connection>();
  /** Each connection is in one of these sets, in the order of arrival there. */
  readonly #strangers = new Set<Connection>();
  readonly #idle = new Set<Connection>();
  readonly #asking = new Set<Connection>();

  constructor(most: number) {
    this.most = most;
  }

  get open(): number {
    return this.#all.size;
  }

  add(socket: Socket): void {
    const connection: Connection = { socket, settled: false, known: false, exchanges: new Set() };
    this.#all.set(socket, connection);
    this.#strangers.add(connection);
    socket.once('close', () => this.#remove(connection));
    if (this.#all.size > this.most + newcomers) this.#close(this.#leastUseful() ?? connection);
    // A request that came with the connection is read in the next round of the event loop.
    setImmediate(() => {
      setImmediate(() => {
        connection.settled = true;
        if (this.#all.size > this.most) this.#close(this.#leastUseful());
      });
    });
  }

  /** A request whose headers are complete. */
  asks(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const connection = this.#all.get(incoming.socket);
    if (connection === undefined) return;
    const exchange = { incoming, outgoing };
    connection.exchanges.add(exchange);
    this.#place(connection);
    outgoing.once('close', () => {
      connection.exchanges.delete(exchange);
      if (this.#all.has(connection.socket)) this.#place(connection);
    });
  }

  know(socket: Socket): void {
    const connection = this.#all.get(socket);
    if (connection !== undefined) connection.known = true;
  }

  #place(connection: Connection): void {
    for (const set of [this.#strangers, this.#idle, this.#asking]) set.delete(connection);
    const set =
      connection.exchanges.size > 0 ? this.#asking : connection.known ? this.#idle : this.#strangers;
    set.add(connection);
  }

  #leastUseful(): Connection | undefined {
    for (const connection of this.#strangers) if (connection.settled) return connection;
    for (const connection of this.#idle) return connection;
    for (const connection of this.#asking) if (!isWorkedFor(connection)) return connection;
    return undefined;
  }

  #close(connection: Connection | undefined): void {
    if (connection === undefined) return;
    connection.socket.destroy();
    // Before the system has closed it: it must not be chosen twice.
    this.#remove(connection);
  }

  #remove(connection: Connection): void {
    this.#all.delete(connection.socket);
    for (const set of [this.#strangers, this.#idle, this.#asking]) set.delete(connection);
  }
}

/** A request has arrived and is not answered. A client that has only not read its answer yet can be cut off. */
function isWorkedFor({ exchanges }: Connection): boolean {
  return [...exchanges].some(({ incoming, outgoing }) => incoming.complete && !outgoing.writableEnded);
}
