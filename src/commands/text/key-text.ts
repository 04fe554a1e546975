/** A key as text for people and as JSON for programs. Pure. */
import type { Key } from '../../keys/key.ts';
import type { KeyEvent, Keys } from '../../keys/store.ts';
import { localUrl } from '../../service/ready.ts';
import type { Spend } from '../../limits/spending.ts';
import { iso, utcDay } from '../../time.ts';
import { cost, count, table, time } from './table.ts';

type KeyState = 'live' | 'disabled' | 'expired' | 'revoked';

export function keyState(key: Key, now: number): KeyState {
  if (key.revokedAt !== undefined) return 'revoked';
  if (key.expiresAt !== undefined && now >= key.expiresAt) return 'expired';
  return key.disabledAt === undefined ? 'live' : 'disabled';
}

/** `spent`: in this UTC day. */
export type Today = { now: number; spent: (key: Key) => Spend };

export type KeyJson = ReturnType<typeof keyJson>;

/** For a limit that is null, the relay's default applies. Dollars are those that Claude Code reckons. */
export function keyJson(key: Key, { now, spent }: Today) {
  const used = spent(key);
  return {
    id: key.id,
    label: key.label,
    state: keyState(key, now),
    created_at: iso(key.createdAt),
    last_used_at: iso(key.lastUsedAt),
    expires_at: iso(key.expiresAt),
    revoked_at: iso(key.revokedAt),
    disabled_at: iso(key.disabledAt),
    daily_limit: key.dailyLimit ?? null,
    rpm: key.rpm ?? null,
    concurrency: key.concurrency ?? null,
    usd_daily: key.usdDaily ?? null,
    usd_today: used.usd,
    tokens_daily: key.tokensDaily ?? null,
    tokens_today: used.tokens,
    allowed_routes: key.allowedRoutes ?? null,
    allowed_models: key.allowedModels ?? null,
    fallback: key.fallback ?? null,
    ollama_url: key.ollama === undefined ? null : localUrl(key.ollama),
    profile: profileJson(key),
  };
}

/** Null without a profile. The text of the system prompt is not here. */
function profileJson({ model, effort, maxTokens, systemBytes, locked }: Key) {
  if ([model, effort, maxTokens, systemBytes].every((field) => field === undefined)) return null;
  return {
    model: model ?? null,
    effort: effort ?? null,
    max_tokens: maxTokens ?? null,
    system_bytes: systemBytes ?? null,
    locked: locked ?? false,
  };
}

/** `haiku, low, 800 tokens, system prompt of 1 234 bytes, locked` */
export function profileText(profile: NonNullable<KeyJson['profile']>): string {
  const { model, effort, max_tokens: tokens, system_bytes: bytes, locked } = profile;
  return [
    model,
    effort,
    tokens && `${count(tokens)} tokens`,
    bytes && `system prompt of ${count(bytes)} bytes`,
    locked && 'locked',
  ]
    .filter(Boolean)
    .join(', ');
}

type Columns = Readonly<Record<string, (key: Key, today: Today) => string>>;

const columns: Columns = {
  LABEL: ({ label }) => label,
  STATE: (key, { now }) => keyState(key, now),
  CREATED: ({ createdAt }) => utcDay(createdAt),
  'LAST USED': ({ lastUsedAt }) => minute(lastUsedAt),
  EXPIRES: ({ expiresAt }) => minute(expiresAt),
  ' A DAY': ({ dailyLimit }) => limit(dailyLimit),
  ' A MINUTE': ({ rpm }) => limit(rpm),
  ' AT ONCE': ({ concurrency }) => limit(concurrency),
  ROUTES: ({ allowedRoutes }) => allowedRoutes?.join(',') ?? 'all',
  MODELS: ({ allowedModels }) => allowedModels?.join(',') ?? 'all',
};

/** Only if a key has one. */
const budgets: Columns = {
  ' RECKONED TODAY': (key, { spent }) => ofBudget(cost(spent(key).usd), key.usdDaily, cost),
  ' TOKENS TODAY': (key, { spent }) => ofBudget(count(spent(key).tokens), key.tokensDaily, count),
};

/** Only if a key has one. */
const profiles: Columns = {
  PROFILE: (key) => {
    const profile = profileJson(key);
    return profile === null ? '-' : profileText(profile);
  },
};
const fallbacks: Columns = { FALLBACK: ({ fallback }) => fallback ?? 'none' };

export function keyTable(keys: readonly Key[], today: Today): string {
  const shown = {
    ...columns,
    ...(keys.some(({ usdDaily, tokensDaily }) => (usdDaily ?? tokensDaily) !== undefined) && budgets),
    ...(keys.some(({ fallback }) => fallback !== undefined) && fallbacks),
    ...(keys.some((key) => profileJson(key) !== null) && profiles),
  };
  const rows = keys.map((key) => Object.values(shown).map((cell) => cell(key, today)));
  return table(Object.keys(shown), rows);
}

function ofBudget(used: string, budget: number | undefined, text: (amount: number) => string): string {
  return budget === undefined ? used : `${used} of ${text(budget)}`;
}

export function keyText(key: Key, events: readonly KeyEvent[], today: Today): string {
  const history = events.map(({ at, action, command }) => `${time(at)} UTC: ${action} by ${command}\n`);
  const ollama =
    key.ollama === undefined ? '' : `Ollama clients without the secret: ${localUrl(key.ollama)}\n`;
  return `${keyTable([key], today)}\nid ${key.id}\n${ollama}${history.join('')}`;
}

function minute(at: number | undefined): string {
  return at === undefined ? 'never' : time(at).slice(0, 16);
}

function limit(value: number | undefined): string {
  return value === undefined ? 'default' : String(value);
}

/** The labels of these keys, or of all, revoked ones included, by id. */
export function keyLabels(
  keys: Pick<Keys, 'list' | 'withIds'>,
  ids?: readonly string[],
): Map<string, string> {
  const named = ids === undefined ? keys.list({ revoked: true }) : keys.withIds(ids);
  return new Map(
    named.map(({ id, label, revokedAt }) => [
      id,
      revokedAt === undefined ? label : `${label} (revoked ${id})`,
    ]),
  );
}
