/**
 * GET /v1/usage: this key's limits, what it used, what is left and when it resets; and the windows of the owner's plan (`plan`),
 * null where the login has none, and what of it is used up (`plan_closed`).
 */
import type { LaneState, WindowState } from '../../limits/lane-state.ts';
import type { UsagePart } from '../../ledger/usage.ts';
import { iso } from '../../time.ts';
import type { AppContext } from '../app.ts';
import { respond, type Exchange } from '../exchange.ts';
import { identify, limitsOf } from '../identify.ts';
import { closedModels } from '../plan-closings.ts';

const periodDays = 30;

export async function usage(request: Request, exchange: Exchange, context: AppContext): Promise<Response> {
  const key = identify(request, exchange, 'usage', context);
  const fetches = context.admission.state('fetch', limitsOf(key, 'fetch'));
  const state = context.admission.state('complete', limitsOf(key, 'complete'));
  const report = context.usage.report({ keyId: key.id, days: periodDays });
  const now = context.clock.wall();
  const plan = await context.plan.windows();
  return respond(exchange, 200, {
    ok: true,
    key: { label: key.label, expires_at: iso(key.expiresAt) },
    limits: limitsBody(state, now),
    fetch_limits: limitsBody(fetches, now),
    today: partBody(report.today),
    last_30_days: partBody(report.period),
    plan,
    plan_closed: closedModels(context.admission.planClosings()),
  });
}

function limitsBody(state: LaneState, now: number): Record<string, unknown> {
  const { concurrency } = state;
  return {
    ...(state.rpm === undefined ? {} : { key_rpm: windowBody(state.rpm, now) }),
    ...(state.daily === undefined ? {} : { key_daily: windowBody(state.daily, now) }),
    ...(state.globalDaily === undefined ? {} : { global_daily: windowBody(state.globalDaily, now) }),
    concurrency: { limit: concurrency.limit, running: concurrency.running },
  };
}

function windowBody(window: WindowState, now: number): Record<string, unknown> {
  return {
    limit: window.limit,
    used: window.limit - window.remaining,
    remaining: window.remaining,
    resets_at: iso(now + window.resetMs),
  };
}

function partBody({ total, models }: UsagePart): Record<string, unknown> {
  return {
    ...total,
    models: Object.fromEntries(
      models.filter(({ model }) => model !== '').map(({ model, ...totals }) => [model, totals]),
    ),
  };
}
