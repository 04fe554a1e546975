/** At most so many events of one id in any window: for what has no lane. In memory, bounded. */
import type { Clock } from './clock.ts';
import { refusal, type Blocked } from './refusals.ts';
import { SlidingWindow } from './windows.ts';

export type RateLimit = {
  events: number;
  windowMs: number;
  /** The limit that a refusal names. */
  name: Blocked['limit'];
  /** Ids remembered; the one that has been silent for longest is forgotten first. */
  ids: number;
};

export class RateLimiter {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #limit: RateLimit;
  /** A `Map` iterates in the order of insertion: here from the longest silence to the latest event. */
  readonly #windows = new Map<string, SlidingWindow>();

  constructor(clock: Pick<Clock, 'monotonic'>, limit: RateLimit) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Throws `rate_limited`, and counts nothing, if this id has used its events. */
  take(id: string): void {
    const { events, windowMs, name, ids } = this.#limit;
    const window = this.#windows.get(id) ?? new SlidingWindow(windowMs);
    this.#windows.delete(id);
    this.#windows.set(id, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > ids && oldest !== undefined) this.#windows.delete(oldest);

    const now = this.#clock.monotonic();
    const waitMs = window.waitMs(now, events);
    if (waitMs > 0) throw refusal({ limit: name, waitMs });
    window.take(now);
  }
}
