/**
 * Admission: one call reserves everything a request needs, all or nothing, and gives a ticket that ends exactly once.
 *
 * No key passes by it. What is refused here has used nothing: no place in the minute, no count of the day, no slot.
 */
import type { DailyCounts } from './budget.ts';
import type { Clock } from './clock.ts';
import { LaneAdmission } from './lane.ts';
import type { KeyLimits, Lane, LaneLimits } from './lane-limits.ts';
import type { LaneSnapshot, LaneState } from './lane-state.ts';
import { PlanGate } from './plan.ts';
import { clientLeft, refusal, shuttingDown } from './refusals.ts';
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

type ReserveRequest = {
  lane: Lane;
  key: KeyLimits;
  /** Aborted when the client leaves. */
  signal: AbortSignal;
};

export type AdmissionSnapshot = {
  draining: boolean;
  /** Unix milliseconds until which the plan is used up; absent while it is not known to be. */
  planClosedUntil?: number;
  lanes: Record<Lane, LaneSnapshot>;
};

export type Admission = {
  /**
   * Rejects with a `RelayError`: `rate_limited` (with `limit`, `retryAfter` and `shouldRetry`), `shutting_down`, or
   * `not_ready` when the daily counts cannot be kept; or with an `AbortError` when the client left.
   */
  reserve(request: ReserveRequest): Promise<Ticket>;
  /** What this key has left, for the headers of an answer and for `GET /v1/usage`. */
  state(lane: Lane, key: KeyLimits): LaneState;
  snapshot(): AdmissionSnapshot;
  /** The upstream said that the plan is used up until `untilWallMs` (Unix milliseconds). */
  planUsedUp(untilWallMs: number): void;
  /** Refuses everything new; resolves when all that was let in, or waits, has ended. Its caller bounds the wait, by their signals. */
  drain(): Promise<void>;
};

export function createAdmission(options: AdmissionOptions): Admission {
  const { clock } = options;
  const days = new DayClock(clock);
  const gate = new PlanGate(clock);
  let draining: PromiseWithResolvers<void> | undefined;

  const onEnd = () => {
    if (lanes.complete.reserved + lanes.fetch.reserved === 0) draining?.resolve();
  };
  const common = { ...options, days, onEnd };
  const lanes: Record<Lane, LaneAdmission> = {
    complete: new LaneAdmission({ ...common, lane: 'complete', limits: options.lanes.complete, gate }),
    fetch: new LaneAdmission({ ...common, lane: 'fetch', limits: options.lanes.fetch }),
  };

  return {
    // Runs to the end before it returns its promise: there is nothing to await between check and take.
    async reserve({ lane, key, signal }) {
      if (draining !== undefined) throw shuttingDown();
      if (signal.aborted) throw clientLeft();
      return lanes[lane].reserve(key, signal);
    },

    state: (lane, key) => lanes[lane].state(key),

    snapshot() {
      const planClosedUntil = gate.closedUntil;
      return {
        draining: draining !== undefined,
        ...(planClosedUntil === undefined ? {} : { planClosedUntil }),
        lanes: { complete: lanes.complete.snapshot(), fetch: lanes.fetch.snapshot() },
      };
    },

    planUsedUp(untilWallMs) {
      gate.usedUp(untilWallMs);
      // Those who wait would each start a process only to be told the same.
      const waitMs = gate.waitMs(0);
      if (waitMs > 0) lanes.complete.refuseWaiting(() => refusal({ limit: 'plan', waitMs }));
    },

    drain() {
      draining ??= Promise.withResolvers();
      onEnd();
      return draining.promise;
    },
  };
}
