/** Strict parsers of command-line arguments. Pure. Each throws commander's `InvalidArgumentError` with what is valid. */
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { dayMs } from '../../time.ts';

const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: dayMs, w: 7 * dayMs };
const longestMs = 3650 * dayMs;
const moment = z.union([
  z.iso.date(),
  z.iso.datetime({ offset: true }),
  z.iso.datetime({ offset: true, precision: -1 }),
]);

/** `90s`, `15m`, `24h`, `30d`, `2w`, or `0`: milliseconds. */
export function parseDuration(text: string): number {
  const [, amount = '', unit = ''] = /^([0-9]{1,9})([smhdw])$/.exec(text) ?? [];
  const ms = text === '0' ? 0 : Number(amount) * (unitMs[unit] ?? Number.NaN);
  if (!(ms <= longestMs)) {
    throw new InvalidArgumentError('Use a whole number and a unit, such as 90s, 15m, 24h, 30d or 2w.');
  }
  return ms;
}

/** A duration from now, a UTC date (`2030-01-31`, its first moment) or a time with its zone: milliseconds since 1970. */
export function parseExpiry(text: string, now: number): number {
  if (/^[0-9]+[a-z]$/.test(text)) return now + parseDuration(text);
  // Not `Date.parse` alone: it reads the 31st of a shorter month as a day of the next month.
  if (moment.safeParse(text).success) return Date.parse(text);
  throw new InvalidArgumentError(
    'Use a duration such as 30d, a date such as 2030-01-31, or a time such as 2030-01-31T18:00Z.',
  );
}

export function parseCount(least: number, most: number): (text: string) => number {
  return (text) => {
    const count = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (count >= least && count <= most) return count;
    throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`);
  };
}

/** Dollars with up to two decimals, from a cent to a million. */
export function parseDollars(text: string): number {
  const usd = /^[0-9]{1,7}(?:\.[0-9]{1,2})?$/.test(text) ? Number(text) : Number.NaN;
  if (usd >= 0.01 && usd <= 1_000_000) return usd;
  throw new InvalidArgumentError('Use dollars such as 2 or 0.50, from 0.01 to 1000000.');
}

const port = parseCount(1, 65_535);

/** A TCP port, or `off`. */
export function parsePort(text: string): number | 'off' {
  return text === 'off' ? text : port(text);
}

/** An http or https URL, as it was written. */
export function parseUrl(text: string): string {
  if (/^https?:/.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('Use a URL such as https://relay.example.com.');
}

/** `a,b,c`, with no empty entries. */
export function parseList(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('Use names separated by commas.');
  return [...new Set(items)];
}
