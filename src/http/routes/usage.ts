/**
 * GET /v1/usage: this key's limits, what it used, what is left and when it resets; and the windows of the owner's plan (`plan`),
 * null where the login has none, and which models are used up (`plan_closed`).
 */
import type { UsageResponse } from '../../api.ts';
import type { UsageReader } from '../../claude/usage-windows.ts';
import type { Usage, UsagePart } from '../../ledger/usage.ts';
import type { Admission } from '../../limits/admission.ts';
import type { Clock } from '../../limits/clock.ts';
import type { LaneState, WindowState } from '../../limits/lane-state.ts';
import type { PlanClosing } from '../../limits/plan-limit.ts';
import type { BudgetState } from '../../limits/spending.ts';
import { iso } from '../../time.ts';
import { respond, type KeyedExchange } from '../exchange.ts';
import { limitsOf } from '../identify.ts';

export type UsageParts = {
  admission: Pick<Admission, 'state' | 'planClosings'>;
  usage: Pick<Usage, 'report'>;
  plan: Pick<UsageReader, 'windows'>;
  clock: Pick<Clock, 'wall'>;
};

type LimitWindow = NonNullable<UsageResponse['limits']['key_rpm']>;

const periodDays = 30;

export async function usage(
  _request: Request,
  exchange: KeyedExchange,
  parts: UsageParts,
): Promise<Response> {
  const { key } = exchange;
  const { admission, clock } = parts;
  const limits = limitsBody(admission.state('complete', limitsOf(key, 'complete')), clock.wall());
  const fetchLimits = limitsBody(admission.state('fetch', limitsOf(key, 'fetch')), clock.wall());
  const { today, period } = parts.usage.report({ keyId: key.id, days: periodDays });
  return respond(exchange, 200, {
    ok: true,
    key: { label: key.label, expires_at: iso(key.expiresAt) },
    limits,
    fetch_limits: fetchLimits,
    today: partBody(today),
    last_30_days: partBody(period),
    plan: await parts.plan.windows(),
    plan_closed: closedModels(admission.planClosings()),
  } satisfies UsageResponse);
}

/** `models`: a family such as `opus`, or `all`. */
export function closedModels(closings: readonly PlanClosing[]): UsageResponse['plan_closed'] {
  return closings.map(({ family = 'all', until }) => ({
    models: family,
    // Rounded up: a retry at that time works.
    until: iso(Math.ceil(until)),
  }));
}

export function limitsBody(state: LaneState, now: number): UsageResponse['limits'] {
  const { rpm, daily, globalDaily, budgets, concurrency } = state;
  return {
    key_rpm: rpm && windowBody(rpm, now),
    key_daily: daily && windowBody(daily, now),
    global_daily: globalDaily && windowBody(globalDaily, now),
    key_usd: budgetBody(budgets?.key.usd, now),
    key_tokens: budgetBody(budgets?.key.tokens, now),
    global_usd: budgetBody(budgets?.all.usd, now),
    global_tokens: budgetBody(budgets?.all.tokens, now),
    concurrency: { limit: concurrency.limit, running: concurrency.running },
  };
}

function windowBody({ limit, remaining, resetMs }: WindowState, now: number): LimitWindow {
  return { limit, used: limit - remaining, remaining, resets_at: iso(now + resetMs) };
}

function budgetBody(state: BudgetState | undefined, now: number): UsageResponse['limits']['key_usd'] {
  if (state === undefined) return undefined;
  const { limit, used, resetMs } = state;
  return { limit, used, remaining: Math.max(0, limit - used), resets_at: iso(now + resetMs) };
}

function partBody({ total, models }: UsagePart): UsageResponse['today'] {
  const named = models.filter(({ model }) => model !== '');
  return { ...total, models: Object.fromEntries(named.map(({ model, ...totals }) => [model, totals])) };
}
