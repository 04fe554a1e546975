/** How long a turn may take, if its request says so. Pure. */
import type { Config } from '../config.ts';
import type { ParsedRequest } from '../dialects/dialect.ts';
import { RelayError } from '../errors.ts';

export function timeLimit(
  { timeoutS }: ParsedRequest,
  { requestTimeoutMs }: Pick<Config, 'requestTimeoutMs'>,
): { timeoutMs?: number } {
  if (timeoutS === undefined) return {};
  if (timeoutS * 1000 > requestTimeoutMs) {
    throw new RelayError(
      'bad_request',
      `Field "timeout" must be at most ${requestTimeoutMs / 1000} (REQ_TIMEOUT).`,
    );
  }
  return { timeoutMs: timeoutS * 1000 };
}
