/** The daily limits of one lane, over counts that outlive the process. */
import type { Lane } from './lane-limits.ts';
import type { Blocked } from './refusals.ts';
import type { DayClock } from './windows.ts';

/**
 * Durable counts by UTC day (`2026-01-31`) and scope: `<lane>:key:<key id>` for one key, `<lane>:all` for all together.
 * Synchronous; all three throw when the store cannot be used.
 */
export interface DailyCounts {
  /** The counts of both scopes, in their order. */
  read(day: string, scopes: readonly [string, string]): readonly [number, number];
  /** Adds 1 to all scopes and returns true, or to none and returns false when one is at its limit (null: it has none). */
  take(day: string, wanted: readonly { scope: string; limit: number | null }[]): boolean;
  giveBack(day: string, scopes: readonly string[]): void;
}

/** 0 turns a limit off. */
export type DailyLimits = { key: number; all: number };

/** Requests that wait for a slot: they will count as soon as they have one, so their room is kept. */
export type Held = { key: number; all: number };

/** Used today, and for how many milliseconds that day is still counted. */
export type DailyUse = { key: number; all: number; resetMs: number };

export class DailyBudget {
  readonly #lane: Lane;
  readonly #counts: DailyCounts;
  readonly #days: DayClock;
  #writable = true;

  constructor(lane: Lane, counts: DailyCounts, days: DayClock) {
    this.#lane = lane;
    this.#counts = counts;
    this.#days = days;
  }

  /** False from a count that could not be kept until one that could. */
  get writable(): boolean {
    return this.#writable;
  }

  /**
   * The daily limit without room for one more, if any; its wait ends in a day in which both limits have room.
   * Throws when the counts cannot be read.
   */
  blocked(keyId: string, limits: DailyLimits, held: Held): Blocked | undefined {
    if (limits.key === 0 && limits.all === 0) return undefined;
    const scopes = this.#scopes(keyId);
    const full = (day: string): { key: boolean; all: boolean } => {
      const [key, all] = this.#counts.read(day, scopes);
      return {
        key: limits.key > 0 && key + held.key >= limits.key,
        all: limits.all > 0 && all + held.all >= limits.all,
      };
    };
    const today = full(this.#days.today());
    if (!today.key && !today.all) return undefined;
    return {
      limit: today.key ? 'key_daily' : 'global_daily',
      waitMs: this.#days.roomInMs((day) => {
        const { key, all } = full(day);
        return key || all;
      }),
    };
  }

  /**
   * Counts one request, durably, if both limits have room for it, and returns the day that it counts in; undefined when one
   * of them has none. Throws when the counts cannot be used. Whatever else it returns or throws than a day, nothing was counted.
   */
  take(keyId: string, limits: DailyLimits, held: Held): string | undefined {
    const day = this.#days.today();
    const [key, all] = this.#scopes(keyId);
    try {
      const counted = this.#counts.take(day, [
        { scope: key, limit: limits.key > 0 ? limits.key - held.key : null },
        { scope: all, limit: limits.all > 0 ? limits.all - held.all : null },
      ]);
      this.#writable = true;
      return counted ? day : undefined;
    } catch (error) {
      this.#writable = false;
      throw error;
    }
  }

  /** Takes back what `take` counted. False when that is impossible: the day then shows one more than it had. */
  giveBack(keyId: string, day: string): boolean {
    try {
      this.#counts.giveBack(day, this.#scopes(keyId));
      return true;
    } catch {
      this.#writable = false;
      return false;
    }
  }

  /** Used today, waiting ones included. Throws when the counts cannot be read. */
  used(keyId: string, held: Held): DailyUse {
    const day = this.#days.today();
    const [key, all] = this.#counts.read(day, this.#scopes(keyId));
    return { key: key + held.key, all: all + held.all, resetMs: this.#days.changeInMs() };
  }

  #scopes(keyId: string): [string, string] {
    return [`${this.#lane}:key:${keyId}`, `${this.#lane}:all`];
  }
}
