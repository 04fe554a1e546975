/** Work under a ticket: it is reserved for a key, in flight until its last process is gone, and ended when its client goes. */
import { clientGone, shuttingDown } from '../endings.ts';
import { RelayError } from '../errors.ts';
import type { Keys } from '../keys/store.ts';
import type { Admission } from '../limits/admission.ts';
import type { LaneWork } from '../limits/lane-limits.ts';
import type { Ticket } from '../limits/ticket.ts';
import type { Exchange, KeyedExchange } from './exchange.ts';
import { limitsOf, unauthorized } from './identify.ts';

export type ReservationParts = {
  admission: Pick<Admission, 'reserve'>;
  keys: Pick<Keys, 'isLive'>;
  inFlight: InFlight;
};

/** Rejects as `Admission.reserve` does, and with `unauthorized`. Adds to `queueMs` in any case. */
export async function reserve(
  work: LaneWork,
  signal: AbortSignal,
  exchange: KeyedExchange,
  { admission, keys }: Omit<ReservationParts, 'inFlight'>,
): Promise<Ticket> {
  const { key } = exchange;
  const startedAt = performance.now();
  const ticket = await admission.reserve({ ...work, key: limitsOf(key, work.lane), signal }).finally(() => {
    exchange.queueMs += performance.now() - startedAt;
  });
  try {
    // It may have been revoked or disabled, or have expired, while the body arrived or the request waited.
    if (!keys.isLive(key.id)) throw unauthorized();
    return ticket;
  } catch (error) {
    ticket.release();
    throw error;
  }
}

type Work = { readonly abort: AbortController; readonly remainders: Promise<void>[] };

/** The work in flight: a stop waits for it, then ends it, and knows when nothing of it is left. */
export class InFlight {
  readonly #all = new Set<Work>();
  #empty = Promise.withResolvers<void>();

  begin(): Work {
    const work: Work = { abort: new AbortController(), remainders: [] };
    this.#all.add(work);
    return work;
  }

  /** The work leaves when every remainder is settled. */
  async end(work: Work): Promise<void> {
    await Promise.allSettled(work.remainders);
    this.#all.delete(work);
    if (this.#all.size > 0) return;
    this.#empty.resolve();
    this.#empty = Promise.withResolvers();
  }

  abortAll(): void {
    for (const { abort } of this.#all) abort.abort(shuttingDown());
  }

  async idle(): Promise<void> {
    if (this.#all.size > 0) await this.#empty.promise;
  }
}

/**
 * Runs work that is given up when the client goes or the relay stops. `holdUntil` keeps it in flight after `run` has ended. Rejects
 * with what `run` rejects with: when the work was given up, with a RelayError.
 */
export async function whileWanted<T>(
  clientSignal: AbortSignal,
  exchange: Exchange,
  inFlight: InFlight,
  run: (signal: AbortSignal, holdUntil: (remainder: Promise<void>) => void) => Promise<T>,
): Promise<T> {
  const work = inFlight.begin();
  const { signal } = work.abort;
  const onClientGone = (): void => {
    exchange.clientGone = true;
    work.abort.abort(clientGone());
  };
  clientSignal.addEventListener('abort', onClientGone);
  if (clientSignal.aborted) onClientGone();
  try {
    return await run(signal, (remainder) => work.remainders.push(remainder));
  } catch (error) {
    throw signal.aborted && !(error instanceof RelayError) ? signal.reason : error;
  } finally {
    clientSignal.removeEventListener('abort', onClientGone);
    void inFlight.end(work);
  }
}
