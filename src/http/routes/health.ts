/** GET /health and GET /ready: no key is needed, no token is spent, and a stranger learns nothing of this machine. */
import { RelayError } from '../../errors.ts';
import type { AppContext } from '../app.ts';
import { respond, type Exchange } from '../exchange.ts';
import { isFromHost } from '../from-host.ts';
import { hasKey } from '../identify.ts';

export type ReadyCheck = {
  name: string;
  ok: boolean;
  /** A sentence without paths, versions or names of the host's. */
  detail?: string;
};

/** Liveness: the process answers. */
export function health(_request: Request, exchange: Exchange): Response {
  return respond(exchange, 200, { ok: true });
}

/**
 * Readiness: whether a request would be served right now, and why not. A stranger learns the names of the checks that failed; a caller
 * with a key, or a program of this machine, all there is.
 */
export function ready(request: Request, exchange: Exchange, context: AppContext): Response {
  const checks = [lockCheck(context), ...context.readyChecks()];
  const failed = checks.filter((check) => !check.ok);
  const ok = failed.length === 0;
  const status = ok ? 200 : 503;
  if (!ok) exchange.headers['retry-after'] = '5';
  if (!isFromHost(exchange.remoteAddress, request.headers) && !hasKeyNow(request, exchange, context)) {
    return respond(exchange, status, { ok, checks: failed.map(({ name }) => ({ name, ok: false })) });
  }
  const { waiting, rssBytes } = context.runner.spares();
  const { open, most } = context.connections;
  return respond(exchange, status, {
    ok,
    checks,
    spares: { waiting, rss_bytes: rssBytes },
    connections: { open, most },
  });
}

/** While keys cannot be read, every caller is a stranger, and the check of the database says so. */
function hasKeyNow(request: Request, exchange: Exchange, context: AppContext): boolean {
  try {
    return hasKey(request, exchange, context);
  } catch (error) {
    if (error instanceof RelayError && error.code === 'not_ready') return false;
    throw error;
  }
}

function lockCheck({ readiness }: AppContext): ReadyCheck {
  try {
    readiness.check();
    return { name: 'lock_proved', ok: true };
  } catch {
    const state = readiness.state();
    return { name: 'lock_proved', ok: false, ...(state.phase === 'proved' ? {} : { detail: state.reason }) };
  }
}
