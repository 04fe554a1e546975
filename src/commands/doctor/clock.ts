/**
 * The clock, judged by what this machine has itself: daily limits are UTC days and keys expire, so a wrong clock gives limits
 * back or ends keys. Nobody is asked over a network.
 */
import { statSync } from 'node:fs';
import type { Config } from '../../config.ts';
import { failure, ok, warning, type Line } from './line.ts';
import { run } from '../../service/state.ts';

const minute = 60_000;
/** Before this program was written no clock is right. */
const earliest = Date.UTC(2026, 0, 1);
const setClock =
  process.platform === 'darwin' ? 'sudo sntp -sS time.apple.com' : 'sudo timedatectl set-ntp true';

export type ClockFacts = {
  /** Milliseconds since 1970. */
  now: number;
  /** The newest time in the relay's records, and of its own files: both are in the past. */
  newestRecord: number | undefined;
  newestFile: number | undefined;
  /** How far the clock moved against the monotonic one while the doctor worked, in milliseconds. */
  driftMs: number;
  /** Whether the system says that it follows a time server. */
  synchronised: boolean | undefined;
};

/** Notes the time; what it returns tells later how far the clock has moved since. */
export function watchClock(): () => number {
  const offset = Date.now() - performance.now();
  return () => Date.now() - performance.now() - offset;
}

export async function clockFacts(
  config: Config,
  newestRecord: number | undefined,
  driftMs: number,
): Promise<ClockFacts> {
  const said = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value'], config.hostEnv);
  const answer = said?.stdout.trim();
  return {
    now: Date.now(),
    newestRecord,
    newestFile: statSync(new URL('../../../package.json', import.meta.url), { throwIfNoEntry: false })
      ?.mtimeMs,
    driftMs,
    synchronised: answer === 'yes' ? true : answer === 'no' ? false : undefined,
  };
}

/** Pure. */
export function clockLine({ now, newestRecord, newestFile, driftMs, synchronised }: ClockFacts): Line {
  const shown = `${new Date(now).toISOString().slice(0, 19)}Z`;
  if (now < earliest) return failure('clock', `it says ${shown}, which is long ago`, setClock);
  const newest = Math.max(newestRecord ?? 0, newestFile ?? 0);
  if (newest - now > 5 * minute) {
    const what = newest === newestRecord ? 'a record of the relay' : 'a file of the relay';
    return failure(
      'clock',
      `it says ${shown}, and ${what} is from ${new Date(newest).toISOString().slice(0, 19)}Z`,
      setClock,
    );
  }
  if (Math.abs(driftMs) > 1000) {
    return warning(
      'clock',
      `${shown}; it moved by ${(driftMs / 1000).toFixed(1)} s while this ran`,
      setClock,
    );
  }
  if (synchronised === false) return warning('clock', `${shown}; it follows no time server`, setClock);
  return ok(
    'clock',
    `${shown}${synchronised === true ? ', set by a time server' : ', as far as can be seen from here'}`,
  );
}
