import type { Config } from '../config.ts';

/** The limits that are turned off, by the names of their settings. */
export function limitsOff(config: Config): string[] {
  const limits = {
    GLOBAL_CONCURRENCY: config.globalConcurrency,
    PER_KEY_RPM: config.keyRpm,
    PER_KEY_DAILY: config.keyDaily,
    GLOBAL_DAILY: config.globalDaily,
    FETCH_CONCURRENCY: config.fetch.concurrency,
    FETCH_RPM: config.fetch.keyRpm,
    FETCH_DAILY: config.fetch.keyDaily,
    FETCH_GLOBAL_DAILY: config.fetch.globalDaily,
  };
  return Object.entries(limits)
    .filter(([, value]) => value === 0)
    .map(([name]) => name);
}
