/** The doctor's lines about what answers when the plan is used up: the second login, its budget, and the fallbacks of keys. */
import type { Login } from '../../claude/cli.ts';
import { fallbackHost } from '../../claude/lock.ts';
import type { Config } from '../../config.ts';
import { relayCommand } from '../../installation.ts';
import type { Key } from '../../keys/key.ts';
import { unservedFallback } from '../settings-warnings.ts';
import { cost } from '../text/table.ts';
import { failure, ok, warning, type Line } from './line.ts';

/** `login`: as Claude Code reports the second login. */
export function secondLoginLine({ loggedIn, method }: Login): Line {
  if (loggedIn === true && method === 'api_key') return ok('fallback-login', 'an API key');
  const detail = `Claude Code does not take FALLBACK_ANTHROPIC_API_KEY for a login (${method})`;
  return failure('fallback-login', detail, 'set it to a key of the Claude API, or remove it');
}

/** `keys`: those that are valid. `billed`: dollars of today. */
export function fallbackLines(
  config: Config,
  keys: readonly Pick<Key, 'label' | 'fallback'>[],
  billed: number,
): Line[] {
  const {
    hostEnv,
    limits: { fallbackUsd },
    allowedModels,
  } = config;
  const hasLogin = fallbackHost(hostEnv) !== undefined;
  const labels = keys.filter(({ fallback }) => fallback === 'api').map(({ label }) => label);
  return [
    ...(hasLogin || fallbackUsd > 0 || labels.length > 0
      ? [budgetLine(hasLogin, fallbackUsd, billed, labels)]
      : []),
    ...keys.flatMap((key) => {
      const detail = unservedFallback(key, config);
      const fix = `${relayCommand} key set ${key.label} --fallback ${allowedModels[0]}`;
      return detail === undefined ? [] : [warning('fallback', detail, fix)];
    }),
  ];
}

function budgetLine(hasLogin: boolean, budget: number, billed: number, labels: readonly string[]): Line {
  const off = [
    ...(hasLogin ? [] : ['FALLBACK_ANTHROPIC_API_KEY']),
    ...(budget > 0 ? [] : ['FALLBACK_USD_DAILY']),
  ];
  if (off.length > 0) {
    const fix = `set ${off.join(' and ')} in config.env, or use no second login`;
    return warning('fallback', `the second login is not used: ${off.join(' and ')} not set`, fix);
  }
  const spent = `${cost(billed)} of ${cost(budget)} billed today`;
  if (labels.length > 0) return ok('fallback', `${spent}, for ${labels.join(', ')}`);
  const fix = `${relayCommand} key set my-app --fallback api`;
  return warning('fallback', `the second login is set, but no key uses it (${spent})`, fix);
}
