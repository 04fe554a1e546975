/** Why the relay gives up work that has begun: each is the reason of an abort signal and the error that the caller gets. */
import { RelayError } from './errors.ts';

export function clientGone(): RelayError {
  return new RelayError('client_closed_request', 'The client closed the connection.');
}

export function shuttingDown(): RelayError {
  return new RelayError('shutting_down', 'The relay is shutting down. Try again.', { retryAfter: 5 });
}
