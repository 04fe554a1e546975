/** The daily limits of one lane, over counts that outlive the process. */
import type { Lane } from './lane-limits.ts';
import type { Blocked } from './refusals.ts';
import type { DayClock } from './windows.ts';

/**
 * Durable counts by UTC day (`2026-01-31`) and scope: `<lane>:key:<key id>` for one key, `<lane>:all` for all together.
 * Synchronous; both throw when the store cannot be used.
 */
export interface DailyCounts {
  read(day: string, scope: string): number;
  /** Adds to all scopes or to none. */
  add(day: string, scopes: readonly string[], delta: 1 | -1): void;
}

function keyScope(lane: Lane, keyId: string): string {
  return `${lane}:key:${keyId}`;
}

function laneScope(lane: Lane): string {
  return `${lane}:all`;
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
    const keyFull = this.#isFull(keyScope(this.#lane, keyId), limits.key, held.key);
    const allFull = this.#isFull(laneScope(this.#lane), limits.all, held.all);
    const today = this.#days.today();
    const keyIsFull = keyFull(today);
    if (!keyIsFull && !allFull(today)) return undefined;
    return {
      limit: keyIsFull ? 'key_daily' : 'global_daily',
      waitMs: this.#days.roomInMs((day) => keyFull(day) || allFull(day)),
    };
  }

  /** Counts one request, durably, and says in which day. Throws when that is impossible; then nothing was counted. */
  count(keyId: string): string {
    const day = this.#days.today();
    try {
      this.#counts.add(day, this.#scopes(keyId), 1);
      this.#writable = true;
    } catch (error) {
      this.#writable = false;
      throw error;
    }
    return day;
  }

  /** Takes back what `count` counted. False when that is impossible: the day then shows one more than it had. */
  giveBack(keyId: string, day: string): boolean {
    try {
      this.#counts.add(day, this.#scopes(keyId), -1);
      return true;
    } catch {
      this.#writable = false;
      return false;
    }
  }

  /** Used today, waiting ones included. Throws when the counts cannot be read. */
  used(keyId: string, held: Held): DailyUse {
    const day = this.#days.today();
    return {
      key: this.#counts.read(day, keyScope(this.#lane, keyId)) + held.key,
      all: this.#counts.read(day, laneScope(this.#lane)) + held.all,
      resetMs: this.#days.changeInMs(),
    };
  }

  #scopes(keyId: string): string[] {
    return [keyScope(this.#lane, keyId), laneScope(this.#lane)];
  }

  #isFull(scope: string, limit: number, held: number): (day: string) => boolean {
    return (day) => limit > 0 && this.#counts.read(day, scope) + held >= limit;
  }
}
