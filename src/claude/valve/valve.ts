/**
 * The valve of one process: what it sends to the API passes only while an admitted request may ask.
 *
 * TLS stays between the CLI and the API, so the valve sees bytes and no content. What a process sends while the valve is shut is held
 * and counted: after an answer it means that the CLI would ask the model again.
 */
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

/** A TLS alert that ends a connection is shorter, a request is longer. Once as much is held of a connection, no more is read. */
const leastRequestBytes = 64;
/** A CLI has up to four. */
const mostConnections = 32;
/** Between two steps of a TLS handshake, or a connection and its request, a busy process takes less. */
const quietMs = 500;

/** `refusing`: what a process asks fails at once, instead of waiting. */
export type ValveState = 'open' | 'shut' | 'refusing';

/** A connection's way to the API. */
type Flow = {
  heldBytes: number;
  /** The last bytes went to the API. */
  waitsForAnswer: boolean;
  move: () => void;
};

export class Valve {
  /** False: the process reaches its model without the valve, which then knows and stops nothing. */
  readonly exact: boolean;
  #state: ValveState = 'open';
  #cut = false;
  readonly #children = new Set<Socket>();
  readonly #flows = new Set<Flow>();
  readonly #waiting = new Set<() => void>();
  #dialling = 0;
  #movedAt = -Infinity;
  /** Bytes to the API that passed since the valve was opened last. */
  passedBytes = 0;
  /** Bytes to the API that are held since the valve was shut last, and those whose sender has gone. */
  heldBytes = 0;
  /** Connections and requests that failed at once since the valve began to refuse. */
  refused = 0;
  /** Connections, or with an `http` API requests, of which bytes passed in the life of the process. */
  wentOut = 0;
  /** Why a connection to the API failed, since the valve was opened last. */
  dialFailure: string | undefined;
  /** Called when what is held is a request. */
  onHeld: (() => void) | undefined;

  /** Open: a process that starts has no prompt, and may ask for the settings of its owner's organisation. */
  constructor(exact = true) {
    this.exact = exact;
  }

  /** What is held is a request, and not only the end of a connection. */
  get holdsRequest(): boolean {
    return this.heldBytes >= leastRequestBytes;
  }

  /** For one request. What was held passes. */
  open(): void {
    this.passedBytes = 0;
    this.dialFailure = undefined;
    this.#enter('open');
  }

  shut(): void {
    if (this.#state !== 'shut') this.#enter('shut');
  }

  refuse(): void {
    this.refused = 0;
    this.#enter('refusing');
  }

  /** Ends the connections to the API, of which none may be in use. The next request makes a new one. */
  hangUp(): void {
    for (const child of this.#children) child.destroySoon();
  }

  /** Ends every connection to the API, for good. */
  cut(): void {
    this.#cut = true;
    this.#enter('refusing');
    for (const child of this.#children) child.destroy();
  }

  /** No connection is being made, none waits for an answer, and none has just moved. */
  get isQuiet(): boolean {
    const isWaiting = [...this.#flows].some(({ waitsForAnswer }) => waitsForAnswer);
    return this.#dialling === 0 && !isWaiting && performance.now() - this.#movedAt > quietMs;
  }

  #enter(state: ValveState): void {
    this.#state = this.#cut ? 'refusing' : state;
    this.heldBytes = 0;
    for (const flow of this.#flows) {
      if (this.#state === 'shut') this.#hold(flow.heldBytes);
      flow.move();
    }
    for (const decide of this.#waiting) decide();
  }

  #hold(bytes: number): void {
    const wasRequest = this.holdsRequest;
    this.heldBytes += bytes;
    if (!wasRequest && this.holdsRequest) this.onHeld?.();
  }

  /** Whether a connection of the process, or a single request on it, can go out. Waits while the valve is shut. */
  async admits(child: Socket, bytes: number): Promise<boolean> {
    await stdoutRead();
    if (!this.#children.has(child)) {
      if (child.destroyed || this.#children.size >= mostConnections) return false;
      this.#children.add(child);
      child.once('close', () => this.#children.delete(child));
    }
    while (this.#state === 'shut' && !child.destroyed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      child.once('close', resolve);
      this.#hold(bytes);
      await promise;
      this.#waiting.delete(resolve);
      child.off('close', resolve);
    }
    if (this.#state === 'refusing') this.refused += 1;
    return this.#state === 'open' && !child.destroyed;
  }

  /** What `dial` resolves to; undefined when it fails. */
  async dialling<T>(dial: () => Promise<T>): Promise<T | undefined> {
    this.#dialling += 1;
    try {
      return await dial();
    } catch (error) {
      this.dialFailure = error instanceof Error ? error.message : String(error);
      return undefined;
    } finally {
      this.#dialling -= 1;
      this.#movedAt = performance.now();
    }
  }

  /** Joins a connection of the process with one to the API, until either ends. */
  join(child: Socket, api: Socket): void {
    const flow = this.pass(child, api);
    api.on('data', () => {
      flow.waitsForAnswer = false;
      this.#movedAt = performance.now();
    });
    api.pipe(child);
    child.on('close', () => api.destroy());
    // The end of an answer may still be on its way to a process that reads slowly.
    api.on('close', () => child.destroySoon());
    if (child.destroyed || api.destroyed) for (const end of [child, api]) end.destroy();
  }

  /** Passes what `from` sends on to `to`, as long as the valve is open. `headBytes` go out before it. */
  pass(from: Readable, to: Writable, headBytes = 0): Flow {
    const held: Buffer[] = [];
    let headHeld = headBytes;
    let isFirst = true;
    let ended = false;
    const passes = (bytes: number): void => {
      if (isFirst) this.wentOut += 1;
      isFirst = false;
      this.passedBytes += bytes + headHeld;
      flow.heldBytes -= bytes + headHeld;
      headHeld = 0;
      flow.waitsForAnswer = true;
      this.#movedAt = performance.now();
    };
    const move = (): void => {
      if (to.destroyed || to.writableEnded) return;
      while (this.#state === 'open' && held.length > 0 && !to.writableNeedDrain) {
        const chunk = held.shift() as Buffer;
        passes(chunk.length);
        to.write(chunk);
      }
      const isRequest = flow.heldBytes >= leastRequestBytes;
      if (this.#state === 'refusing' && isRequest) this.refused += 1;
      // A connection that ends with an alert, and has nothing more to say.
      const isOver = ended && !isRequest && this.#state !== 'open';
      if ((this.#state === 'refusing' && isRequest) || isOver) return void to.destroy();
      if (!isRequest) from.resume();
      if (!ended || held.length > 0 || this.#state !== 'open') return;
      if (headHeld > 0) passes(0);
      to.end();
    };
    const flow: Flow = { heldBytes: headBytes, waitsForAnswer: false, move };
    this.#flows.add(flow);
    if (this.#state === 'shut') this.#hold(headBytes);
    const arrived = async (chunk?: Buffer): Promise<void> => {
      from.pause();
      await stdoutRead();
      // A request that is refused before it was sent is read to its end.
      if (to.destroyed || to.writableEnded) return void from.resume();
      if (chunk === undefined) {
        ended = true;
      } else {
        held.push(chunk);
        flow.heldBytes += chunk.length;
        if (this.#state === 'shut') this.#hold(chunk.length);
      }
      move();
    };
    from.on('data', (chunk: Buffer) => void arrived(chunk));
    from.on('end', () => void arrived());
    to.on('drain', move);
    to.on('close', () => {
      this.#flows.delete(flow);
      if (this.#state === 'shut' && flow.heldBytes < leastRequestBytes) this.heldBytes -= flow.heldBytes;
      from.resume();
    });
    return flow;
  }
}

/**
 * Resolves when everything that the process had printed before has been read: a process prints the beginning of an answer, which shuts
 * the valve, before it asks again. One whole round of the event loop lies in between, however busy the relay is.
 */
function stdoutRead(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
