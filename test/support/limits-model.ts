/**
 * A second, plainer implementation of the limits: a list of all requests, from which
 * everything is counted again each time. The simulation compares the real admission with it.
 */
import type { LimitName } from '../../src/errors.ts';
import type { KeyLimits, Lane, LaneLimits } from '../../src/limits/lane-limits.ts';
import type { FakeClock } from './limits.ts';
import type { Ticket } from '../../src/limits/ticket.ts';

/** The life of a request after its arrival, in this order. */
export const runningPhases = ['spawning', 'waiting', 'answering', 'settling'] as const;
type Phase = 'refused' | 'queued' | (typeof runningPhases)[number] | 'over' | 'vanished';

export type Expected =
  | { kind: 'granted' }
  | { kind: 'queued' }
  | { kind: 'refused'; limits: ReadonlySet<LimitName> }
  | { kind: 'error'; code: 'not_ready' | 'shutting_down' };

export type Request = {
  id: number;
  lane: Lane;
  keyId: string;
  at: number;
  expected: Expected;
  phase: Phase;
  /** Whether it has a place in its key's minute. */
  inMinute: boolean;
  /** The day in which it is counted; set when it is counted. */
  day?: string;
  ticket?: Ticket;
  abort: AbortController;
};

export type Config = {
  lanes: Record<Lane, LaneLimits>;
  queueMax: number;
  queueTimeoutMs: number;
  keys: KeyLimits[];
};

export class Model {
  readonly config: Config;
  readonly counts = new Map<string, number>();
  readonly requests: Request[] = [];
  /** The requests that still matter to a limit. */
  #live: Request[] = [];
  /** The limits of each key as of its latest request. */
  readonly known = new Map<string, KeyLimits>();
  failReads = false;
  failAdds = false;
  draining = false;
  /** For each key, the number of its latest start among all starts of the lane. */
  readonly #latest = new Map<string, number>();
  #starts = 0;
  closed: { wall: number; monotonic: number } | undefined;
  trial: Request | undefined;
  readonly #clock: FakeClock;
  #day: string;
  #daySince: number;

  constructor(config: Config, clock: FakeClock) {
    this.config = config;
    this.#clock = clock;
    this.#day = this.#wallDay();
    this.#daySince = clock.monotonic();
  }

  today(): string {
    const wallDay = this.#wallDay();
    const inUse = this.#clock.monotonic() - this.#daySince;
    if (wallDay > this.#day || (wallDay < this.#day && inUse >= 24 * 3600 * 1000)) {
      this.#day = wallDay;
      this.#daySince = this.#clock.monotonic();
    }
    return this.#day;
  }

  limits(lane: Lane, key: KeyLimits): LaneLimits {
    const { keyRpm, keyDaily, keyConcurrency, ...rest } = this.config.lanes[lane];
    return {
      ...rest,
      keyRpm: key.rpm ?? keyRpm,
      keyDaily: key.daily ?? keyDaily,
      keyConcurrency: key.concurrency ?? keyConcurrency,
    };
  }

  knownLimits(request: Request): LaneLimits {
    return this.limits(
      request.lane,
      this.known.get(`${request.lane} ${request.keyId}`) ?? { keyId: request.keyId },
    );
  }

  running(lane: Lane, keyId?: string): Request[] {
    return this.#live.filter(
      (each) =>
        each.lane === lane &&
        (keyId === undefined || each.keyId === keyId) &&
        runningPhases.some((phase) => phase === each.phase),
    );
  }

  queued(lane: Lane, keyId?: string): Request[] {
    return this.#live.filter(
      (each) =>
        each.lane === lane && (keyId === undefined || each.keyId === keyId) && each.phase === 'queued',
    );
  }

  minute(lane: Lane, keyId: string): number {
    const now = this.#clock.monotonic();
    return this.#live.filter(
      (each) => each.lane === lane && each.keyId === keyId && each.inMinute && now - each.at < 60_000,
    ).length;
  }

  counted(day: string, scope: string): number {
    return this.counts.get(`${day} ${scope}`) ?? 0;
  }

  slotFree(lane: Lane, keyId: string, limits: LaneLimits): boolean {
    const { concurrency, keyConcurrency } = limits;
    return (
      (concurrency === 0 || this.running(lane).length < concurrency) &&
      (keyConcurrency === 0 || this.running(lane, keyId).length < keyConcurrency)
    );
  }

  planIsClosed(): boolean {
    return (
      this.closed !== undefined &&
      this.#clock.wall() < this.closed.wall &&
      this.#clock.monotonic() < this.closed.monotonic
    );
  }

  usedUp(untilWall: number): void {
    const told = untilWall - this.#clock.wall();
    const wait = told > 0 && told < Infinity ? Math.min(told, 8 * 24 * 3600 * 1000) : 60_000;
    if (this.closed !== undefined && this.planIsClosed()) {
      const left = Math.min(
        this.closed.wall - this.#clock.wall(),
        this.closed.monotonic - this.#clock.monotonic(),
      );
      if (wait <= left) return;
    }
    this.closed = { wall: this.#clock.wall() + wait, monotonic: this.#clock.monotonic() + wait };
    this.trial = undefined;
  }

  /** Only for speed: no longer looks at requests that are over and out of their minute. */
  forgetOver(): void {
    const minuteAgo = this.#clock.monotonic() - 60_000;
    this.#live = this.#live.filter(
      ({ phase, inMinute, at }) =>
        !['refused', 'over', 'vanished'].includes(phase) || (inMinute && at > minuteAgo),
    );
  }

  /** The limits, slots aside, that have no room for one more request of this key. */
  full(lane: Lane, key: KeyLimits, withQueued = true): Set<LimitName> {
    const limits = this.limits(lane, key);
    const held = (keyId?: string) => (withQueued ? this.queued(lane, keyId).length : 0);
    const used = this.counted(this.today(), `${lane}:key:${key.keyId}`) + held(key.keyId);
    const usedByAll = this.counted(this.today(), `${lane}:all`) + held();
    const full = new Set<LimitName>();
    if (limits.keyRpm > 0 && this.minute(lane, key.keyId) >= limits.keyRpm) full.add('key_rpm');
    if (limits.keyDaily > 0 && used >= limits.keyDaily) full.add('key_daily');
    if (limits.globalDaily > 0 && usedByAll >= limits.globalDaily) full.add('global_daily');
    if (lane === 'complete' && this.closed !== undefined && (this.planIsClosed() || this.trial)) {
      full.add('plan');
    }
    return full;
  }

  /** The expected decision about a request that arrives now. */
  expect(lane: Lane, key: KeyLimits): Expected {
    const { keyId } = key;
    if (this.draining) return { kind: 'error', code: 'shutting_down' };
    const limits = this.limits(lane, key);
    const readsDay = limits.keyDaily > 0 || limits.globalDaily > 0;
    if (this.failReads && readsDay) return { kind: 'error', code: 'not_ready' };
    const full = this.full(lane, key);
    const slotFree = this.slotFree(lane, keyId, limits);
    // One statement looks at the day and counts: where nothing can be written, it cannot look either.
    const counts = slotFree && !full.has('key_rpm') && !full.has('plan');
    if (counts && this.failAdds) return { kind: 'error', code: 'not_ready' };
    if (full.size > 0) return { kind: 'refused', limits: full };
    if (slotFree) return { kind: 'granted' };
    const { queueMax, queueTimeoutMs } = this.config;
    if (queueMax === 0 || queueTimeoutMs === 0) {
      const { keyConcurrency } = limits;
      const byKey = keyConcurrency > 0 && this.running(lane, keyId).length >= keyConcurrency;
      return { kind: 'refused', limits: new Set([byKey ? 'key_concurrency' : 'global_concurrency']) };
    }
    const ofKey = this.queued(lane, keyId).length;
    // The first of a key always; the others while there are places, in half of them.
    const mayWait = ofKey === 0 || (this.queued(lane).length < queueMax && ofKey < queueMax / 2);
    return mayWait ? { kind: 'queued' } : { kind: 'refused', limits: new Set(['queue_full']) };
  }

  /** The smaller key goes first: fewest running requests, then served longest ago. */
  turn(lane: Lane, keyId: string): [number, number] {
    return [this.running(lane, keyId).length, this.#latest.get(`${lane} ${keyId}`) ?? 0];
  }

  arrive(lane: Lane, key: KeyLimits): Request {
    const expected = this.expect(lane, key);
    const request: Request = {
      id: this.requests.length,
      lane,
      keyId: key.keyId,
      at: this.#clock.monotonic(),
      expected,
      phase: 'refused',
      inMinute: false,
      abort: new AbortController(),
    };
    this.requests.push(request);
    this.#live.push(request);
    if (!this.draining) this.known.set(`${lane} ${key.keyId}`, key);
    if (expected.kind === 'granted' || expected.kind === 'queued') {
      request.inMinute = true;
      if (lane === 'complete' && this.closed !== undefined) this.trial = request;
      if (expected.kind === 'granted') this.start(request);
      else request.phase = 'queued';
    }
    return request;
  }

  start(request: Request): void {
    request.phase = 'spawning';
    this.#starts += 1;
    this.#latest.set(`${request.lane} ${request.keyId}`, this.#starts);
    request.day = this.today();
    this.#add(request, request.day, 1);
  }

  end(request: Request, keepsCount: boolean): void {
    if (!keepsCount && request.day !== undefined && !this.failAdds) this.#add(request, request.day, -1);
    request.phase = 'over';
    if (this.trial === request) this.trial = undefined;
  }

  /** Removes a request from the queue and releases everything that it had reserved. */
  leave(request: Request): void {
    request.phase = 'refused';
    request.inMinute = false;
    if (this.trial === request) this.trial = undefined;
  }

  works(request: Request): void {
    if (this.trial === request) this.closed = undefined;
    if (this.trial === request) this.trial = undefined;
  }

  /** The process is gone, as after `kill -9`: only the counts are left. */
  restart(): void {
    for (const request of this.requests) {
      request.phase = 'vanished';
      request.inMinute = false;
    }
    this.known.clear();
    this.#latest.clear();
    this.closed = undefined;
    this.trial = undefined;
    this.draining = false;
    this.#day = this.#wallDay();
    this.#daySince = this.#clock.monotonic();
  }

  #add(request: Request, day: string, delta: number): void {
    for (const scope of [`${request.lane}:key:${request.keyId}`, `${request.lane}:all`]) {
      const entry = `${day} ${scope}`;
      this.counts.set(entry, (this.counts.get(entry) ?? 0) + delta);
    }
  }

  #wallDay(): string {
    const date = new Date(this.#clock.wall());
    const two = (value: number) => String(value).padStart(2, '0');
    return `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  }
}
