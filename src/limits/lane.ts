/**
 * One lane: its slots, its queue, and what each key of it has used. `reserve` is the one place where a request is let
 * in, and a `Ticket` the one way it gets out again.
 *
 * Between a check and the take that follows it there is no `await`: no other request can come between.
 */
import { DailyBudget, type DailyCounts, type Held } from './budget.ts';
import type { Clock } from './clock.ts';
import { Estimate } from './estimate.ts';
import { fits, limitsFor, type KeyLimits, type Lane, type LaneLimits } from './lane-limits.ts';
import { dailyState, rpmState, type LaneSnapshot, type LaneState } from './lane-state.ts';
import type { PlanGates, Probe } from './plan-limit.ts';
import { FairQueue, mayWait } from '../fair-queue.ts';
import { clientLeft, countsUnavailable, longest, refusal, type Blocked } from './refusals.ts';
import { createTicket, type Ticket } from './ticket.ts';
import { minuteMs, SlidingWindow, type DayClock } from './windows.ts';

export type LaneOptions = {
  lane: Lane;
  limits: LaneLimits;
  queueMax: number;
  queueTimeoutMs: number;
  counts: DailyCounts;
  clock: Clock;
  days: DayClock;
  /** For a lane that uses the plan. */
  gates?: PlanGates;
  /** Called whenever a running request has ended. */
  onEnd: () => void;
};

type KeyUse = { limits: LaneLimits; window: SlidingWindow; running: number; queued: number };
type Arrival = {
  keyId: string;
  at: number;
  use: KeyUse;
  model: string;
  probe: Probe | undefined;
};
type Waiter = Arrival & { grant: (day: string) => void; refuse: (error: Error) => void };

export class LaneAdmission {
  readonly #options: LaneOptions;
  readonly #budget: DailyBudget;
  readonly #estimate = new Estimate();
  readonly #queue = new FairQueue<Waiter>();
  readonly #keys = new Map<string, KeyUse>();
  readonly #running = new Set<{ keyId: string; since: number }>();
  #reserved = 0;
  #doubleEnds = 0;
  #lostGiveBacks = 0;
  #sweptAt: number;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#budget = new DailyBudget(options.lane, options.counts, options.days);
    this.#sweptAt = options.clock.monotonic();
  }

  /** Requests that run or wait. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Takes everything one request needs, or throws and takes nothing. The promise is for those that have to wait. */
  reserve(key: KeyLimits, signal: AbortSignal, model = ''): Ticket | Promise<Ticket> {
    const now = this.#options.clock.monotonic();
    const { keyId } = key;
    this.#forgetIdleKeys(now);
    const use = this.#use(key);
    // The key's limits may have been raised since others of it began to wait: they come first.
    this.#pump();
    const day = this.#takeOrWait(keyId, use, now, model);
    // From here on nothing can fail.
    const arrival: Arrival = { keyId, at: now, use, model, probe: this.#options.gates?.enter(model) };
    use.window.take(now);
    this.#reserved += 1;
    return day === undefined ? this.#wait(arrival, signal) : this.#open(arrival, day);
  }

  /** Sends those home who wait for a model that is closed: each would start a process only to be refused. */
  refuseClosed(): void {
    for (const waiter of this.#queue.all()) {
      const blocked = this.#planBlocked(waiter.model, 0);
      if (blocked !== undefined) waiter.refuse(refusal(blocked));
    }
  }

  state(key: KeyLimits): LaneState {
    const now = this.#options.clock.monotonic();
    const limits = limitsFor(this.#options.limits, key);
    const use = this.#keys.get(key.keyId);
    const concurrency = {
      limit: limits.keyConcurrency,
      running: use?.running ?? 0,
      globalLimit: limits.concurrency,
      globalRunning: this.#running.size,
      queued: use?.queued ?? 0,
    };
    const rpm = rpmState(limits, use?.window ?? new SlidingWindow(minuteMs), now);
    try {
      const held = { key: concurrency.queued, all: this.#queue.size };
      return { concurrency, ...rpm, ...dailyState(limits, this.#budget.used(key.keyId, held)) };
    } catch {
      // An answer says nothing about the days then; new work is refused with the reason.
      return { concurrency, ...rpm };
    }
  }

  snapshot(): LaneSnapshot {
    return {
      running: this.#running.size,
      queued: this.#queue.size,
      reserved: this.#reserved,
      typicalMs: this.#estimate.typicalMs,
      countsWritable: this.#budget.writable,
      doubleEnds: this.#doubleEnds,
      lostGiveBacks: this.#lostGiveBacks,
      keys: [...this.#keys].map(([keyId, { running, queued }]) => ({ keyId, running, queued })),
    };
  }

  /** The key's use so far, with the limits it has now. */
  #use(key: KeyLimits): KeyUse {
    const limits = limitsFor(this.#options.limits, key);
    const known = this.#keys.get(key.keyId);
    if (known !== undefined) {
      known.limits = limits;
      return known;
    }
    const use: KeyUse = { limits, window: new SlidingWindow(minuteMs), running: 0, queued: 0 };
    this.#keys.set(key.keyId, use);
    return use;
  }

  /** Counts the request in the day that it returns; undefined: it has to wait for a slot, and nothing is counted. Throws its refusal. */
  #takeOrWait(keyId: string, use: KeyUse, now: number, model: string): string | undefined {
    const held = { key: use.queued, all: this.#queue.size };
    const timed = longest([this.#planBlocked(model, this.#estimate.typicalMs), rpmBlocked(use, now)]);
    if (timed === undefined && this.#slotFree(use)) return this.#take(keyId, use, held);
    const blocked = longest([timed, this.#dayBlocked(keyId, use, held)]) ?? this.#slotBlocked(keyId, use);
    if (blocked !== undefined) throw refusal(blocked);
    return undefined;
  }

  #planBlocked(model: string, probeTakesMs: number): Blocked | undefined {
    const closed = this.#options.gates?.waitFor(model, probeTakesMs);
    return closed === undefined || closed.waitMs === 0 ? undefined : { limit: 'plan', ...closed };
  }

  #dayBlocked(keyId: string, { limits }: KeyUse, held: Held): Blocked | undefined {
    try {
      return this.#budget.blocked(keyId, { key: limits.keyDaily, all: limits.globalDaily }, held);
    } catch (error) {
      throw countsUnavailable(error);
    }
  }

  /** Counts a request that has its slot, and returns the day. Throws the refusal of a day without room: another relay may have taken it. */
  #take(keyId: string, use: KeyUse, held: Held): string {
    const { keyDaily, globalDaily } = use.limits;
    let day: string | undefined;
    try {
      day = this.#budget.take(keyId, { key: keyDaily, all: globalDaily }, held);
    } catch (error) {
      throw countsUnavailable(error);
    }
    if (day !== undefined) return day;
    // Between the two statements the other relay may have given its count back.
    throw refusal(this.#dayBlocked(keyId, use, held) ?? { limit: 'global_daily', waitMs: 1_000 });
  }

  #slotFree({ limits, running }: KeyUse): boolean {
    return fits(limits.concurrency, this.#running.size) && fits(limits.keyConcurrency, running);
  }

  /** Set when there is neither a slot nor a place in the queue for one. */
  #slotBlocked(keyId: string, use: KeyUse): Blocked | undefined {
    if (this.#slotFree(use)) return undefined;
    const { queueMax, queueTimeoutMs } = this.#options;
    if (queueMax > 0 && queueTimeoutMs > 0) {
      if (mayWait(queueMax, this.#queue.size, use.queued)) return undefined;
      return { limit: 'queue_full', waitMs: this.#slotInMs(keyId, use) };
    }
    const keyIsFull = !fits(use.limits.keyConcurrency, use.running);
    return {
      limit: keyIsFull ? 'key_concurrency' : 'global_concurrency',
      waitMs: this.#slotInMs(keyId, use),
    };
  }

  /** When a slot is likely to be free for a further request of this key. */
  #slotInMs(keyId: string, { limits, running, queued }: KeyUse): number {
    const now = this.#options.clock.monotonic();
    const keyIsFull = !fits(limits.keyConcurrency, running);
    const slots = [...this.#running].filter((slot) => !keyIsFull || slot.keyId === keyId);
    return this.#estimate.waitMs(
      keyIsFull ? queued : this.#queue.size,
      slots.map(({ since }) => now - since),
    );
  }

  /** Makes a counted reservation a running request. */
  #open({ keyId, use, probe }: Arrival, day: string): Ticket {
    const { clock, onEnd } = this.#options;
    const slot = { keyId, since: clock.monotonic() };
    this.#running.add(slot);
    this.#queue.served(keyId);
    use.running += 1;
    return createTicket({
      onEnd: (keepsCount) => {
        this.#running.delete(slot);
        use.running -= 1;
        this.#reserved -= 1;
        probe?.end();
        this.#estimate.note(clock.monotonic() - slot.since);
        if (!keepsCount && !this.#budget.giveBack(keyId, day)) this.#lostGiveBacks += 1;
        this.#pump();
        onEnd();
      },
      onDoubleEnd: () => {
        this.#doubleEnds += 1;
      },
      onPlanWorks: () => probe?.works(),
    });
  }

  /**
   * Waits for a slot. The place in the minute is taken and the room in the day is kept, but the day counts the request
   * only when it gets its slot: whatever ends the waiting, a crash included, leaves no count of a request that never ran.
   */
  #wait(arrival: Arrival, signal: AbortSignal): Promise<Ticket> {
    const { keyId, at, use, probe } = arrival;
    const { promise, resolve, reject } = Promise.withResolvers<Ticket>();
    const stopWaiting = () => {
      use.queued -= 1;
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
    };
    const leave = (error: Error) => {
      this.#queue.remove(keyId, waiter);
      stopWaiting();
      this.#reserved -= 1;
      use.window.giveBack(at);
      probe?.end();
      reject(error);
    };
    const onAbort = () => leave(clientLeft());
    const timer = this.#options.clock.setTimer(this.#options.queueTimeoutMs, () => {
      leave(refusal({ limit: 'queue_timeout', waitMs: this.#slotInMs(keyId, use) }));
    });
    const waiter: Waiter = {
      ...arrival,
      grant: (day) => {
        stopWaiting();
        resolve(this.#open(arrival, day));
      },
      refuse: leave,
    };
    use.queued += 1;
    signal.addEventListener('abort', onAbort, { once: true });
    this.#queue.add(keyId, waiter);
    return promise;
  }

  /** Gives free slots to those who wait for one. */
  #pump(): void {
    const next = () =>
      this.#queue.next(
        ({ use }) => this.#slotFree(use),
        ({ use }) => use.running,
      );
    for (let waiter = next(); waiter !== undefined; waiter = next()) {
      try {
        // Another day may have begun while it waited, its key's limits may be lower now, or another relay took the room.
        waiter.grant(this.#take(waiter.keyId, waiter.use, { key: 0, all: 0 }));
      } catch (error) {
        waiter.refuse(error instanceof Error ? error : countsUnavailable(error));
      }
    }
  }

  /** Once a minute: a key that neither runs nor waits nor has used its last minute is forgotten. */
  #forgetIdleKeys(now: number): void {
    if (now - this.#sweptAt < minuteMs) return;
    this.#sweptAt = now;
    for (const [keyId, { running, queued, window }] of this.#keys) {
      if (running === 0 && queued === 0 && window.used(now) === 0) this.#keys.delete(keyId);
    }
  }
}

function rpmBlocked({ limits, window }: KeyUse, now: number): Blocked | undefined {
  const waitMs = limits.keyRpm > 0 ? window.waitMs(now, limits.keyRpm) : 0;
  return waitMs > 0 ? { limit: 'key_rpm', waitMs } : undefined;
}
