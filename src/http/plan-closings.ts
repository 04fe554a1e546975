/** What of the owner's plan is used up, and until when: for GET /v1/usage and GET /ready. */
import type { PlanClosing } from '../limits/plan-limit.ts';
import type { ReadyCheck } from './routes/health.ts';

/** `models`: a family such as `opus`, or `all`. */
export type ClosedModels = { models: string; until: string };

export function closedModels(closings: readonly PlanClosing[]): ClosedModels[] {
  return closings.map(({ family = 'all', until }) => ({
    models: family,
    // Rounded up: a retry at that time works.
    until: new Date(Math.ceil(until)).toISOString(),
  }));
}

/** Not ok while every model is refused. The detail names a family that is used up; the relay serves the others. */
export function planCheck(closings: readonly PlanClosing[]): ReadyCheck {
  const closed = closedModels(closings);
  return {
    name: 'plan',
    ok: closings.every(({ family }) => family !== undefined),
    ...(closed.length === 0
      ? {}
      : {
          detail: `the plan is used up: ${closed.map(({ models, until }) => `${models} models until ${until}`).join(', ')}`,
        }),
  };
}
