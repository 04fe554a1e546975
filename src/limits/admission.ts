/**
 * Admission: one call reserves everything a request needs, all or nothing, and gives a ticket that ends exactly once.
 *
 * No key passes by it. What is refused here has used nothing: no place in the minute, no count of the day, no slot.
 */
import type { DailyCounts } from '../store/daily.ts';
import type { Clock } from './clock.ts';
import { shuttingDown } from '../endings.ts';
import { LaneAdmission } from './lane.ts';
import type { KeyLimits, Lane, LaneLimits, LaneWork } from './lane-limits.ts';
import type { LaneState } from './lane-state.ts';
import { PlanLimits, type PlanClosing } from './plan-limit.ts';
import { clientLeft } from './refusals.ts';
import type { Ticket } from './ticket.ts';
import { DayClock } from './windows.ts';

export type AdmissionOptions = {
  lanes: Record<Lane, LaneLimits>;
  /** Waiting for a slot at once, in each lane; 0: nobody waits, who finds no slot is refused. */
  queueMax: number;
  /** Longest wait for a slot. */
  queueTimeoutMs: number;
  counts: DailyCounts;
  clock: Clock;
};

type ReserveRequest = LaneWork & {
  key: KeyLimits;
  /** Aborted when the client leaves. */
  signal: AbortSignal;
};

export type Admission = {
  /**
   * Rejects with a `RelayError`: `rate_limited` (with `limit`, `retryAfter` and `shouldRetry`), `shutting_down`, or
   * `not_ready` when the daily counts cannot be kept; or with an `AbortError` when the client left.
   */
  reserve(request: ReserveRequest): Promise<Ticket>;
  /** What this key has left, for the headers of an answer and for `GET /v1/usage`. */
  state(lane: Lane, key: KeyLimits): LaneState;
  /** Requests that wait for a slot. */
  queued(lane: Lane): number;
  /** What of the plan is used up now. */
  planClosings(): PlanClosing[];
  /** The upstream said that the plan is used up until `untilWallMs` (Unix milliseconds), for `model` and its family or for all. */
  planUsedUp(untilWallMs: number, model?: string): void;
  /** The CLI asked the model `resolved` where `model` was asked for. */
  modelResolved(model: string, resolved: string): void;
  /** Refuses everything new; resolves when all that was let in, or waits, has ended. Its caller bounds the wait, by their signals. */
  drain(): Promise<void>;
};

export function createAdmission(options: AdmissionOptions): Admission {
  const { clock } = options;
  const days = new DayClock(clock);
  const planLimits = new PlanLimits(clock);
  let draining: PromiseWithResolvers<void> | undefined;

  const onEnd = () => {
    const { complete, fetch } = lanes;
    if (complete.running + complete.queued + fetch.running + fetch.queued === 0) draining?.resolve();
  };
  const common = { ...options, days, onEnd };
  const lanes: Record<Lane, LaneAdmission> = {
    complete: new LaneAdmission({ ...common, lane: 'complete', limits: options.lanes.complete, planLimits }),
    fetch: new LaneAdmission({ ...common, lane: 'fetch', limits: options.lanes.fetch }),
  };

  return {
    // Runs to the end before it returns its promise: there is nothing to await between check and take.
    async reserve({ lane, model, key, signal }) {
      if (draining !== undefined) throw shuttingDown();
      if (signal.aborted) throw clientLeft();
      return lanes[lane].reserve(key, signal, model);
    },

    state: (lane, key) => lanes[lane].state(key),

    queued: (lane) => lanes[lane].queued,

    planClosings: () => planLimits.closings(),

    planUsedUp(untilWallMs, model) {
      planLimits.usedUp(untilWallMs, model);
      lanes.complete.refuseClosed();
    },

    modelResolved: (model, resolved) => planLimits.resolved(model, resolved),

    drain() {
      draining ??= Promise.withResolvers();
      onEnd();
      return draining.promise;
    },
  };
}
