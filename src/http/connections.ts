/**
 * The open connections, never more than the system has files for. A new connection replaces the least useful one: first a connection
 * that never showed a valid key, unless it is one of the newest, then one that waits for its next request, then one whose request still
 * arrives; the oldest of a kind goes first. A request that is being answered is never cut off.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** So many of the newest strangers are safe while others can make room: the first request comes after the connection. */
const newcomers = 16;

type Connection = {
  readonly socket: Socket;
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
    const connection: Connection = { socket, known: false, exchanges: new Set() };
    this.#all.set(socket, connection);
    this.#strangers.add(connection);
    socket.once('close', () => this.#remove(connection));
    if (this.#all.size > this.most) this.#close(this.#leastUseful() ?? connection);
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
    const [stranger] = this.#strangers;
    if (this.#strangers.size > newcomers) return stranger;
    const [idle] = this.#idle;
    return idle ?? [...this.#asking].find((connection) => !isWorkedFor(connection)) ?? stranger;
  }

  #close(connection: Connection): void {
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
