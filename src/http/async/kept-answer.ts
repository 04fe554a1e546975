/** An answer in memory for several connections: its events so far, and how it ended. */
import { clientGone } from '../../endings.ts';
import { RelayError } from '../../errors.ts';
import type { EventStream } from '../event-stream.ts';

export type Result =
  /** `text` is the JSON of a whole answer; empty where the answer was events. */
  { ok: true; text: string } | { ok: false; error: RelayError };

/** Bytes of one answer. A longer answer still reaches the clients that follow it, but it cannot be repeated. */
export const maxKeptBytes = 16 * 1024 * 1024;

export class KeptAnswer {
  readonly #events: string[] = [];
  readonly #ended = Promise.withResolvers<Result>();
  readonly result = this.#ended.promise;
  /** Resolves at the next event, at the end, and when a client leaves. */
  #change = Promise.withResolvers<void>();
  #over = false;
  #bytes = 0;
  #followers = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get tooLarge(): boolean {
    return this.#bytes > maxKeptBytes;
  }

  add(events: string): void {
    if (events === '') return;
    this.#bytes += Buffer.byteLength(events);
    this.#events.push(events);
    this.#wake();
  }

  end(result: Result): void {
    if (result.ok) this.#bytes += result.text.length;
    this.#over = true;
    this.#forgetTooLarge();
    this.#ended.resolve(result);
    this.#wake();
  }

  /**
   * Sends the events so far and the events to come, as fast as the client reads. Resolves to the result's text; rejects with its error,
   * and with `client_closed_request` when the client leaves.
   */
  async follow(
    { send, room }: Pick<EventStream, 'send' | 'room'>,
    clientSignal: AbortSignal,
  ): Promise<string> {
    this.#followers += 1;
    clientSignal.addEventListener('abort', this.#wake);
    try {
      for (let next = 0; ;) {
        for (; next < this.#events.length; next += 1) {
          send(this.#events[next] ?? '');
          if (this.tooLarge && this.#followers === 1) this.#events[next] = '';
          await room();
          if (clientSignal.aborted) throw clientGone();
        }
        if (clientSignal.aborted) throw clientGone();
        if (this.#over) break;
        await this.#change.promise;
      }
    } finally {
      this.#followers -= 1;
      this.#forgetTooLarge();
      clientSignal.removeEventListener('abort', this.#wake);
    }
    const result = await this.result;
    if (!result.ok) throw result.error;
    return result.text;
  }

  /** Resolves to the JSON of a whole answer; rejects as `follow` does. */
  whole(clientSignal: AbortSignal): Promise<string> {
    return this.follow({ send: () => {}, room: async () => {} }, clientSignal);
  }

  /** Throws `payload_too_large` when the beginning is not kept any more. */
  requireWhole(): void {
    if (this.tooLarge) {
      throw new RelayError(
        'payload_too_large',
        'The request was answered, but its answer was too large to keep for a repeat.',
      );
    }
  }

  #forgetTooLarge(): void {
    if (this.#over && this.tooLarge && this.#followers === 0) this.#events.length = 0;
  }

  readonly #wake = (): void => {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  };
}
