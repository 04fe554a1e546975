/**
 * Refuses requests while the upstream says that the plan, or its share for a family of models, is used up, so that not every request
 * starts a process only to be refused.
 *
 * Until the time that the upstream names, nothing passes. Then one trial at a time does. A trial that succeeds opens the plan; a
 * further "used up" closes it until the new time; a trial that ends in any other way makes room for the next.
 */
import { familyOf } from '../model-family.ts';
import { dayMs } from '../time.ts';
import type { Clock } from './clock.ts';

/** The longest window of a plan is seven days; a time further off is wrong. */
const longestMs = 8 * dayMs;
/** For a time that is not valid, or past: soon enough to recover, and far from a process for each request. */
const unknownMs = 60_000;

/** A request that passes to find out whether the plan works again. */
export type Trial = {
  /** The upstream accepted the request. */
  succeeded(): void;
  /** The request is over, in whatever way. */
  end(): void;
};

/** The limit of the whole plan, or of one family of models. */
export class PlanLimit {
  readonly #clock: Clock;
  #closed: { untilWall: number; untilMonotonic: number } | undefined;
  #trial: Trial | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `untilWallMs`: Unix milliseconds, from the CLI's `rate_limit_event.rate_limit_info.resetsAt` (Unix seconds). */
  usedUp(untilWallMs: number): void {
    const leftMs = untilWallMs - this.#clock.wall();
    const waitMs = Number.isFinite(leftMs) && leftMs > 0 ? Math.min(leftMs, longestMs) : unknownMs;
    // Requests that ran at the same time can name different windows. A retry works after the later one.
    if (waitMs <= this.#remainingMs()) return;
    this.#closed = {
      untilWall: this.#clock.wall() + waitMs,
      untilMonotonic: this.#clock.monotonic() + waitMs,
    };
    this.#trial = undefined;
  }

  /** Milliseconds until a request can pass; 0: now. During a trial, the time that a trial is expected to take. */
  waitMs(trialTakesMs: number): number {
    if (this.#closed === undefined) return 0;
    return this.#remainingMs() || (this.#trial === undefined ? 0 : Math.max(trialTakesMs, 1_000));
  }

  /** Call only when `waitMs` is 0. Returns the trial that this request is, if it is one. */
  enter(): Trial | undefined {
    if (this.#closed === undefined) return undefined;
    const trial: Trial = {
      succeeded: () => {
        if (this.#trial === trial) this.#closed = undefined;
      },
      end: () => {
        if (this.#trial === trial) this.#trial = undefined;
      },
    };
    this.#trial = trial;
    return trial;
  }

  /** Unix milliseconds; undefined when requests pass, and while trials decide. */
  get closedUntil(): number | undefined {
    const left = this.#remainingMs();
    return left > 0 ? this.#clock.wall() + left : undefined;
  }

  /** By whichever clock is first: one can stand still in sleep, the other be set back. Being early costs one trial. */
  #remainingMs(): number {
    if (this.#closed === undefined) return 0;
    const byWall = this.#closed.untilWall - this.#clock.wall();
    const byMonotonic = this.#closed.untilMonotonic - this.#clock.monotonic();
    return Math.max(0, Math.min(byWall, byMonotonic));
  }
}

/** A part of the plan that is used up. */
export type PlanClosing = {
  /** A family of models (`opus`); absent: all models. */
  family: string | undefined;
  /** Unix milliseconds. */
  until: number;
};

/** In place of a model: the second login. It does not use the plan, and is closed for a while when its account refuses a request. */
export const fallbackLogin = '$fallback';

/** The limit of the whole plan, and of each family of models that has a separate one. */
export class PlanLimits {
  readonly #clock: Clock;
  /** By family; undefined: of the whole plan. */
  readonly #limits = new Map<string | undefined, PlanLimit>();
  /** The ids that the CLI uses for other names, such as aliases. */
  readonly #resolved = new Map<string, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Closes the family of `model`; without it, the whole plan. */
  usedUp(untilWallMs: number, model?: string): void {
    const family = model === undefined ? undefined : this.family(model);
    const limit = this.#limits.get(family) ?? new PlanLimit(this.#clock);
    this.#limits.set(family, limit);
    limit.usedUp(untilWallMs);
  }

  /** The CLI used the model `resolved` for `model`. Only the owner's settings have names other than ids, so there are few. */
  resolved(model: string, resolved: string): void {
    if (!model.includes('claude-')) this.#resolved.set(model, resolved);
  }

  family(model: string): string {
    return familyOf(this.#resolved.get(model) ?? model);
  }

  /** The longer wait of the whole plan and of the model's family, which is named if its wait is the longer one. */
  waitFor(model: string, trialTakesMs: number): { waitMs: number; family?: string } {
    const family = this.family(model);
    const allMs = model === fallbackLogin ? 0 : (this.#limits.get(undefined)?.waitMs(trialTakesMs) ?? 0);
    const familyMs = this.#limits.get(family)?.waitMs(trialTakesMs) ?? 0;
    return familyMs > allMs ? { waitMs: familyMs, family } : { waitMs: allMs };
  }

  /** Call only when there is nothing to wait for. */
  enter(model: string): Trial | undefined {
    const names = model === fallbackLogin ? [model] : [undefined, this.family(model)];
    const limits = names.map((name) => this.#limits.get(name));
    const trials = limits.flatMap((limit) => limit?.enter() ?? []);
    if (trials.length === 0) return undefined;
    return {
      succeeded: () => trials.forEach((trial) => trial.succeeded()),
      end: () => trials.forEach((trial) => trial.end()),
    };
  }

  /** What is closed now, without what trials decide about. */
  closings(): PlanClosing[] {
    return [...this.#limits].flatMap(([family, { closedUntil }]) =>
      closedUntil === undefined || family === fallbackLogin ? [] : [{ family, until: closedUntil }],
    );
  }
}
