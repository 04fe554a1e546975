/** GET /health and GET /ready: no key, no token spent, and nothing told that a stranger could use. */
import type { AppContext } from './app.ts';
import { respond, type Exchange } from './exchange.ts';

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

/** Readiness: whether a request would be served right now, and why not. */
export function ready(_request: Request, exchange: Exchange, context: AppContext): Response {
  const checks = [lockCheck(context), ...context.readyChecks()];
  const ok = checks.every((check) => check.ok);
  if (!ok) exchange.headers['retry-after'] = '5';
  const { waiting, rssBytes } = context.runner.spares();
  return respond(exchange, ok ? 200 : 503, { ok, checks, spares: { waiting, rss_bytes: rssBytes } });
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
