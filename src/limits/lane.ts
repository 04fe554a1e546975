/**
 * One lane: its slots, its queue, and what each key has used. Only `reserve` admits a request, and only its `Ticket` ends it. There is
 * no `await` between a check and the take that follows it, so no other request can come between.
 */
import { FairQueue, mayWait } from '../fair-queue.ts';
import type { DailyCounts } from '../store/daily.ts';
import { DailyBudget, type WaitingCounts } from './budget.ts';
import type { Clock } from './clock.ts';
import { Estimate } from './estimate.ts';
import { fits, limitsFor, type KeyLimits, type Lane, type LaneLimits } from './lane-limits.ts';
import { dailyState, rpmState, type LaneState } from './lane-state.ts';
import { fallbackLogin, type PlanLimits, type Trial } from './plan-limit.ts';
import { longest, refusal, type Blocked } from './refusals.ts';
import { nothing, type Spend, type Spending } from './spending.ts';
import { createTicket, type Keeps, type Ticket } from './ticket.ts';
import { minuteMs, SlidingWindow, type DayClock } from './windows.ts';

export type LaneOptions = {
  lane: Lane;
  limits: LaneLimits;
  /** Requests that can wait for a slot; 0: no queue. */
  queueMax: number;
  /** Longest wait for a slot. */
  queueTimeoutMs: number;
  counts: DailyCounts;
  clock: Clock;
  days: DayClock;
  /** For a lane that uses the plan. */
  planLimits?: PlanLimits;
  spending?: Spending;
  /** Called whenever a running request has ended. */
  onEnd: () => void;
};

/** One key in this lane, with the limits it had at its latest request. */
type KeyUse = { keyId: string; limits: LaneLimits; budget: Spend; window: SlidingWindow; running: number };
/** A request that has its place in the minute. */
type Arrival = { key: KeyUse; at: number; model: string; most: () => Spend; trial: Trial | undefined };
type Waiter = Arrival & { start: (day: string) => void; refuse: (error: unknown) => void };

export class LaneAdmission {
  readonly #options: LaneOptions;
  readonly #budget: DailyBudget;
  readonly #estimate = new Estimate();
  readonly #queue = new FairQueue<Waiter>();
  readonly #keys = new Map<string, KeyUse>();
  readonly #running = new Set<{ key: KeyUse; since: number }>();
  #sweptAt: number;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#budget = new DailyBudget(options.lane, options.counts, options.days);
    this.#sweptAt = options.clock.monotonic();
  }

  get running(): number {
    return this.#running.size;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Takes everything one request needs, or throws and takes nothing. The promise is for a request that has to wait. */
  reserve(
    keyLimits: KeyLimits,
    signal: AbortSignal,
    model = '',
    most = () => nothing,
  ): Ticket | Promise<Ticket> {
    const now = this.#options.clock.monotonic();
    this.#forgetIdleKeys(now);
    const key = this.#keyUse(keyLimits);
    // The key's limits may have been raised since other requests began to wait: they come first.
    this.#startWaiting();
    const day = this.#takeOrWait(key, now, model);
    // From here on nothing can fail.
    const arrival: Arrival = { key, at: now, model, most, trial: this.#options.planLimits?.enter(model) };
    key.window.take(now);
    return day === undefined ? this.#wait(arrival, signal) : this.#start(arrival, day);
  }

  /** Refuses the requests that wait for a closed model: each would start a process only to be refused. */
  refuseClosed(): void {
    for (const waiter of this.#queue.all()) {
      const blocked = this.#planBlocked(waiter.model, 0);
      if (blocked !== undefined) waiter.refuse(refusal(blocked));
    }
  }

  state(keyLimits: KeyLimits): LaneState {
    const { keyId, budget = nothing } = keyLimits;
    const limits = limitsFor(this.#options.limits, keyLimits);
    const key = this.#keys.get(keyId);
    const concurrency = {
      limit: limits.keyConcurrency,
      running: key?.running ?? 0,
      globalLimit: limits.concurrency,
      globalRunning: this.running,
      queued: this.#queue.of(keyId),
    };
    const window = key?.window ?? new SlidingWindow(minuteMs);
    const rpm = rpmState(limits, window, this.#options.clock.monotonic());
    try {
      const { key, all, resetMs } = this.#budget.used(keyId, this.#waitingCounts(keyId));
      const daily = dailyState(limits.keyDaily, key, resetMs);
      const globalDaily = dailyState(limits.globalDaily, all, resetMs);
      const budgets = this.#options.spending?.states(keyId, budget);
      return { concurrency, rpm, daily, globalDaily, ...(budgets && { budgets }) };
    } catch {
      // The answer omits the days; new work is refused with the reason.
      return { concurrency, rpm };
    }
  }

  #keyUse(keyLimits: KeyLimits): KeyUse {
    const { keyId, budget = nothing } = keyLimits;
    const limits = limitsFor(this.#options.limits, keyLimits);
    let key = this.#keys.get(keyId);
    if (key === undefined) {
      key = { keyId, limits, budget, window: new SlidingWindow(minuteMs), running: 0 };
      this.#keys.set(keyId, key);
    }
    Object.assign(key, { limits, budget });
    return key;
  }

  #waitingCounts(keyId: string): WaitingCounts {
    return { key: this.#queue.of(keyId), all: this.queued };
  }

  /** Counts the request in the day that it returns; undefined: it has to wait for a slot, and nothing is counted. Throws its refusal. */
  #takeOrWait(key: KeyUse, now: number, model: string): string | undefined {
    const { keyId, limits } = key;
    const waiting = this.#waitingCounts(keyId);
    const closed = longest(this.#planBlocked(model, this.#estimate.typicalMs), this.#spent(key, model));
    const timed = longest(closed, rpmBlocked(key, now));
    if (timed === undefined && this.#slotFree(key, model)) return this.#budget.take(keyId, limits, waiting);
    const blocked =
      longest(timed, this.#budget.blocked(keyId, limits, waiting)) ?? this.#slotBlocked(key, model);
    if (blocked !== undefined) throw refusal(blocked);
    return undefined;
  }

  #planBlocked(model: string, trialTakesMs: number): Blocked | undefined {
    const wait = this.#options.planLimits?.waitFor(model, trialTakesMs);
    return wait === undefined || wait.waitMs === 0 ? undefined : { limit: 'plan', ...wait };
  }

  /** Also when the turns in flight leave something of the budgets. */
  #slotFree(key: KeyUse, model: string): boolean {
    const { limits, running } = key;
    const free = fits(limits.concurrency, this.running) && fits(limits.keyConcurrency, running);
    return free && this.#spendingBlocked(key, model)?.held !== true;
  }

  /** The budget that is used up, if any. */
  #spent(key: KeyUse, model: string): Blocked | undefined {
    const blocked = this.#spendingBlocked(key, model);
    return blocked?.held === true ? undefined : blocked;
  }

  #spendingBlocked({ keyId, budget }: KeyUse, model: string): Blocked | undefined {
    return this.#options.spending?.blocked(keyId, budget, model === fallbackLogin);
  }

  /** Set if a request has neither a slot nor a place in the queue. */
  #slotBlocked(key: KeyUse, model: string): Blocked | undefined {
    if (this.#slotFree(key, model)) return undefined;
    const { queueMax, queueTimeoutMs } = this.#options;
    const hasQueue = queueMax > 0 && queueTimeoutMs > 0;
    if (hasQueue && mayWait(queueMax, this.queued, this.#queue.of(key.keyId))) return undefined;
    const waitMs = this.#slotInMs(key);
    if (hasQueue) return { limit: 'queue_full', waitMs };
    if (keyIsFull(key)) return { limit: 'key_concurrency', waitMs };
    const held = this.#spendingBlocked(key, model);
    return held === undefined ? { limit: 'global_concurrency', waitMs } : { ...held, waitMs };
  }

  /** When a slot is likely to be free for a further request of this key. */
  #slotInMs(key: KeyUse): number {
    const now = this.#options.clock.monotonic();
    const full = keyIsFull(key);
    const slots = [...this.#running].filter((slot) => !full || slot.key === key);
    return this.#estimate.waitMs(
      full ? this.#queue.of(key.keyId) : this.queued,
      slots.map(({ since }) => now - since),
    );
  }

  #start({ key, at, model, most, trial }: Arrival, day: string): Ticket {
    const { clock, spending, onEnd } = this.#options;
    const spend = spending?.begin(key.keyId, key.budget, most, model === fallbackLogin);
    const slot = { key, since: clock.monotonic() };
    this.#running.add(slot);
    this.#queue.served(key.keyId);
    key.running += 1;
    const end = (keeps: Keeps, used: Spend): void => {
      this.#running.delete(slot);
      key.running -= 1;
      spend?.(used);
      trial?.end();
      this.#estimate.note(clock.monotonic() - slot.since);
      if (keeps !== 'all') this.#budget.refund(key.keyId, day);
      if (keeps === 'nothing') key.window.refund(at);
      this.#startWaiting();
      onEnd();
    };
    return createTicket(end, () => trial?.succeeded());
  }

  /**
   * Waits for a slot. The place in the minute is taken and the room in the day is kept, but the day counts the request only when it
   * gets its slot: whatever ends the waiting, a crash included, leaves no count of a request that never ran.
   */
  #wait(arrival: Arrival, signal: AbortSignal): Promise<Ticket> {
    const { key, at, trial } = arrival;
    const { promise, resolve, reject } = Promise.withResolvers<Ticket>();
    const stopWaiting = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
    };
    const refuse = (error: unknown): void => {
      this.#queue.remove(key.keyId, waiter);
      stopWaiting();
      key.window.refund(at);
      trial?.end();
      reject(error);
      this.#options.onEnd();
    };
    const onAbort = (): void => refuse(signal.reason);
    const timer = this.#options.clock.setTimer(this.#options.queueTimeoutMs, () => {
      refuse(refusal({ limit: 'queue_timeout', waitMs: this.#slotInMs(key) }));
    });
    const start = (day: string): void => {
      stopWaiting();
      resolve(this.#start(arrival, day));
    };
    const waiter: Waiter = { ...arrival, start, refuse };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#queue.add(key.keyId, waiter);
    return promise;
  }

  #startWaiting(): void {
    const next = () =>
      this.#queue.next(
        (waiter) => this.#canStart(waiter),
        ({ key }) => key.running,
      );
    for (let waiter = next(); waiter !== undefined; waiter = next()) {
      const { keyId, limits } = waiter.key;
      try {
        const spent = this.#spent(waiter.key, waiter.model);
        if (spent !== undefined) throw refusal(spent);
        // Another day may have begun, the key's limits may be lower now, or another relay took the room.
        waiter.start(this.#budget.take(keyId, limits, { key: 0, all: 0 }));
      } catch (error) {
        waiter.refuse(error);
      }
    }
  }

  /** Without counts a request starts only to be refused. */
  #canStart({ key, model }: Waiter): boolean {
    try {
      return this.#slotFree(key, model);
    } catch {
      return true;
    }
  }

  /** Once a minute: forgets keys that neither run nor wait nor have used their last minute. */
  #forgetIdleKeys(now: number): void {
    if (now - this.#sweptAt < minuteMs) return;
    this.#sweptAt = now;
    for (const [keyId, { running, window }] of this.#keys) {
      if (running === 0 && this.#queue.of(keyId) === 0 && window.used(now) === 0) this.#keys.delete(keyId);
    }
  }
}

function keyIsFull({ limits, running }: KeyUse): boolean {
  return !fits(limits.keyConcurrency, running);
}

function rpmBlocked({ limits, window }: KeyUse, now: number): Blocked | undefined {
  const waitMs = limits.keyRpm > 0 ? window.waitMs(now, limits.keyRpm) : 0;
  return waitMs > 0 ? { limit: 'key_rpm', waitMs } : undefined;
}
