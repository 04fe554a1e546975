/** Where a request is wrong, as the Messages API writes it: the place first. Pure. */
import { RelayError } from '../../errors.ts';
import { shortPath, type Path } from '../problem.ts';

/** The SDK's tool runner looks for this error code, and then sends the whole conversation without a thread. */
const noThreads = { error_code: 'thread_unsupported_request', unsupported: [] };

export function problem(path: Path, predicate: string): RelayError {
  const place = path.length === 0 ? 'The request body' : `${shortPath(path).join('.')}:`;
  return new RelayError(
    'bad_request',
    `${place} ${predicate}`,
    path[0] === 'thread' ? { apiDetails: noThreads } : {},
  );
}
