/**
 * The gates that close when the upstream says that the plan, or its share for a family of models, is used up until a time, so
 * that not every request starts a process to learn it again.
 *
 * Until that time nothing passes. After it one probe at a time does: a probe that works opens the gate, a further
 * "used up" closes it with the new time, and a probe that ends in any other way makes room for the next one.
 */
import { familyOf } from '../model-family.ts';
import type { Clock } from './clock.ts';

/** The longest window a plan has is seven days; a time further off is wrong. */
const longestMs = 8 * 86_400_000;
/** Waited when the time told is no time, or past: soon enough to recover, seldom enough to start no process a request. */
const unknownMs = 60_000;

export type Probe = {
  /** The upstream accepted the request. */
  works(): void;
  /** The request is over, in whatever way. */
  end(): void;
};

type Closed = { untilWall: number; untilMonotonic: number };

export class PlanGate {
  readonly #clock: Clock;
  #closed: Closed | undefined;
  #probe: Probe | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `untilWallMs`: Unix milliseconds, from the CLI's `rate_limit_event.rate_limit_info.resetsAt` (Unix seconds). */
  usedUp(untilWallMs: number): void {
    const told = untilWallMs - this.#clock.wall();
    const waitMs = Number.isFinite(told) && told > 0 ? Math.min(told, longestMs) : unknownMs;
    // Requests that were under way together can name different windows: the later one is when it can work.
    if (waitMs <= this.#remainingMs()) return;
    this.#closed = {
      untilWall: this.#clock.wall() + waitMs,
      untilMonotonic: this.#clock.monotonic() + waitMs,
    };
    this.#probe = undefined;
  }

  /** Milliseconds until a request may pass: 0 when one may now. While a probe is out, what it is expected to take. */
  waitMs(probeTakesMs: number): number {
    if (this.#closed === undefined) return 0;
    return this.#remainingMs() || (this.#probe === undefined ? 0 : Math.max(probeTakesMs, 1_000));
  }

  /** Call only when `waitMs` is 0. Gives the probe that this request is, if it is one. */
  enter(): Probe | undefined {
    if (this.#closed === undefined) return undefined;
    const probe: Probe = {
      works: () => {
        if (this.#probe === probe) this.#closed = undefined;
      },
      end: () => {
        if (this.#probe === probe) this.#probe = undefined;
      },
    };
    this.#probe = probe;
    return probe;
  }

  /** Unix milliseconds; undefined when the gate is open, and while probes decide. */
  get closedUntil(): number | undefined {
    const left = this.#remainingMs();
    return left > 0 ? this.#clock.wall() + left : undefined;
  }

  /**
   * By whichever clock is first: the monotonic one may stand still while the machine sleeps, and the wall clock may be
   * set back. Being early costs one probe.
   */
  #remainingMs(): number {
    if (this.#closed === undefined) return 0;
    const byWall = this.#closed.untilWall - this.#clock.wall();
    const byMonotonic = this.#closed.untilMonotonic - this.#clock.monotonic();
    return Math.max(0, Math.min(byWall, byMonotonic));
  }
}

/** A part of the plan that is used up. */
export type PlanClosing = {
  /** A family of models (`opus`); absent: all of them. */
  family?: string;
  /** Unix milliseconds. */
  until: number;
};

/** The gates of the whole plan and of each family of models that has a limit for itself. */
export class PlanGates {
  readonly #clock: Clock;
  readonly #all: PlanGate;
  readonly #families = new Map<string, PlanGate>();
  /** What the CLI makes of a name that is no model's id, such as an alias. */
  readonly #resolved = new Map<string, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new PlanGate(clock);
  }

  /** `model`: one that is closed, and its whole family with it; without it everything is. */
  usedUp(untilWallMs: number, model?: string): void {
    if (model === undefined) return this.#all.usedUp(untilWallMs);
    const family = this.family(model);
    const gate = this.#families.get(family) ?? new PlanGate(this.#clock);
    this.#families.set(family, gate);
    gate.usedUp(untilWallMs);
  }

  /** The CLI asked `resolved` where `model` was asked for. Only the owner's settings name models by aliases, so these are few. */
  resolved(model: string, resolved: string): void {
    if (!model.includes('claude-')) this.#resolved.set(model, resolved);
  }

  family(model: string): string {
    return familyOf(this.#resolved.get(model) ?? model);
  }

  /** The longest wait of a model, and of which family it is (none: of the whole plan); see `PlanGate.waitMs`. */
  waitFor(model: string, probeTakesMs: number): { waitMs: number; family?: string } {
    const family = this.family(model);
    const allMs = this.#all.waitMs(probeTakesMs);
    const familyMs = this.#families.get(family)?.waitMs(probeTakesMs) ?? 0;
    return familyMs > allMs ? { waitMs: familyMs, family } : { waitMs: allMs };
  }

  /** Call only when there is nothing to wait for. See `PlanGate.enter`. */
  enter(model: string): Probe | undefined {
    const probes = [this.#all.enter(), this.#families.get(this.family(model))?.enter()];
    if (probes.every((probe) => probe === undefined)) return undefined;
    return {
      works: () => probes.forEach((probe) => probe?.works()),
      end: () => probes.forEach((probe) => probe?.end()),
    };
  }

  /** What is closed now; what probes decide about is not among it. */
  closings(): PlanClosing[] {
    const all = { until: this.#all.closedUntil };
    return [
      all,
      ...[...this.#families].map(([family, gate]) => ({ family, until: gate.closedUntil })),
    ].filter((each): each is PlanClosing => each.until !== undefined);
  }
}
