/**
 * What answers in place of the plan when it is used up, if the key has a fallback: another model, or the second login. A request takes
 * it once at most, and only while nothing of an answer exists. It is never silent: answer, record and log say so.
 */
import type { Logger } from 'pino';
import type { RunRequest } from '../claude/runner.ts';
import { RelayError } from '../errors.ts';
import type { Admission } from '../limits/admission.ts';
import { fallbackLogin } from '../limits/plan-limit.ts';
import type { Exchange } from './exchange.ts';

/** `listed`: the entry of ALLOWED_MODELS that answers. `from`: the one that was asked for, or `plan` where only the login differs. */
export type Fallback = { run: RunRequest; listed: string; from: string };

type Request = { exchange: Exchange; run: RunRequest; fallback?: Fallback | undefined };

export type FallbackParts = { admission: Pick<Admission, 'planUsedUp'>; log: Pick<Logger, 'warn'> };

/** Resolves to what `ask` resolves to; rejects with its RelayError: with the first one if the fallback cannot be used. */
export async function withFallback<T>(
  { exchange, run, fallback }: Request,
  { admission, log }: FallbackParts,
  ask: (run: RunRequest) => Promise<T>,
): Promise<T> {
  const { model } = exchange;
  try {
    return await ask(run);
  } catch (refusal) {
    // What has been spent has a part of an answer, which may have been passed on.
    if (fallback === undefined || exchange.spent || !isUsedUp(refusal)) throw refusal;
    Object.assign(exchange, { model: fallback.listed, fallbackFrom: fallback.from });
    exchange.headers['x-relay-fallback-from'] = fallback.from;
    delete exchange.headers['x-relay-resolved-model'];
    try {
      return await ask(fallback.run);
    } catch (error) {
      if (exchange.spent) throw error;
      if (!isUsedUp(error)) {
        if (fallback.run.login === undefined || !isRefusedLogin(error)) throw error;
        log.warn({ request_id: exchange.requestId, reason: error.message }, refusedLogin);
        // For a minute. Then one request at a time tries it again.
        admission.planUsedUp(0, fallbackLogin);
      }
      Object.assign(exchange, { model, fallbackFrom: undefined });
      delete exchange.headers['x-relay-fallback-from'];
      throw refusal;
    }
  }
}

const refusedLogin = 'the second login was refused: check FALLBACK_ANTHROPIC_API_KEY and its account';

function isUsedUp(error: unknown): error is RelayError {
  return error instanceof RelayError && error.details.usedUp === true;
}

/** Its key is refused, its account has no credit, or it has reached a limit that its owner set. */
function isRefusedLogin(error: unknown): error is RelayError {
  if (!(error instanceof RelayError)) return false;
  const { limit, shouldRetry } = error.details;
  return error.code === 'upstream_auth' || (limit === 'plan' && shouldRetry === false);
}
