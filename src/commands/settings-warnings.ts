/** Settings that are valid and risky. */
import type { Config } from '../config.ts';
import type { Key } from '../keys/key.ts';
import { servedModel, type ServedModels } from '../model-family.ts';
import { warning, type Line } from './doctor/line.ts';

/** The names of the settings that turn a limit off. */
export function limitsOff({ limits: { lanes } }: Config): string[] {
  const limits = {
    GLOBAL_CONCURRENCY: lanes.complete.concurrency,
    PER_KEY_RPM: lanes.complete.keyRpm,
    PER_KEY_DAILY: lanes.complete.keyDaily,
    GLOBAL_DAILY: lanes.complete.globalDaily,
    FETCH_CONCURRENCY: lanes.fetch.concurrency,
    FETCH_RPM: lanes.fetch.keyRpm,
    FETCH_DAILY: lanes.fetch.keyDaily,
    FETCH_GLOBAL_DAILY: lanes.fetch.globalDaily,
  };
  return Object.entries(limits).flatMap(([name, value]) => (value === 0 ? [name] : []));
}

/** A sentence about the setting that lets one key keep another one out, if there is such a setting. */
export function unfairLimits({ limits, requestTimeoutMs }: Config): string[] {
  const { queueMax, queueTimeoutMs, lanes } = limits;
  // Without a limit no request waits.
  if (lanes.complete.concurrency === 0) return [];
  if (queueMax === 0) return ['QUEUE_MAX is 0: a key is refused while other keys use every process.'];
  if (queueTimeoutMs >= requestTimeoutMs) return [];
  return [
    `QUEUE_TIMEOUT (${queueTimeoutMs / 1000}) is below REQ_TIMEOUT (${requestTimeoutMs / 1000}): long requests of other keys can keep a key out.`,
  ];
}

/** What is wrong with the fallback of a key, if it is a model that the relay does not serve. */
export function unservedFallback(
  { label, fallback }: Pick<Key, 'label' | 'fallback'>,
  config: ServedModels,
): string | undefined {
  if (fallback === undefined || fallback === 'api' || servedModel(fallback, config).listed !== undefined)
    return undefined;
  return `${label} falls back to ${fallback}, which is not in ALLOWED_MODELS: it has no fallback`;
}

/** What is wrong with the model of a key's profile, if the relay does not serve it. */
export function unservedModel(
  { label, model }: Pick<Key, 'label' | 'model'>,
  config: ServedModels,
): string | undefined {
  if (model === undefined || servedModel(model, config).listed !== undefined) return undefined;
  return `the profile of ${label} has the model ${model}, which is not in ALLOWED_MODELS: requests that use it are refused`;
}

/** What to fix when the relay has a public name. */
export function exposureWarnings(config: Config): Line[] {
  const off = limitsOff(config);
  const lines: Line[] = [];
  if (off.length > 0) {
    const detail = `the relay has or gets a public name, and these limits are off: ${off.join(', ')}`;
    lines.push(warning('tunnel-limits', detail, 'set each above 0 in config.env'));
  }
  if (!config.trustProxy.includes('loopback')) {
    const detail =
      'TRUST_PROXY is not loopback: every caller looks like this machine, so one limit on wrong keys applies to all strangers together';
    const fix = 'set TRUST_PROXY=loopback in config.env, and restart the relay';
    lines.push(warning('tunnel-callers', detail, fix));
  }
  return lines;
}
