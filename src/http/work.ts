/** Work under a reservation: it ends when the client goes or the relay stops, and whoever waits for it is told which. */
import { clientGone } from '../claude/turn.ts';
import { RelayError } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { Running, Work } from './running.ts';

/**
 * `leaving` is aborted when nobody waits for the work any more. Rejects with a RelayError wherever the work was given up; whatever
 * else it throws passes through.
 */
export async function withWork<T>(
  leaving: AbortSignal,
  exchange: Exchange,
  running: Running,
  run: (work: Work) => Promise<T>,
): Promise<T> {
  const work = running.enter();
  const onClientGone = (): void => {
    exchange.clientGone = true;
    work.abort(clientGone);
  };
  leaving.addEventListener('abort', onClientGone);
  if (leaving.aborted) onClientGone();
  try {
    return await run(work);
  } catch (error) {
    if (error instanceof RelayError || !work.signal.aborted) throw error;
    throw exchange.clientGone
      ? new RelayError('client_closed_request', 'The client closed the connection.')
      : new RelayError('shutting_down', 'The relay was stopped. Try again.', { retryAfter: 5 });
  } finally {
    leaving.removeEventListener('abort', onClientGone);
    work.done();
  }
}
