/**
 * Admission: one call reserves everything a request needs and returns a ticket that ends once, or refuses and has used nothing: no
 * place in the minute, no count of the day, no slot. No request of a key avoids it.
 */
import { shuttingDown } from '../endings.ts';
import type { KeyLimits, Lane, LaneLimits, LaneWork } from './lane-limits.ts';
import type { LaneState } from './lane-state.ts';
import { LaneAdmission, type LaneOptions } from './lane.ts';
import { PlanLimits, type PlanClosing } from './plan-limit.ts';
import { nothing, Spending, type NearlySpent, type Spend } from './spending.ts';
import type { Ticket } from './ticket.ts';
import { DayClock } from './windows.ts';

export type AdmissionOptions = Pick<LaneOptions, 'queueMax' | 'queueTimeoutMs' | 'counts' | 'clock'> & {
  lanes: Record<Lane, LaneLimits>;
  /** The budget of all keys together in a UTC day; absent: none. */
  budget?: Spend;
  /** What the second login can be billed for in a UTC day, in dollars; absent or 0: it is not used. */
  fallbackUsd?: number;
  onNearlySpent?: (budget: NearlySpent) => void;
};

/** `signal` is aborted when the client leaves. */
type ReserveRequest = LaneWork & { key: KeyLimits; signal: AbortSignal };

export type Admission = ReturnType<typeof createAdmission>;

export function createAdmission(options: AdmissionOptions) {
  const { clock } = options;
  const days = new DayClock(clock);
  const planLimits = new PlanLimits(clock);
  const spending = new Spending({
    counts: options.counts,
    days,
    all: options.budget ?? nothing,
    fallbackUsd: options.fallbackUsd ?? 0,
    onNearlySpent: options.onNearlySpent ?? (() => {}),
  });
  let draining: PromiseWithResolvers<void> | undefined;

  const onEnd = (): void => {
    const { complete, fetch } = lanes;
    if (complete.running + complete.queued + fetch.running + fetch.queued === 0) draining?.resolve();
  };
  const common = { ...options, days, onEnd };
  const lanes: Record<Lane, LaneAdmission> = {
    complete: new LaneAdmission({
      ...common,
      lane: 'complete',
      limits: options.lanes.complete,
      planLimits,
      spending,
    }),
    fetch: new LaneAdmission({ ...common, lane: 'fetch', limits: options.lanes.fetch }),
  };

  return {
    /** Rejects with `rate_limited`, `shutting_down`, `not_ready` if the daily counts cannot be kept, or the signal's reason. */
    async reserve({ lane, model, most, key, signal }: ReserveRequest): Promise<Ticket> {
      if (draining !== undefined) throw shuttingDown();
      signal.throwIfAborted();
      return lanes[lane].reserve(key, signal, model, most);
    },

    state: (lane: Lane, key: KeyLimits): LaneState => lanes[lane].state(key),

    queued: (lane: Lane): number => lanes[lane].queued,
    load: (lane: Lane) => ({ running: lanes[lane].running, queued: lanes[lane].queued }),

    planClosings: (): PlanClosing[] => planLimits.closings(),

    /** The upstream said that the plan is used up until `untilWallMs` (Unix milliseconds): for the family of `model`, or for all. */
    planUsedUp(untilWallMs: number, model?: string): void {
      planLimits.usedUp(untilWallMs, model);
      lanes.complete.refuseClosed();
    },

    /** The CLI used the model `resolved` for `model`. */
    modelResolved: (model: string, resolved: string): void => planLimits.resolved(model, resolved),

    /** Refuses new requests. Resolves when all that run or wait have ended, which their signals bound. */
    drain(): Promise<void> {
      draining ??= Promise.withResolvers();
      onEnd();
      return draining.promise;
    },
  };
}
