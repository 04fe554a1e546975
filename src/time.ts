/** Times are in milliseconds since 1970. */
export const dayMs = 86_400_000;
export const hourMs = 3_600_000;

/** RFC 3339; null for a time that is not set. */
export function iso(ms: number): string;
export function iso(ms: number | undefined): string | null;
export function iso(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** The UTC day, such as `2026-01-31`. */
export function utcDay(ms: number): string {
  return iso(ms).slice(0, 10);
}

/** The UTC hour, such as `2026-01-31T17`. */
export function utcHour(ms: number): string {
  return iso(ms).slice(0, 13);
}
