/**
 * The limit headers of every authenticated answer, in the three families that clients read. Pure.
 *
 * Two families can show one window: the one with the fewest requests left, or else the one that is full again last. The IETF fields
 * show all windows. Without any limit there is no header.
 *
 * Sources: the Claude API's `anthropic-ratelimit-requests-*` ("-reset: the time when the limit will be fully
 * replenished", RFC 3339), OpenAI's `x-ratelimit-*-requests` (a duration "until the limit resets to its initial state"),
 * draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4 (`t`: seconds in which no more than `r` can be used).
 */
import type { LaneState } from './lane-state.ts';

const windows = [
  { name: 'key_rpm', field: 'rpm', seconds: 60 },
  { name: 'key_daily', field: 'daily', seconds: 86_400 },
  { name: 'global_daily', field: 'globalDaily', seconds: 86_400 },
] as const;

/** `wallMs`: now, in Unix milliseconds. */
export function limitHeaders(state: LaneState, wallMs: number): Record<string, string> {
  const active = windows.flatMap(({ name, field, seconds }) => {
    const window = state[field];
    return window === undefined ? [] : [{ name, seconds, ...window }];
  });
  const budget = budgetLeft(state);
  const [tightest] = active.toSorted((a, b) => a.remaining - b.remaining || b.resetMs - a.resetMs);
  if (tightest === undefined) return budget;

  const { limit, remaining, resetMs } = tightest;
  return {
    ...budget,
    'anthropic-ratelimit-requests-limit': String(limit),
    'anthropic-ratelimit-requests-remaining': String(remaining),
    'anthropic-ratelimit-requests-reset': rfc3339(wallMs + resetMs),
    'x-ratelimit-limit-requests': String(limit),
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': duration(resetMs),
    'ratelimit-policy': active
      .map(({ name, seconds, limit }) => `"${name}";q=${limit};w=${seconds}`)
      .join(', '),
    ratelimit: active
      .map(({ name, remaining, nextMs }) => `"${name}";r=${remaining};t=${Math.ceil(nextMs / 1000)}`)
      .join(', '),
  };
}

/** What is left of the key's daily budgets, or of those of all keys if that is less. */
function budgetLeft({ budgets }: LaneState): Record<string, string> {
  const parts = (['usd', 'tokens'] as const).flatMap((unit) => {
    const states = [budgets?.key[unit], budgets?.all[unit]].filter((each) => each !== undefined);
    const left = states.map(({ limit, used }) => Math.max(0, limit - used));
    return left.length === 0 ? [] : `${unit}=${Number(Math.min(...left).toFixed(6))}`;
  });
  return parts.length === 0 ? {} : { 'x-relay-budget-left': parts.join(', ') };
}

/** To the second, as the Claude API writes it. Rounded up: it is never early. */
function rfc3339(wallMs: number): string {
  return `${new Date(Math.ceil(wallMs / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** As OpenAI writes durations: `20ms`, `1s`, `7.66s`, `6m0s`, `24h0m0s`. */
export function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole > 0 && whole < 1000) return `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor(whole / 60_000) % 60;
  const seconds = `${(whole % 60_000) / 1000}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
